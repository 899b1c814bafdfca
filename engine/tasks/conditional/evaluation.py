"""The modes of evaluation: what a model makes of the same blocks, given this or that of them."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import Tensor, nn

from engine.tasks.conditional.config import MODES_OF_KIND, ConditionalEvaluationSection
from engine.tasks.conditional.data import Layout
from engine.tasks.conditional.model import token_losses
from engine.tasks.conditional.sampling import Split
from engine.tasks.conditional.splits import draw_splits

_SOURCE = {1: 1, 2: 2, 3: 3, 4: 1, 5: 1}
"""By mode, the split that the model is given; 4 and 5 look at mode 1's answers."""
_LOSS_OF = (3, 1, 2, 4, 5)
"""Which mode's loss is the run's: the first of these that is evaluated."""
_DEVIATIONS = 4.0
_MOST_EXPONENT = 700.0


def evaluate_modes(
    model: nn.Module,
    tokens: Tensor,
    splits: dict[int, Split],
    modes: Collection[int],
    layout: Layout,
    batch_size: int,
    device: torch.device,
    counted: Tensor | None = None,
) -> dict[str, float]:
    """For each mode of 1 to 5 `mode<m>_loss`, in nats over all scored tokens alike, and `mode<m>_perplexity`.

    Beside them `loss`, that of mode 3 or else of the first evaluated; and the gains `gain_2_4` and `gain_3_5`, in nats:
    below zero where what is given helps.

    Args:
        model: in evaluation mode.
        tokens: (N, L) int64 on the CPU.
        splits: by mode, from `splits.draw_splits`.
        modes: which.
        layout: what the model reads.
        batch_size: blocks at once.
        device: of the model.
        counted: (N, L) bool, the tokens whose losses count where they are scored; all without it.
    """
    losses: dict[int, Tensor] = {}
    found: dict[int, float] = {}
    for mode in sorted(set(modes) - {0}):
        source = _SOURCE[mode]
        if source not in losses:
            losses[source] = split_losses(model, tokens, splits[source], layout, batch_size, device)
        scored = splits[mode].scored if counted is None else splits[mode].scored & counted
        found[mode] = float(losses[source][scored].mean())
    figures = {}
    for mode, loss in found.items():
        figures[f"mode{mode}_loss"] = loss
        figures[f"mode{mode}_perplexity"] = math.exp(min(loss, _MOST_EXPONENT))
    if found:
        figures["loss"] = found[next(mode for mode in _LOSS_OF if mode in found)]
    for given, left in ((2, 4), (3, 5)):
        if given in found and left in found:
            figures[f"gain_{given}_{left}"] = found[given] - found[left]
    return figures


def split_losses(
    model: nn.Module, tokens: Tensor, split: Split, layout: Layout, batch_size: int, device: torch.device
) -> Tensor:
    """(N, L) fp64 on the CPU: the negative log probability of each scored token in nats, zero elsewhere."""
    parts = []
    for start in range(0, len(tokens), batch_size):
        part = slice(start, start + batch_size)
        own = Split(*(positions[part].to(device) for positions in split))
        batch = layout.of_split(tokens[part].to(device), own)
        found, counted = token_losses(model, batch, tokens.shape[1])
        if layout.kind == "sigma":  # its tokens stand in another order
            at = batch["position_ids"][:, 1:] - 1
            found = torch.zeros_like(found).scatter_(1, at, found * counted)
        parts.append(found.cpu().double())
    return torch.cat(parts)


def sanity(
    model: nn.Module,
    symbols: Tensor,
    shape: tuple[int, int],
    layout: Layout,
    options: ConditionalEvaluationSection,
    device: torch.device,
) -> dict[str, float]:
    """Mode 0: random tokens, of which nobody who doesn't see the answers can do better than their entropy.

    `mode0_canary_1` to `_3`: how far the loss of modes 1 to 3 on them lies above the entropy, in nats, of a model that
    has them. `mode0_leak`: 1 if one of them lies below it by more than 4 standard errors, else 0.

    Args:
        model: in evaluation mode.
        symbols: (S,) the tokens that are drawn from.
        shape: blocks and their length.
        layout: what the model reads.
        options: seed, boundary and batch size.
        device: of the model.
    """
    generator = torch.Generator().manual_seed(options.split_seed + 1)
    tokens = symbols[torch.randint(len(symbols), shape, generator=generator)]
    splits = draw_splits(tokens, options, layout)
    floor = math.log(len(symbols))
    figures, leaks = {}, False
    for mode in (1, 2, 3):
        if mode not in MODES_OF_KIND[layout.kind]:
            continue
        losses = split_losses(model, tokens, splits[mode], layout, options.batch_size, device)[splits[mode].scored]
        above = float(losses.mean()) - floor
        error = float(losses.std()) / math.sqrt(len(losses))
        leaks |= above < -_DEVIATIONS * error - 1e-4
        figures[f"mode0_canary_{mode}"] = above
    return figures | {"mode0_leak": float(leaks)}
