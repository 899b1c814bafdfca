"""What stands on and beside a chart's axes: labels, ticks, signs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from engine.late import np
from tui import format
from tui.widgets import raster, scale
from tui.widgets.raster import Layer
from tui.widgets.scale import Domain

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LONGEST_LABEL = 7


def place_label(x: float, axis: str) -> str:
    """A place of the x axis in words: 12,300 or 1h05m or 14:02:33."""
    if axis == "step":
        return format.count(round(x))
    if axis == "elapsed":
        return format.duration(x) if x >= 10 else f"{x:.2g}s"
    return format.clock(x) if axis == "time" else f"{x:.4g}"


def broken_columns(layers: Sequence[Layer], width: int) -> NDArray[np.bool_]:
    """In which columns a value of any layer is not finite.

    Args:
        layers: with buckets for whole columns.
        width: columns of the plot.
    """
    broken = np.zeros(width, np.bool_)
    for layer in layers:
        broken |= layer.buckets.broken.reshape(width, -1).any(axis=1)
    return broken


def carried(tops: NDArray[np.int16]) -> NDArray[np.int16]:
    """Blank cells take the colour before them: it doesn't show, and each change of colour costs forty bytes."""
    known = np.where(tops >= 0, np.arange(len(tops)), 0)
    carried: NDArray[np.int16] = tops[np.maximum.accumulate(known)]
    return carried


def row_labels(domain: Domain, height: int) -> dict[int, str]:
    """Which row gets which label; one a row at most, and none twice."""
    count = max(2, height // 3)
    ticks = (scale.log_ticks if domain.log else scale.nice_ticks)(domain.y0, domain.y1, count)
    if len(ticks) < 2:
        ticks = [domain.y0, domain.y1]
    pixel_rows = raster.rows_of(np.array(ticks, np.float64), domain, height * 4)
    texts = [format.short(tick) for tick in ticks]
    if len(set(texts)) < len(texts):
        texts = _told_apart(ticks, texts)
    labels: dict[int, str] = {}
    for text, pixel in zip(texts, pixel_rows, strict=True):
        if text:
            labels.setdefault(min(max(int(pixel) // 4, 0), height - 1), text)
    return labels


def _told_apart(ticks: Sequence[float], texts: Sequence[str]) -> list[str]:
    """Labels of values that are nearly the same: with more digits where these fit, else no number twice."""
    for digits in (5, 6):
        longer = [f"{tick:.{digits}g}" for tick in ticks]
        if len(set(longer)) == len(longer) and max(map(len, longer)) <= _LONGEST_LABEL:
            return longer
    return [text if text not in texts[:at] else "" for at, text in enumerate(texts)]


def with_sign(strip: Strip, at: int, sign: Strip) -> Strip:
    """The strip with another over it from a column on."""
    return Strip.join([strip.crop(0, at), sign, strip.crop(at + sign.cell_length)])


def overlay(strip: Strip, where: NDArray[np.bool_], offset: int, style: Style, sign: str) -> Strip:
    """The strip with a sign in some of its cells."""
    parts: list[Strip] = []
    done = 0
    for place in np.flatnonzero(where).tolist():
        parts += [strip.crop(done, offset + place), Strip([Segment(sign, style)])]
        done = offset + place + 1
    return Strip.join([*parts, strip.crop(done)]) if parts else strip
