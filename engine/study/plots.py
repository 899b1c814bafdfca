"""Figures by matplotlib, drawn from the record and never in the training loop."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from engine.errors import HeatsError, MachineError
from engine.study.curves import BandKind, Points, band, smooth
from engine.study.verdict import Comparison

# Okabe and Ito's colours, told apart by the colour-blind; dashes tell them apart in print.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#f0e442")
DASHES = ("-", "--", "-.", ":")
FORMATS = ("png", "svg", "pdf")
_MOST_POINTS = 2000

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
    """
    figure = Figure(figsize=size)
    axes = figure.subplots()
    for index, (label, runs) in enumerate(groups.items()):
        color, dash = COLORS[index % len(COLORS)], DASHES[index // len(COLORS) % len(DASHES)]
        smoothed = [Points(run.x, smooth(run.y, smoothing), run.steps) for run in runs]
        found = band(smoothed, band_kind)
        if found is None:
            continue
        count = f" (n = {len(runs)})" if len(runs) > 1 else ""
        thin = thinned(found.mean, found.lower, found.upper)
        marker = "o" if len(found.x) <= 30 else None
        axes.plot(found.x[thin], found.mean[thin], dash, color=color, label=f"{label}{count}", marker=marker, ms=3)
        if len(runs) > 1 and band_kind != "none":
            axes.fill_between(found.x[thin], found.lower[thin], found.upper[thin], color=color, alpha=0.18, lw=0)
        _mark_non_finite(axes, smoothed, color)
    if target is not None:
        axes.axhline(target, color="#777777", lw=1, ls=":")
        axes.annotate("target", (1, target), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
    axes.set_xlabel(x_label)
    axes.set_ylabel(metric)
    axes.set_yscale(scale)
    if axes.has_data():
        axes.legend()
    return figure


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
    figure = Figure(figsize=size or (7.0, 1.2 + 0.8 * len(comparisons)))
    axes = figure.subplots()
    for place, item in enumerate(reversed(comparisons)):
        color = COLORS[(len(comparisons) - 1 - place) % len(COLORS)]
        if item.differences:
            spread = np.linspace(-0.16, 0.16, len(item.differences)) if len(item.differences) > 1 else [0.0]
            axes.plot(item.differences, place + np.asarray(spread), "o", color=color, alpha=0.45, ms=4)
        if item.interval is not None and item.mean is not None:
            half = [[item.mean - item.interval.lower], [item.interval.upper - item.mean]]
            axes.errorbar([item.mean], [place], xerr=half, fmt="D", color=color, capsize=5, lw=2, ms=6)
        margin = item.hypothesis.by
        if margin:
            axes.plot([margin, margin], [place - 0.35, place + 0.35], color="#444444", lw=1, ls="--")
            axes.annotate("margin", (margin, place + 0.36), ha="center", va="bottom", fontsize=8)
    axes.axvline(0, color="#777777", lw=1)
    axes.set_yticks(
        range(len(comparisons)),
        [f"{item.hypothesis.better} over {item.hypothesis.than}" for item in reversed(comparisons)],
    )
    axes.set_ylim(-0.6, len(comparisons) - 0.3)
    metrics = ", ".join(dict.fromkeys(item.hypothesis.metric for item in comparisons))
    axes.set_xlabel(f"paired difference in {metrics} (to the right: better)")
    return figure


def arms_figure(values: Mapping[str, Sequence[float]], metric: str, chance: float | None = None) -> Figure:
    """Each arm's values over seeds, with mean and t interval."""
    from engine.study.statistics import describe

    figure = Figure(figsize=(7.0, 1.2 + 0.45 * max(1, len(values))))
    axes = figure.subplots()
    for place, found in enumerate(reversed(list(values.values()))):
        color = COLORS[(len(values) - 1 - place) % len(COLORS)]
        axes.plot(found, [place] * len(found), "o", color=color, alpha=0.45, ms=4)
        sample = describe(found)
        if sample.interval is not None:
            half = [[sample.mean - sample.interval.lower], [sample.interval.upper - sample.mean]]
            axes.errorbar([sample.mean], [place], xerr=half, fmt="D", color=color, capsize=5, lw=2, ms=6)
    if chance is not None:
        axes.axvline(chance, color="#777777", lw=1, ls=":")
    axes.set_yticks(range(len(values)), list(reversed(list(values))))
    axes.set_ylim(-0.6, len(values) - 0.4)
    axes.set_xlabel(metric)
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
