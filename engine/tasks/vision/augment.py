"""Augmentation of whole batches on the tensor, drawn from a generator that the caller owns.

Given the same generator the same pictures come out, so neither loader workers nor a resume change a batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

SHARE_OF_SHIFT = 8
"""A picture is shifted by up to one in so many of its pixels: 4 of 32."""


def crop_and_flip(images: Tensor, generator: torch.Generator, *, mirrored: bool) -> Tensor:
    """Pad with black by an eighth of the size, crop at a random place, and flip half of the pictures.

    Args:
        images: (B, C, H, W) of any type.
        generator: on the CPU.
        mirrored: whether to flip.

    Returns:
        (B, C, H, W) of the same type.
    """
    count, channels, height, width = images.shape
    pad = (max(1, height // SHARE_OF_SHIFT), max(1, width // SHARE_OF_SHIFT))
    top = torch.randint(2 * pad[0] + 1, (count, 1), generator=generator)
    left = torch.randint(2 * pad[1] + 1, (count, 1), generator=generator)
    flipped = _coins(count, generator) if mirrored else torch.zeros(count, 1, dtype=torch.bool)
    padded = functional.pad(images, (pad[1], pad[1], pad[0], pad[0]))
    rows, columns = top + torch.arange(height), left + torch.arange(width)
    columns = torch.where(flipped, columns.flip(1), columns)
    # One gather along the flattened places of a picture, the same for all of its channels.
    places = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
    flat = padded.reshape(count, channels, -1)
    index = places.reshape(count, 1, -1).expand(-1, channels, -1).to(images.device)
    return flat.gather(2, index).view(count, channels, height, width)


def resized_crop(
    images: Tensor,
    generator: torch.Generator,
    *,
    mirrored: bool,
    area: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Tensor:
    """Cut a random part of random size and shape out of each picture and scale it up again; flip half of them.

    Args:
        images: (B, C, H, W) of any type.
        generator: on the CPU.
        mirrored: whether to flip.
        area: bounds of the part's share of the picture.
        ratio: bounds of its width over its height; drawn evenly in its logarithm. A side longer than the picture is
            cut to it.

    Returns:
        (B, C, H, W) float32.
    """
    count = len(images)
    shares = area[0] + (area[1] - area[0]) * torch.rand(count, generator=generator)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    shapes = torch.exp(low + (high - low) * torch.rand(count, generator=generator))
    width = (shares * shapes).sqrt().clamp(max=1.0)
    height = (shares / shapes).sqrt().clamp(max=1.0)
    # In the coordinates of grid_sample a picture reaches from -1 to 1, so a part's centre may move by 1 - its size.
    across = (2 * torch.rand(count, generator=generator) - 1) * (1 - width)
    down = (2 * torch.rand(count, generator=generator) - 1) * (1 - height)
    if mirrored:
        width = torch.where(_coins(count, generator).squeeze(1), -width, width)
    zero = torch.zeros(count)
    rows = torch.stack([torch.stack([width, zero, across], 1), torch.stack([zero, height, down], 1)], 1)
    grid = functional.affine_grid(rows.to(images.device), list(images.shape), align_corners=False)
    return functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def _coins(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, 1, generator=generator) < 0.5
