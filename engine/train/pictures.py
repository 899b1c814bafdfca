"""Pictures as PNG files: small ones are scaled up by whole numbers, so that every pixel stays a sharp square."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.store.files import write_atomic


@dataclass(frozen=True)
class Picture:
    """A PNG file in memory; height and width in pixels."""

    png: bytes
    height: int
    width: int

    @classmethod
    def of(cls, image: Tensor) -> Picture:
        """Encode a picture, (C, H, W) uint8 with one (grey) or three channels."""
        from PIL import Image

        pixels = image.expand(3, -1, -1).permute(1, 2, 0).contiguous().cpu().numpy()
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        return cls(stream.getvalue(), pixels.shape[0], pixels.shape[1])

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all; its folder is made where it is missing.

        Raises:
            OSError, MachineError: the disk is full or fails.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, self.png)


def grid(images: Tensor, *, columns: int = 8, scale: int = 2, background: int = 96) -> Tensor:
    """Pictures side by side, scaled up by a whole number, with a line of grey between them.

    Args:
        images: (N, C, H, W) uint8, one or three channels.
        columns: pictures in a row, at most.
        scale: each pixel becomes a square of so many.
        background: the grey between them.

    Returns:
        (3, height, width) uint8.
    """
    from torchvision.utils import make_grid

    made: Tensor = make_grid(enlarged(images, scale).float(), nrow=columns, padding=2, pad_value=float(background))
    return made.to(torch.uint8)


def enlarged(images: Tensor, scale: int) -> Tensor:
    """Pictures (..., H, W) in which each pixel has become a square of scale x scale."""
    return images.repeat_interleave(scale, dim=-2).repeat_interleave(scale, dim=-1)
