"""Relational distillation: how samples lie to each other, not where (Park and others, CVPR 2019)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engine.tasks.distillation.losses.numeric import in_fp32, off_diagonal, pairwise_distances, unit


def relative_distances(rows: Tensor) -> Tensor:
    """Distances between different rows, divided by their mean: (N, N - 1) fp32.

    Args:
        rows: (N, D).
    """
    distances = pairwise_distances(rows)
    return distances / distances.mean()


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Smooth L1 of the relative distances; a scalar.

    Args:
        student: (N, D).
        teacher: (N, E): the widths may differ.
    """
    with in_fp32(student):
        return functional.smooth_l1_loss(relative_distances(student), relative_distances(teacher))


def triplet_angles(rows: Tensor) -> Tensor:
    """Cosines of the angles at each row between any two others: (N, N - 1, N - 2) fp32, N^3 of them.

    Args:
        rows: (N, D).
    """
    rows = rows.float()
    # (D, N, N - 1): from each row to every other one, so that no difference of a row to itself is ever normalised.
    differences = off_diagonal((rows.unsqueeze(0) - rows.unsqueeze(1)).permute(2, 0, 1))
    towards = unit(differences, dim=0).permute(1, 2, 0)
    return off_diagonal(towards @ towards.transpose(1, 2))


def pairwise_cosines(rows: Tensor) -> Tensor:
    """Cosines between different rows themselves: (N, N - 1) fp32. Cheaper, and another figure than triplets' angles.

    Args:
        rows: (N, D).
    """
    normed = unit(rows)
    return off_diagonal(normed @ normed.t())


def angle_loss(student: Tensor, teacher: Tensor, kind: str = "triplet") -> Tensor:
    """Smooth L1 of the cosines; a scalar.

    Args:
        student: (N, D).
        teacher: (N, E).
        kind: triplet or pairwise.
    """
    measure = triplet_angles if kind == "triplet" else pairwise_cosines
    with in_fp32(student):
        return functional.smooth_l1_loss(measure(student), measure(teacher))


def naive_distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """The form that can't be trained in fp16, kept only to show that: under autocast its gradient is NaN.

    Its diagonal is exactly 0, the bound of 1e-12 is 0 in fp16 as well, and the root's slope there is infinite.
    """
    return functional.smooth_l1_loss(_naive_distances(student), _naive_distances(teacher))


def _naive_distances(rows: Tensor) -> Tensor:
    product = rows @ rows.t()  # fp16 under autocast
    squares = product.diagonal()
    squared = squares.unsqueeze(0) + squares.unsqueeze(1) - 2 * product
    least = torch.tensor(1e-12, dtype=squared.dtype, device=rows.device)
    # What clamp(min=1e-12) did up to torch 2.13: at its bound it let gradients through. Later versions don't.
    distances = torch.where(squared >= least, squared, least).sqrt()
    return distances / distances.mean().detach()
