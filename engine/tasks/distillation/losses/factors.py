"""Factor transfer: the teacher's features in other words, learnt first (Kim and others, NeurIPS 2018).

Phase 1 trains a paraphraser for each group (features to factors) with a decoder (back again) on the frozen teacher.
Phase 2 trains the student with translators, whose factors are to be the paraphrasers'.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.tasks.distillation.losses.numeric import in_fp32, unit
from engine.tasks.distillation.losses.places import at_same_size


def rewriter(before: int, after: int) -> nn.Sequential:
    """From `before` channels to `after`, place by place: a paraphraser, a translator, or a decoder."""
    return nn.Sequential(
        nn.Conv2d(before, before, 1, bias=False), nn.BatchNorm2d(before), nn.ReLU(), nn.Conv2d(before, after, 1)
    )


def reconstruction_loss(decoded: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Mean squared error of the decoded features, the mean over the groups; a scalar. All (B, C, H, W)."""
    with in_fp32(decoded[0]):
        pairs = zip(decoded, teacher, strict=True)
        return torch.stack([(mine.float() - wanted.float()).square().mean() for mine, wanted in pairs]).mean()


def factor_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Mean squared difference of the factors, each of norm 1 over its channels; the mean over the groups, a scalar.

    Args:
        student, teacher: group by group, factors (B, F, H, W); the larger one is pooled to the other's size.
    """
    with in_fp32(student[0]):
        parts = []
        for pair in zip(student, teacher, strict=True):
            mine, wanted = at_same_size(*(factors.float() for factors in pair))
            parts.append((unit(mine, dim=1) - unit(wanted, dim=1)).square().mean())
        return torch.stack(parts).mean()
