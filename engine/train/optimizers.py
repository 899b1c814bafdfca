"""Optimizers beside torch's own: Lion, and Muon with AdamW for what isn't a hidden matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Lion(torch.optim.Optimizer):
    """Lion (Chen and others 2023, arXiv 2302.06675): a step of the same size for each weight, by the sign of a moment.

    Written here because torch has none, and a package for these ten lines would be one more to trust with the weights.

    Args:
        groups: parameters, as for any optimizer of torch.
        lr: learning rate; published advice is a third to a tenth of AdamW's.
        betas: of the moment's part in the sign, and of its decay.
        weight_decay: decoupled: each step takes lr * weight_decay of a weight.
    """

    def __init__(
        self,
        groups: Any,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step for all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters: list[Tensor] = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            gradients: list[Tensor] = [parameter.grad for parameter in parameters if parameter.grad is not None]
            moments: list[Tensor] = []
            for parameter in parameters:
                state = self.state[parameter]
                if not state:
                    state["exp_avg"] = torch.zeros_like(parameter)
                moments.append(state["exp_avg"])
            beta1, beta2 = group["betas"]
            signs = list(torch._foreach_lerp(moments, gradients, 1 - beta1))
            torch._foreach_sign_(signs)
            if group["weight_decay"]:
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(parameters, signs, alpha=-group["lr"])
            torch._foreach_lerp_(moments, gradients, 1 - beta2)
        return loss


class Together(torch.optim.Optimizer):
    """Several optimizers, each with groups of its own, that look like one: one list of groups, one state.

    Args:
        parts: at least one; from here on they share this one's state.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self._parts = tuple(parts)
        super().__init__([group for part in parts for group in part.param_groups], {})
        for part in self._parts:
            part.state = self.state

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of each."""
        assert closure is None, "the parts would each call it"
        for part in self._parts:
            part.step()
        return None

    @property
    def name(self) -> str:
        """As `Muon+AdamW`."""
        return "+".join(type(part).__name__ for part in self._parts)


def hidden_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Three groups for Muon: hidden matrices, the other matrices, and the rest, which isn't decayed.

    Hidden are all matrices but embeddings, and what shares its weights with one, as GPT-2's output does.
    """
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    hidden: list[nn.Parameter] = []
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            home = rest if parameter.ndim < 2 else matrices
            (hidden if parameter.ndim == 2 and id(parameter) not in embeddings else home).append(parameter)
    groups = [
        {"params": hidden, "weight_decay": weight_decay, "hidden": True},
        {"params": matrices, "weight_decay": weight_decay, "hidden": False},
        {"params": rest, "weight_decay": 0.0, "hidden": False},
    ]
    return [group for group in groups if group["params"]]
