"""What a chart shows as files: its points as CSV, its picture as SVG. For a thread: matplotlib takes a second."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import MachineError
from engine.late import np
from engine.store.buckets import Floats, Integers
from tui.widgets import scale
from tui.widgets.scale import Axis, Domain

if TYPE_CHECKING:
    from engine.store.export import Cell, Table


@dataclass(frozen=True)
class ShownLine:
    """The points of one line that are in view."""

    label: str
    steps: Integers
    times: Floats
    places: Floats
    values: Floats
    smoothed: Floats | None
    band: tuple[Floats, Floats] | None


@dataclass(frozen=True)
class Shown:
    """One chart as it is on the screen."""

    group: str
    runs: str
    """What its runs are called, for the files' name."""
    lines: tuple[ShownLine, ...]
    axis: Axis
    domain: Domain


def write(shown: Shown, folder: Path | None = None) -> tuple[Path, Path]:
    """Write both files, named after the runs, the chart and the second.

    Args:
        shown: what.
        folder: where; the working folder, or the home where that can't be written, if None.

    Returns:
        The SVG and the CSV.

    Raises:
        MachineError: no folder can be written.
    """
    from engine.store.export import write_csv

    places = [folder] if folder is not None else [Path.cwd(), Path.home()]
    place = next((place for place in places if os.access(place, os.W_OK)), None)
    if place is None:
        raise MachineError("can't be written", place=str(places[0]), remedy="start heats in a folder of yours")
    words = "-".join(re.sub(r"[^\w.-]+", "-", word).strip("-.") or "x" for word in (shown.runs, shown.group))
    stem = f"{words[:80]}-{time.strftime('%Y%m%d-%H%M%S')}"
    picture, points = place / f"{stem}.svg", place / f"{stem}.csv"
    try:
        with open(points, "wb") as file:
            write_csv(_table(shown), file)
    except OSError as error:
        raise MachineError(f"can't be written ({error.strerror})", place=str(points)) from error
    _draw(shown, picture)
    return picture, points


def _table(shown: Shown) -> Table:
    from engine.store.export import Table

    columns: dict[str, type] = {"line": str, "step": int, "time": float, "value": float}
    columns |= {"smoothed": float} if any(line.smoothed is not None for line in shown.lines) else {}
    columns |= {"low": float, "high": float} if any(line.band is not None for line in shown.lines) else {}
    return Table(columns, _rows(shown.lines, columns))


def _rows(lines: Sequence[ShownLine], columns: dict[str, type]) -> Iterator[Sequence[Cell]]:
    for line in lines:
        nothing: list[Any] = [None] * len(line.steps)
        parts: list[Sequence[Any]] = [line.steps.tolist(), line.times.tolist(), line.values.tolist()]
        if "smoothed" in columns:
            parts.append(nothing if line.smoothed is None else line.smoothed.tolist())
        if "low" in columns:
            parts += [nothing, nothing] if line.band is None else [rim.tolist() for rim in line.band]
        for cells in zip(*parts, strict=True):
            yield (line.label, *cells)


def _draw(shown: Shown, path: Path) -> None:
    from engine.study import plots
    from engine.study.curves import Points

    places = [_from_start(line.places, shown) for line in shown.lines]
    groups = {
        line.label: [Points(x, line.values if line.smoothed is None else line.smoothed, line.steps)]
        for line, x in zip(shown.lines, places, strict=True)
    }
    label = "seconds since the first point" if shown.axis == "time" else scale.AXIS_NAMES[shown.axis]
    label += " (seconds)" if shown.axis == "elapsed" else ""
    domain = shown.domain
    figure = plots.curves_figure(
        groups, metric=shown.group, x_label=label, band_kind="none", scale="log" if domain.log else "linear"
    )
    axes = figure.axes[0]
    for index, (line, x) in enumerate(zip(shown.lines, places, strict=True)):
        color = plots.COLORS[index % len(plots.COLORS)]
        if line.smoothed is not None:
            thin = plots.thinned(line.values)
            axes.plot(x[thin], line.values[thin], color=color, alpha=0.25, lw=0.8, zorder=0)
        if line.band is not None:
            axes.fill_between(x, *line.band, color=color, alpha=0.18, lw=0)
    axes.set_ylim(domain.y0, domain.y1)
    if domain.log_x:
        axes.set_xscale("log")
    axes.set_xlim(*(float(edge) for edge in _from_start(np.array([domain.x0, domain.x1]), shown)))
    plots.save(figure, path)


def _from_start(places: Floats, shown: Shown) -> Floats:
    """Places as a picture labels them: a clock in seconds since 1970 would be illegible."""
    return places - min(float(line.places[0]) for line in shown.lines) if shown.axis == "time" else places
