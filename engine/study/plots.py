"""Figures by matplotlib, drawn from the record and never in the training loop."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib import dates
from matplotlib.figure import Figure

from engine.errors import HeatsError, MachineError
from engine.study.curves import Axis, BandKind, Points, band, smooth
from engine.study.maps import Grid
from engine.study.verdict import Comparison, Word

# Okabe and Ito's colours, told apart by the colour-blind, but for their yellow, which is too pale on white; dashes tell
# them apart in print.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f5539")
DASHES = ("-", "--", "-.", ":")
FORMATS = ("png", "svg", "pdf")
WIDTH = 5.4
"""Inches, of the report's figures: narrow enough that their letters can be read on a telephone."""
_MOST_POINTS = 2000
_LONGEST_LABEL = 30
_NO_COLOR = "#8c959f"
_WORD_COLORS = {
    Word.CONFIRMED: "#009e73", Word.REJECTED: "#d55e00", Word.INCONCLUSIVE: "#8c959f", Word.IDENTICAL: "#0072b2",
}  # fmt: skip

mpl.use("agg")
mpl.rcParams |= {
    "svg.fonttype": "none",  # text stays text: it can be searched and read aloud
    "svg.hashsalt": "heats",  # the same data gives the same file
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
    "font.size": 10, "legend.frameon": False, "figure.constrained_layout.use": True,
}  # fmt: skip


