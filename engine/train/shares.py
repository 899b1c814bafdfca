"""Which loss term moves the weights: each term's share of the gradient, measured now and then."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.train.task import LossTerms


def gradient_shares(terms: LossTerms, model: nn.Module) -> dict[str, float | Tensor]:
    """Each term's part in the sum of all terms' gradient norms, as `share/<term>`; the graph stays usable.

    That of a term whose gradient isn't finite is NaN, the others share the rest.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    norms = {}
    for name, (weight, value) in terms.items():
        if not value.requires_grad:  # a term that hangs on no weight moves none
            norms[name] = torch.zeros((), device=value.device)
            continue
        gradients = torch.autograd.grad(weight * value.float(), parameters, retain_graph=True, allow_unused=True)
        norms[name] = torch.nn.utils.get_total_norm([gradient for gradient in gradients if gradient is not None])
    # One that isn't finite is left out of the sum: it must not make the others' shares NaN as well.
    total = torch.stack([norm.nan_to_num(posinf=0.0) for norm in norms.values()]).sum()
    return {f"share/{name}": norm * 0 + norm / total for name, norm in norms.items()}
