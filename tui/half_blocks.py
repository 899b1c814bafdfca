"""Pictures in a terminal: two pixels a cell, the upper one as a half block and the lower one as its background."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Colour = tuple[int, int, int]
_UPPER = "▀"
_SHADES = " .:-=+*#%@"


@dataclass(frozen=True)
class Pixels:
    """A picture small enough for a terminal, row by row."""

    rows: tuple[tuple[Colour, ...], ...]

    @property
    def width(self) -> int:
        return len(self.rows[0]) if self.rows else 0


def read_pixels(path: Path, width: int, height: int) -> Pixels | None:
    """A picture scaled down to so many pixels at most, its shape kept, never scaled up; None where it can't be read.

    Args:
        path: a PNG file.
        width: pixels, and columns, at most.
        height: pixels at most; two of them share a line.
    """
    from PIL import Image

    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > 1 << 24:  # none of ours; it would only cost memory
                return None
            image = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # gone, half written, or no picture
        return None
    factor = min(1.0, width / image.width, height / image.height)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    if size != image.size:
        image = image.resize(size, Image.Resampling.BOX)
    content = image.tobytes()
    flat = [(content[at], content[at + 1], content[at + 2]) for at in range(0, len(content), 3)]
    return Pixels(tuple(tuple(flat[row * size[0] : (row + 1) * size[0]]) for row in range(size[1])))


def cells_of(pixels: Pixels) -> Iterator[list[tuple[Colour, Colour]]]:
    """Line by line, the upper and the lower colour of each cell; below an odd last row all is black."""
    black = ((0, 0, 0),) * pixels.width
    for at in range(0, len(pixels.rows), 2):
        lower = pixels.rows[at + 1] if at + 1 < len(pixels.rows) else black
        yield list(zip(pixels.rows[at], lower, strict=True))


def coloured_lines(pixels: Pixels) -> list[str]:
    """The picture as lines with 24-bit colours (ECMA-48 SGR 38 and 48)."""
    lines = []
    for cells in cells_of(pixels):
        parts, last = [], None
        for upper, lower in cells:
            if (upper, lower) != last:
                parts.append("\x1b[38;2;{};{};{};48;2;{};{};{}m".format(*upper, *lower))
                last = (upper, lower)
            parts.append(_UPPER)
        lines.append("".join(parts) + "\x1b[0m")
    return lines


def plain_lines(pixels: Pixels) -> list[str]:
    """The picture in shades of ASCII, for terminals without colours."""
    return ["".join(_shade(upper, lower) for upper, lower in cells) for cells in cells_of(pixels)]


def _shade(upper: Colour, lower: Colour) -> str:
    level = sum(upper + lower) / (6 * 255)
    return _SHADES[min(len(_SHADES) - 1, int(level * len(_SHADES)))]
