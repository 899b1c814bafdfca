"""Similarity preserving: which samples of a batch activate a network alike (Tung and Mori, ICCV 2019)."""

from __future__ import annotations

from torch import Tensor

from engine.tasks.distillation.losses.numeric import in_fp32, unit


def similarity_matrix(features: Tensor) -> Tensor:
    """Products of all pairs of samples' activations, each row of norm 1: (B, B) fp32.

    Args:
        features: (B, ...).
    """
    flat = features.float().flatten(1)
    return unit(flat @ flat.t())


def similarity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the similarity matrices; a scalar.

    Args:
        student: (B, ...), usually the last group's output.
        teacher: (B, ...): the shapes may differ.
    """
    with in_fp32(student):
        return (similarity_matrix(student) - similarity_matrix(teacher)).square().mean()
