"""Bringing the feature maps of two networks to one size."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def at_same_size(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two batches of feature maps, (B, C, H, W), the larger one average-pooled to the size of the smaller."""
    height, width = (min(sides) for sides in zip(first.shape[2:], second.shape[2:], strict=True))
    return _pooled(first, height, width), _pooled(second, height, width)


def _pooled(features: Tensor, height: int, width: int) -> Tensor:
    if features.shape[2:] == (height, width):
        return features
    if features.shape[2] % height == 0 and features.shape[3] % width == 0:
        # The adaptive kernel has no deterministic backward pass on CUDA; the plain one has.
        return functional.avg_pool2d(features, (features.shape[2] // height, features.shape[3] // width))
    return functional.adaptive_avg_pool2d(features, (height, width))
