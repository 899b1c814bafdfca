"""Greedy decoding with cached keys and values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from engine.tasks.multiplication.data import BOS, EOS, PAD
from engine.tasks.multiplication.models import SimpleModel


@torch.no_grad()
def greedy_tokens(model: SimpleModel, source: Tensor) -> Tensor:
    """The likeliest token at each place, given those before it; goes on past EOS.

    Always writes as many tokens as the longest answer takes, so nothing depends on the true answer.

    Args:
        model: in evaluation mode (see `evaluation_mode`).
        source: (B, S) int64.

    Returns:
        (B, T) int64.
    """
    caches = model.start(model.encode(source))
    token = torch.full((len(source),), BOS, device=source.device)
    written = []
    for place in range(model.layout.target_length):
        token = model.step(token, place, caches).argmax(dim=-1)
        written.append(token)
    return torch.stack(written, dim=1)


def stop_at_eos(tokens: Tensor) -> Tensor:
    """The answers (B, T) as they count: everything after the first EOS is PAD."""
    is_eos = tokens == EOS
    ended_before = is_eos.cumsum(dim=1) - is_eos.long() > 0
    return tokens.masked_fill(ended_before, PAD)


def shift_right(tokens: Tensor) -> Tensor:
    """The decoder's input (B, T) when it writes or has written these tokens (B, T): BOS, then all but the last."""
    return torch.cat([torch.full_like(tokens[:, :1], BOS), tokens[:, :-1]], dim=1)


def own_prefix(model: SimpleModel, source: Tensor) -> Tensor:
    """The decoder's input (B, T) of a free-running batch: BOS and the model's own greedy answer, without gradients.

    Written in evaluation mode: with dropout on, the prefix would hold mistakes that the model doesn't make when it is
    evaluated. It isn't cut at EOS: a place after a premature EOS still learns its true digit, and after a right one
    the target is PAD and counts for nothing.
    """
    device = source.device.type
    # Autocast keeps the weights it has cast. In versions of torch where it keeps those cast without gradients too, the
    # forward pass that follows would use them again, and no gradient would reach the weights.
    with (
        evaluation_mode(model),
        torch.autocast(device, enabled=torch.is_autocast_enabled(device), cache_enabled=False),
    ):
        return shift_right(greedy_tokens(model, source))


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Dropout off, and afterwards every module in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
