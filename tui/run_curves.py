"""The curves of one or several runs as charts show them: groups, lines, colours, bands over seeds. Pure functions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.late import np
from engine.store.buckets import Curve, Floats, curve
from tui.widgets.plot import Line
from tui.widgets.scale import Axis

DEFAULT_GROUP = "loss"
_COLORS = 8
_FIRST_PREFIXES = ("train", "val", "test")


def group_of(metric: str) -> str:
    """What a metric measures, wherever it was measured: `loss` for train/loss and val/loss."""
    return metric.partition("/")[2] or metric


def prefix_of(metric: str) -> str:
    """Where it was measured: `train`; nothing for a metric without a prefix."""
    return metric.partition("/")[0] if "/" in metric else ""


def groups_of(metrics: Iterable[str]) -> tuple[str, ...]:
    """The groups there are, the loss first."""
    found = dict.fromkeys(group_of(metric) for metric in metrics)
    return tuple(sorted(found, key=lambda group: (group != DEFAULT_GROUP, group)))


@dataclass(frozen=True)
class RunCurves:
    """All curves of one run at one moment."""

    run_id: str
    label: str
    """What the run is called among those shown beside it."""
    curves: Mapping[str, Curve]
    places: Mapping[str, Floats] = field(default_factory=dict)
    """Where each curve's points lie on the axis asked for; a metric is missing where the run doesn't know."""
    arm: str | None = None


@dataclass(frozen=True)
class ChartsView:
    """What a grid of charts shows: some runs' curves, the first run's lines drawn first."""

    runs: tuple[RunCurves, ...] = ()
    axis: Axis = "step"
    version: tuple[tuple[str, int, int], ...] = ()
    """Grows with any run's curves; what has the same shows the same."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics of all runs."""
        return tuple(dict.fromkeys(metric for run in self.runs for metric in run.curves))

    @property
    def groups(self) -> tuple[str, ...]:
        """The charts there are."""
        return groups_of(self.metrics)


def lines_of(view: ChartsView, group: str, *, hidden: frozenset[str] = frozenset(), bands: bool = False) -> list[Line]:
    """The lines of one chart. A run keeps its colour whatever else is shown or hidden.

    Args:
        view: the runs.
        group: which chart.
        hidden: the keys (`run id` + tab + `metric`) of the lines that are only named.
        bands: show runs of one arm as their mean with the range over them.
    """
    names = sorted({name for run in view.runs for name in run.curves if group_of(name) == group}, key=_prefix_order)
    dashes = {name: (0, 3, 2, 1)[min(index, 3)] for index, name in enumerate(names)}
    if len(view.runs) == 1:
        run = view.runs[0]
        return [
            _line(run, name, prefix_of(name) or name, index, 0, hidden)
            for index, name in enumerate(names)
            if name in run.curves
        ]
    colors = run_colors([run.run_id for run in view.runs])
    lines: list[Line] = []
    taken: set[str] = set()
    for run in view.runs:
        together = [other for other in view.runs if other.arm is not None and other.arm == run.arm]
        if bands and len(together) > 1:
            if run.arm is not None and run.arm not in taken:
                taken.add(run.arm)
                lines += _bands(together, names, colors[run.run_id], dashes, hidden)
            continue
        for name in names:
            if name in run.curves:
                label = f"{run.label} {prefix_of(name)}".rstrip() if len(names) > 1 else run.label
                lines.append(_line(run, name, label, colors[run.run_id], dashes[name], hidden))
    return lines


def _prefix_order(name: str) -> tuple[int, str]:
    prefix = prefix_of(name)
    return (_FIRST_PREFIXES.index(prefix) if prefix in _FIRST_PREFIXES else len(_FIRST_PREFIXES), name)


def _line(run: RunCurves, name: str, label: str, color: int, dash: int, hidden: frozenset[str]) -> Line:
    key = f"{run.run_id}\t{name}"
    return Line(label, run.curves[name], run.places.get(name), color, dash, hidden=key in hidden, key=key)


def run_colors(run_ids: Sequence[str]) -> dict[str, int]:
    """A colour a run: the one its id asks for, or the next that is free. Up to eight runs all differ."""
    chosen: dict[str, int] = {}
    for run_id in sorted(run_ids):
        wanted = int(hashlib.sha256(run_id.encode()).hexdigest()[:8], 16) % _COLORS
        round_number = len(chosen) // _COLORS
        used = set(list(chosen.values())[round_number * _COLORS :])
        chosen[run_id] = next(
            (color for step in range(_COLORS) if (color := (wanted + step) % _COLORS) not in used), wanted
        )
    return chosen


def _bands(
    runs: Sequence[RunCurves], names: Sequence[str], color: int, dashes: Mapping[str, int], hidden: frozenset[str]
) -> list[Line]:
    lines = []
    for name in names:
        found = [run for run in runs if name in run.curves and len(run.curves[name])]
        if not found:
            continue
        label = f"{runs[0].arm} (mean of {len(found)})"
        label = f"{label} {prefix_of(name)}".rstrip() if len(names) > 1 else label
        key = f"arm {runs[0].arm}\t{name}"
        line = _mean(found, name)
        if line is not None:
            mean, places, rims = line
            lines.append(Line(label, mean, places, color, dashes[name], rims, key in hidden, key))
    return lines


def _mean(runs: Sequence[RunCurves], name: str) -> tuple[Curve, Floats | None, tuple[Curve, Curve]] | None:
    """The mean over runs with the least and greatest value, at the densest run's steps within what all cover."""
    curves = [run.curves[name] for run in runs]
    start, end = max(part.steps[0] for part in curves), min(part.steps[-1] for part in curves)
    densest = max(curves, key=len).steps
    steps = densest[(densest >= start) & (densest <= end)]
    if not len(steps):
        return None
    table = np.stack([np.interp(steps, part.steps, part.values) for part in curves])
    times = np.mean([np.interp(steps, part.steps, part.times) for part in curves], axis=0)
    places = None
    if all(name in run.places for run in runs):
        places = np.mean([np.interp(steps, run.curves[name].steps, run.places[name]) for run in runs], axis=0)
    mean, low, high = (curve(steps, values) for values in (table.mean(axis=0), table.min(axis=0), table.max(axis=0)))
    return Curve(mean.steps, mean.values, times, mean.levels, mean.broken), places, (low, high)


def unique_labels(names: Sequence[tuple[str, str]]) -> list[str]:
    """What runs are called beside each other: their names, with the end of the id where two are the same.

    Args:
        names: each run's id and name.
    """
    found = [name for _, name in names]
    return [name if found.count(name) == 1 else f"{name} {run_id[-4:]}" for run_id, name in names]
