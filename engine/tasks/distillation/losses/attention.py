"""Attention transfer: where the groups are active, whatever their channels (Zagoruyko and Komodakis, ICLR 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.tasks.distillation.losses.numeric import in_fp32, unit
from engine.tasks.distillation.losses.places import at_same_size


def attention_map(features: Tensor) -> Tensor:
    """The sum of squares over the channels at each place, of norm 1 over all places: (B, H * W) fp32.

    Args:
        features: (B, C, H, W).
    """
    return unit(features.float().square().mean(dim=1).flatten(1))


def attention_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Mean squared difference of the attention maps, summed over the groups; a scalar.

    Args:
        student, teacher: group by group, (B, C, H, W); the larger of two maps is pooled to the other's size.
    """
    with in_fp32(student[0]):
        parts = []
        for pair in zip(student, teacher, strict=True):
            mine, wanted = at_same_size(*(features.float() for features in pair))
            parts.append((attention_map(mine) - attention_map(wanted)).square().mean())
        return torch.stack(parts).sum()
