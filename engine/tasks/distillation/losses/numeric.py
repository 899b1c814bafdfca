"""Distances and norms whose gradients are finite: fp32 outside autocast, the epsilon inside the root.

Under fp16 autocast an epsilon of 1e-12 is zero, the root's slope at zero is infinite, and infinity times the zero that
arrives there is NaN. Here no root is ever taken of less than EPSILON, and no distance of a row to itself.
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor

EPSILON = 1e-8


def in_fp32(like: Tensor) -> contextlib.AbstractContextManager[Any]:
    """No autocast on the device of a tensor: what is computed in here stays fp32 once its inputs are."""
    return torch.autocast(like.device.type, enabled=False)


def unit(values: Tensor, dim: int = -1) -> Tensor:
    """Values of norm 1 along a dimension (less than 1 close to zero, and 0 at zero), fp32.

    Args:
        values: any floating type.
        dim: along which.
    """
    values = values.float()
    return values / (values.square().sum(dim, keepdim=True) + EPSILON).sqrt()


def off_diagonal(square: Tensor) -> Tensor:
    """The (..., N, N - 1) entries of (..., N, N) matrices that aren't on the diagonal, row by row."""
    count = square.shape[-1]
    # Without the last entry, every N + 1 entries begin with one of the diagonal.
    flat = square.flatten(-2)[..., 1:].reshape(*square.shape[:-2], count - 1, count + 1)
    return flat[..., :-1].reshape(*square.shape[:-2], count, count - 1)


def pairwise_distances(rows: Tensor) -> Tensor:
    """Euclidean distances between different rows: (N, N - 1) fp32, by direct differences.

    Args:
        rows: (N, D).
    """
    rows = rows.float()
    return (off_diagonal((rows.unsqueeze(0) - rows.unsqueeze(1)).square().sum(-1)) + EPSILON).sqrt()