def curves_figure(
    groups: Mapping[str, Sequence[Points]],
    *,
    metric: str,
    x_label: str,
    smoothing: float = 0.0,
    band_kind: BandKind = "interval",
    scale: Literal["linear", "log"] = "linear",
    target: float | None = None,
    size: tuple[float, float] = (7.0, 4.0),
    colors: Mapping[str, int] | None = None,
    axis: Axis = "step",
) -> Figure:
    """One curve a group, with a band where it has several runs.

    Args:
        groups: by label (an arm, or a run) the points of its runs.
        metric: for the y axis.
        x_label: for the x axis.
        smoothing: exponential smoothing of each run, from 0 to below 1.
        band_kind: what the band shows.
        scale: of the y axis.
        target: a value to mark.
        size: inches.
        colors: by label, the number of its colour; else in the order of the groups.
        axis: what x is: seconds become minutes or hours where they are many, and along the clock, where no two runs
            belong together, every run is a curve of its own.
    """
    figure = Figure(figsize=size)
    axes = figure.subplots()
    groups, x_label = _people_s_units(groups, x_label, axis)
    for place, (label, runs) in enumerate(groups.items()):
        index = (colors or {}).get(label, place)
        color, dash = COLORS[index % len(COLORS)], DASHES[index // len(COLORS) % len(DASHES)]
        smoothed = [Points(run.x, smooth(run.y, smoothing), run.steps) for run in runs]
        if axis == "time":
            for number, run in enumerate(smoothed):
                axes.plot(run.x, run.y, dash, color=color, lw=1.2, label=None if number else shortened(label))
                _mark_non_finite(axes, [run], color)
            continue
        found = band(smoothed, band_kind)
        if found is None:
            continue
        count = f" (n = {len(runs)})" if len(runs) > 1 else ""
        thin = thinned(found.mean, found.lower, found.upper)
        marker = "o" if len(found.x) <= 30 else None
        axes.plot(
            found.x[thin], found.mean[thin], dash, color=color, label=f"{shortened(label)}{count}", marker=marker, ms=3
        )
        if len(runs) > 1 and band_kind != "none":
            axes.fill_between(found.x[thin], found.lower[thin], found.upper[thin], color=color, alpha=0.18, lw=0)
        _mark_non_finite(axes, smoothed, color)
    if target is not None:
        axes.axhline(target, color="#777777", lw=1, ls=":")
        axes.annotate("target", (0.01, target), xycoords=("axes fraction", "data"), ha="left", va="bottom", fontsize=8)
    axes.set_xlabel(x_label)
    axes.set_ylabel(metric)
    axes.set_yscale(scale)
    if axis == "time":
        locator = dates.AutoDateLocator(maxticks=8)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    if axes.has_data():
        legend_below(figure, axes)
    return figure


def _people_s_units(
    groups: Mapping[str, Sequence[Points]], label: str, axis: Axis
) -> tuple[Mapping[str, Sequence[Points]], str]:
    """Seconds as minutes or hours where they are many, and the clock as local dates, with the label that fits."""
    last = max((float(run.x[-1]) for runs in groups.values() for run in runs if len(run.x)), default=0.0)
    if axis in ("seconds", "relative") and last >= 300:
        divisor, unit = (60.0, "minutes") if last < 10_800 else (3600.0, "hours")
        label = label.replace("seconds", unit, 1)
        offset = 0.0
    elif axis == "time":
        divisor, offset = 86_400.0, float(time.localtime(last).tm_gmtoff)
    else:
        return groups, label
    return {
        name: [Points((run.x + offset) / divisor, run.y, run.at) for run in runs] for name, runs in groups.items()
    }, label


def legend_below(figure: Figure, axes: Any) -> None:
    """A legend under the axes, where it hides nothing, for which the figure grows; as many columns as fit.

    None where nothing has a name.
    """
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    room = int(figure.get_size_inches()[0] * 12)  # letters of this size that fit on a line
    columns = max(1, min(len(labels), room // (max(map(len, labels)) + 8)))
    rows = -(-len(labels) // columns)
    figure.set_figheight(figure.get_figheight() + 0.19 * (rows - 1))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=9)


def shortened(label: str, most: int = _LONGEST_LABEL) -> str:
    """A name with its middle left out where it would take the figure's room."""
    if len(label) <= most:
        return label
    head = most // 2
    return f"{label[:head]}…{label[len(label) - (most - head - 1) :]}"


def thinned(*curves: np.ndarray) -> np.ndarray:
    """The places to draw of curves with the same x: of each small stretch the lowest and highest, so spikes survive.

    First, last and, in each stretch, the first place that isn't finite are kept too.
    """
    count = len(curves[0])
    if count <= _MOST_POINTS:
        return np.arange(count)
    width = -(-count // (_MOST_POINTS // 4))
    starts = np.arange(0, count, width)
    kept = [np.asarray([0, count - 1]), starts]
    for curve in curves:
        padded = np.full(len(starts) * width, np.nan)
        padded[:count] = curve
        table = padded.reshape(len(starts), width)
        finite = np.isfinite(table)
        kept += [
            starts + np.where(finite, table, np.inf).argmin(axis=1),
            starts + np.where(finite, table, -np.inf).argmax(axis=1),
            starts + (~finite).argmax(axis=1),
        ]  # fmt: skip
    places = np.unique(np.concatenate(kept))
    return places[places < count]


def _mark_non_finite(axes: Any, runs: Sequence[Points], color: str) -> None:
    """NaN stands on the axis, where it can't be overlooked."""
    for run in runs:
        bad = run.x[~np.isfinite(run.y)]
        if len(bad):
            on_axis = axes.get_xaxis_transform()
            axes.plot(bad, np.full(len(bad), 0.01), "x", color=color, transform=on_axis, clip_on=False)


def intervals_figure(comparisons: Sequence[Comparison], size: tuple[float, float] | None = None) -> Figure:
    """Each paired difference with its interval, its single values, and the margin that it had to pass."""
    figure = Figure(figsize=size or (WIDTH, 1.3 + 0.7 * len(comparisons)))
    axes = figure.subplots()
    for place, item in enumerate(reversed(comparisons)):
        color = _WORD_COLORS[item.word]
        if item.differences:
            spread = np.linspace(-0.16, 0.16, len(item.differences)) if len(item.differences) > 1 else [0.0]
            axes.plot(item.differences, place + np.asarray(spread), "o", color=color, alpha=0.45, ms=4)
        if item.interval is not None and item.mean is not None:
            half = [[item.mean - item.interval.lower], [item.interval.upper - item.mean]]
            axes.errorbar([item.mean], [place], xerr=half, fmt="D", color=color, capsize=5, lw=2, ms=6)
        if item.hypothesis.by:
            margin = item.hypothesis.by
            axes.plot([margin, margin], [place - 0.38, place + 0.38], color="#444444", lw=1.2, ls="--")
            if place == len(comparisons) - 1:
                axes.annotate("margin", (margin, place + 0.4), ha="center", va="bottom", fontsize=8)
    axes.axvline(0, color="#777777", lw=1)
    axes.set_yticks(
        range(len(comparisons)),
        [
            f"{shortened(item.hypothesis.better, 22)}\nover {shortened(item.hypothesis.than, 22)}\n{item.word}"
            for item in reversed(comparisons)
        ],
        fontsize=9,
    )
    axes.set_ylim(-0.6, len(comparisons) - 0.2)
    metrics = ", ".join(dict.fromkeys(item.hypothesis.metric for item in comparisons))
    axes.set_xlabel(f"paired difference in {metrics}\n(to the right: for the claim)")
    return figure


def arms_figure(
    values: Mapping[str, Sequence[float]],
    metric: str,
    chance: float | None = None,
    colors: Mapping[str, int] | None = None,
    references: Mapping[str, float] | None = None,
) -> Figure:
    """Each arm's values over seeds, with mean and t interval.

    Args:
        values: by arm, one a run.
        metric: for the axis.
        chance: a value to mark.
        colors: by arm, the number of its colour; an arm without one is grey. By default all have one.
        references: by name, further values to mark.
    """
    from engine.study.statistics import describe

    figure = Figure(figsize=(WIDTH, 1.0 + (0.42 if len(values) <= 10 else 0.27) * max(1, len(values))))
    axes = figure.subplots()
    for place, (name, found) in enumerate(reversed(list(values.items()))):
        index = len(values) - 1 - place if colors is None else colors.get(name)
        color = _NO_COLOR if index is None else COLORS[index % len(COLORS)]
        axes.plot(found, [place] * len(found), "o", color=color, alpha=0.45, ms=4)
        sample = describe(found)
        if sample.interval is not None:
            half = [[sample.mean - sample.interval.lower], [sample.interval.upper - sample.mean]]
            axes.errorbar([sample.mean], [place], xerr=half, fmt="D", color=color, capsize=4, lw=1.6, ms=5)
    if chance is not None:
        axes.axvline(chance, color="#777777", lw=1, ls=":")
    axes.set_yticks(range(len(values)), [shortened(name) for name in reversed(list(values))], fontsize=9)
    axes.set_ylim(-0.6, len(values) - 0.4)
    axes.set_xlabel(metric)
    for place, (name, value) in enumerate((references or {}).items()):
        axes.axvline(value, color="#444444", lw=1.2, ls=DASHES[1 + place % 3], label=f"{name} ({value:.4g})")
    if references:
        legend_below(figure, axes)
    return figure


def grid_figure(grid: Grid, metric: str) -> Figure:
    """A grid of figures as colours, each with its number; on a logarithmic scale where the span is threefold or more.

    Args:
        grid: what to draw.
        metric: for the scale.
    """
    from matplotlib.colors import LogNorm, Normalize

    rows, columns = len(grid.rows), len(grid.columns)
    figure = Figure(figsize=(max(WIDTH, 1.8 + 0.62 * columns), 1.2 + 0.5 * rows))
    axes = figure.subplots()
    values = np.asarray(grid.values, dtype=float)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    norm = LogNorm(low, high) if 0 < low * 3 <= high else Normalize(low, high)
    image = axes.imshow(values, cmap="cividis", norm=norm, aspect="auto")
    for place, value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = float(norm(value)) < 0.55
            axes.text(place[1], place[0], f"{value:.4g}", ha="center", va="center", fontsize=8,
                      color="white" if dark else "black")  # fmt: skip
    axes.set_xticks(range(columns), grid.columns)
    axes.set_yticks(range(rows), [shortened(name) for name in grid.rows], fontsize=9)
    axes.grid(visible=False)
    figure.colorbar(image, label=metric)
    return figure


def to_svg(figure: Figure) -> str:
    """The figure as an SVG element, for a page that holds all it needs."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the suffix says the format.

    Raises:
        HeatsError: a suffix that is none of png, svg and pdf.
        MachineError: the file can't be written.
    """
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        raise HeatsError(f"`{path.name}` says no format", remedy=f"end it in .{', .'.join(FORMATS)}")
    try:
        figure.savefig(path, dpi=150, metadata={"Date": None} if suffix == "svg" else None)
    except OSError as error:
        raise MachineError(f"can't be written ({error.strerror})", place=str(path)) from error
