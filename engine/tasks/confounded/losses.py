"""The terms of each loss, computed in fp32 whatever the precision of the forward pass."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def sample_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """The cross entropy of each sample, (B,) fp32, in nats.

    Args:
        logits: (B, K), of any floating type.
        labels: (B,) int64.
    """
    return functional.cross_entropy(logits.float(), labels, reduction="none")


def mean_over(values: Tensor, rows: Tensor, count: Tensor, size: Tensor) -> Tensor:
    """The mean of the values in some rows; 0 where there are none, for a batch without any of them is no mistake.

    Of a batch that several processes share each has other rows, and not equally many of each kind. So the sum is
    divided by how many there would be if it had: then the mean over the processes is that over the whole batch.

    Args:
        values: (B,), of this process's samples.
        rows: (B,) bool.
        count: how many such rows the whole batch has.
        size: how many rows it has at all.
    """
    return (values * rows.to(values.dtype)).sum() / (count.clamp(min=1) * len(values) / size)


def lacking(losses: Tensor, confidence: float) -> Tensor:
    """By how many nats each sample misses the wanted confidence: -log p + log confidence, below 0 where it is met.

    p >= confidence means the same as -log p <= -log confidence, but unlike a hinge on p its slope doesn't vanish where
    a sample is surely wrong.

    Args:
        losses: (B,), cross entropy in nats.
        confidence: the probability that each sample's class must reach.
    """
    return losses + math.log(confidence)


def raise_multipliers(multipliers: Tensor, members: Tensor, gaps: Tensor, rate: float, largest: float) -> Tensor:
    """One step of dual ascent: the multipliers of these samples move by rate * gap, and stay from 0 to the largest.

    A sample that is there twice moves twice. Gaps that aren't finite (of a step that the guard will drop) move nothing.

    Args:
        multipliers: (M,).
        members: (k,) int64, places in it.
        gaps: (k,), as from `lacking`.
        rate: how far.
        largest: the bound.

    Returns:
        (M,), a new tensor.
    """
    moves = torch.nan_to_num(gaps.detach().to(multipliers.dtype), nan=0.0, posinf=0.0, neginf=0.0) * rate
    return multipliers.index_add(0, members, moves).clamp(0.0, largest)
