"""Figures of a metric against an option: curves of a sweep, and the trials of a search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from engine.study.plots import COLORS, DASHES, WIDTH, legend_below
from engine.study.search import Trial
from engine.study.sweeps import Scale, Sweep, axis_scale, is_numeric

_MOST_TICKS = 9


def sweep_figure(sweep: Sweep, metric: str, mode: str) -> Figure:
    """The mean by the option's value, with t intervals over runs, every run a dot, and the best value marked."""
    figure = Figure(figsize=(WIDTH, 3.4))
    axes = figure.subplots()
    empty: set[float] = set()
    for index, (label, points) in enumerate(sweep.curves.items()):
        color, dash = COLORS[index % len(COLORS)], DASHES[index % len(DASHES)]
        known = [point for point in points if point.sample.values]
        empty |= {point.value for point in points if not point.sample.values}
        for point in known:
            axes.plot([point.value] * len(point.sample.values), point.sample.values, "o", color=color, alpha=0.35, ms=3)
        lower, upper = [], []
        for point in known:
            interval = point.sample.interval
            lower.append(point.sample.mean - interval.lower if interval else 0.0)
            upper.append(interval.upper - point.sample.mean if interval else 0.0)
        axes.errorbar(
            [point.value for point in known], [point.sample.mean for point in known], yerr=[lower, upper],
            fmt=dash, marker="D", color=color, capsize=4, lw=1.6, ms=5, label=label or None,
        )  # fmt: skip
    for value in sorted(empty):
        axes.plot([value], [0.03], "x", color="#a63c00", transform=axes.get_xaxis_transform(), clip_on=False)
        axes.annotate(
            "no figure", (value, 0.05), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8,
            color="#a63c00",
        )  # fmt: skip
    best = sweep.best(mode)
    if best is not None:
        _mark_best(axes, best[1].value, best[1].sample.mean, mode, f"{best[1].value:.3g}")
    values = sorted({point.value for points in sweep.curves.values() for point in points})
    _scale_axis(axes, sweep.scale, values)
    axes.set_xlabel(sweep.option)
    axes.set_ylabel(metric)
    if len(sweep.curves) > 1:
        legend_below(figure, axes)
    return figure


def trials_figure(trials: Sequence[Trial], option: str, metric: str, mode: str, log: bool) -> Figure | None:
    """Every trial of a search at its value of an option; None where no trial has a figure."""
    shown = [trial for trial in trials if trial.result is not None and option in trial.values]
    if not shown:
        return None
    figure = Figure(figsize=(WIDTH, 3.2))
    axes = figure.subplots()
    numeric = all(is_numeric(trial.values[option]) for trial in trials)
    names = sorted({str(trial.values[option]) for trial in trials}) if not numeric else []

    def place(trial: Trial) -> float:
        return float(trial.values[option]) if numeric else float(names.index(str(trial.values[option])))

    _scatter(axes, shown, place)
    for trial in trials:
        if trial.state == "failed" and option in trial.values:
            axes.plot([place(trial)], [0.03], "x", color="#a63c00", transform=axes.get_xaxis_transform(), clip_on=False)
    whole = [trial for trial in shown if trial.state == "complete"]
    if whole:
        best = _best(whole, mode)
        own = best.values[option]
        _mark_best(axes, place(best), best.result or 0.0, mode, f"{own:.3g}" if numeric else str(own))
    if numeric:
        values = sorted({place(trial) for trial in trials})
        scale = axis_scale(values)
        few = len(values) <= _MOST_TICKS and len(values) < len(trials) / 2
        _scale_axis(axes, "log" if log and scale == "linear" and values[0] > 0 else scale, values, ticks=few)
    else:
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_xlabel(option)
    axes.set_ylabel(metric)
    legend_below(figure, axes)
    return figure


def progress_figure(trials: Sequence[Trial], metric: str, mode: str) -> Figure | None:
    """Each trial's figure in the order they were begun, and the best of the whole ones so far."""
    shown = [trial for trial in trials if trial.result is not None]
    whole = [trial for trial in shown if trial.state == "complete"]
    if not whole:
        return None
    figure = Figure(figsize=(WIDTH, 3.2))
    axes = figure.subplots()
    _scatter(axes, shown, lambda trial: trial.number)
    better = max if mode == "max" else min
    best, places, figures = math.nan, [], []
    for trial in whole:
        assert trial.result is not None
        best = trial.result if math.isnan(best) else better(best, trial.result)
        places.append(trial.number)
        figures.append(best)
    axes.plot([*places, trials[-1].number], [*figures, best], "-", drawstyle="steps-post", color="#1b1f24", lw=1.6,
              label="best so far")  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel(metric)
    legend_below(figure, axes)
    return figure


def _best(trials: Sequence[Trial], mode: str) -> Trial:
    sign = 1.0 if mode == "max" else -1.0
    return max(trials, key=lambda trial: sign * (trial.result if trial.result is not None else -sign * math.inf))


def _scatter(axes: Any, trials: Sequence[Trial], place: Any) -> None:
    kinds = (
        ("complete", "o", COLORS[0], "trained to the end"), ("pruned", "x", COLORS[1], "ended early (pruned)"),
        ("open", "1", "#8c959f", "not over yet"), ("failed", "+", "#a63c00", "failed"),
    )  # fmt: skip
    for state, marker, color, label in kinds:
        found = [trial for trial in trials if trial.state == state]
        if found:
            axes.plot([place(trial) for trial in found], [trial.result for trial in found], marker, color=color,
                      label=label, ms=6, alpha=0.85)  # fmt: skip


def _mark_best(axes: Any, x: float, y: float, mode: str, text: str) -> None:
    axes.plot([x], [y], "o", ms=13, mfc="none", mec="#1b1f24", mew=1.4, zorder=5)
    above = mode == "min"  # the others lie on the other side, so there is room here
    axes.annotate(
        f"best: {text}", (x, y), xytext=(0, -12 if above else 12), textcoords="offset points", ha="center",
        va="top" if above else "bottom", fontsize=9, annotation_clip=False,
        bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8},
    )  # fmt: skip
    axes.margins(y=0.18)


def _scale_axis(axes: Any, scale: Scale, values: Sequence[float], *, ticks: bool = True) -> None:
    """Scale the option's axis, with ticks at the values that were tried where they are few."""
    if scale == "symlog":
        axes.set_xscale("symlog", linthresh=min(value for value in values if value > 0), linscale=0.5)
    else:
        axes.set_xscale(scale)
    if ticks and len(values) <= _MOST_TICKS:
        axes.xaxis.set_major_locator(FixedLocator(list(values)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        if len(values) > 5:
            axes.tick_params(axis="x", labelrotation=35)
