"""Neuron selectivity transfer: where the channels fire, as distributions (Huang and Wang 2017, arXiv 1707.01219)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.tasks.distillation.losses.numeric import in_fp32, unit
from engine.tasks.distillation.losses.places import at_same_size


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    """The mean of the polynomial kernel (a . b)^2 over all pairs of channels and the batch; a scalar.

    Args:
        first: (B, C, P), each channel of norm 1.
        second: (B, D, P).
    """
    return (first @ second.transpose(1, 2)).square().mean()


def discrepancy(student: Tensor, teacher: Tensor) -> Tensor:
    """The squared maximum mean discrepancy between channels' patterns, with that kernel; a scalar.

    Args:
        student: (B, C, H, W).
        teacher: (B, D, H, W).
    """
    mine, wanted = (unit(features.flatten(2)) for features in at_same_size(student.float(), teacher.float()))
    return _kernel(mine, mine) + _kernel(wanted, wanted) - 2 * _kernel(mine, wanted)


def selectivity_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """The discrepancy, summed over the groups; a scalar."""
    with in_fp32(student[0]):
        return torch.stack([discrepancy(*pair) for pair in zip(student, teacher, strict=True)]).sum()
