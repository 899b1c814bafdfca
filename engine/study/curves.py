"""Curves of runs as arrays, for plots and reports: by step, epoch or time, smoothed, and as bands over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.errors import HeatsError
from engine.store.elapsed import training_time
from engine.store.metrics import RunHistory, Series
from engine.store.paths import RunPaths, Store
from engine.study.statistics import t_quantile

Axis = Literal["step", "epoch", "seconds", "relative", "time"]
"""Optimizer steps; passes over the training data; seconds of training, pauses between attempts left out; seconds since
the run's first record, pauses counted; or the clock (seconds since 1970)."""
AXIS_LABELS: dict[Axis, str] = {
    "step": "optimizer step", "epoch": "epoch", "seconds": "seconds of training",
    "relative": "seconds since the start, with pauses", "time": "clock",
}  # fmt: skip


@dataclass(frozen=True)
class Points:
    """One metric of one run: x by the axis asked for, y the values; `steps` where x is something else."""

    x: np.ndarray
    y: np.ndarray
    steps: np.ndarray | None = None

    @property
    def at(self) -> np.ndarray:
        """The steps, by which the points of several runs belong together."""
        return self.x if self.steps is None else self.steps


def history(run: RunPaths) -> RunHistory:
    """A run's effective history, read now."""
    found = RunHistory(run)
    found.refresh()
    return found


def points(found: RunHistory, metric: str, axis: Axis = "step") -> Points | None:
    """A metric along an axis; None where the run never logged it."""
    series = found.series.get(metric)
    if series is None or not len(series):
        return None
    values = np.asarray(series.values, dtype=float)
    steps = np.asarray(series.steps, dtype=float)
    if axis == "step":
        return Points(steps, values)
    if axis == "epoch":
        length = steps_per_epoch(found.run)
        return Points(steps / length, values, steps) if length is not None else None
    times = np.asarray(series.times, dtype=float)
    if axis == "time":
        return Points(times, values, steps)
    if axis == "relative":
        start = min(other.times[0] for other in found.series.values() if len(other))
        return Points(times - start, values, steps)
    return Points(training_seconds(found, steps), values, steps)


def steps_per_epoch(run: RunPaths) -> float | None:
    """Optimizer steps in one pass over the training data, by the engine's own word; None where it said nothing."""
    from engine.store.records import read_events
    from engine.store.stored_config import training_config

    for attempt in reversed(run.attempts()):
        for event in read_events(attempt.events)[0]:
            batches = event.facts.get("batches_per_epoch")
            if event.name == "training" and isinstance(batches, int) and batches > 0:
                try:
                    return max(1, batches // training_config(run).train.accumulation)
                except HeatsError:  # of a version whose options are gone
                    return batches
    return None


def training_seconds(found: RunHistory, steps: np.ndarray) -> np.ndarray:
    """Seconds of training until each of these steps. A pause (a stop, a night) counts as one usual step."""
    longest: Series | None = max(found.series.values(), key=len, default=None)
    if longest is None:
        return np.zeros(len(steps))
    elapsed = training_time(np.asarray(longest.times, dtype=float))
    return np.asarray(np.interp(steps, np.asarray(longest.steps, dtype=float), elapsed))


def smooth(values: np.ndarray, weight: float) -> np.ndarray:
    """Exponential smoothing, corrected for its start (as TensorBoard does); 0 changes nothing, NaN is passed over."""
    if weight <= 0:
        return values
    from scipy.signal import lfilter

    finite = np.flatnonzero(np.isfinite(values))
    result = np.full(len(values), np.nan)
    if not len(finite):
        return result
    means = lfilter([1 - weight], [1, -weight], values[finite])
    smoothed = means / (1 - weight ** np.arange(1, len(finite) + 1))
    # What isn't finite takes the value of the last finite point before it; before the first there is none.
    before = np.searchsorted(finite, np.arange(len(values)), side="right") - 1
    result[before >= 0] = smoothed[before[before >= 0]]
    return result


@dataclass(frozen=True)
class Band:
    """Several runs as one curve: the mean and what lies around it, on a common x."""

    x: np.ndarray
    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


BandKind = Literal["interval", "range", "deviation", "none"]


def band(runs: Sequence[Points], kind: BandKind = "interval", confidence: float = 0.95) -> Band | None:
    """The mean over runs with a t interval, the range, or plus and minus one deviation; None without points.

    Runs are matched by step, at the steps of the densest run within what all runs cover; the others are interpolated
    between their own points. Along seconds or time each step stands at the mean of its runs' places: runs of unequal
    speed would else share but a part of the axis.
    """
    runs = [run for run in runs if len(run.x)]
    if not runs:
        return None
    start, end = max(run.at[0] for run in runs), min(run.at[-1] for run in runs)
    densest = max(runs, key=lambda run: len(run.x)).at
    steps = densest[(densest >= start) & (densest <= end)]
    if not len(steps):
        return None
    x = np.mean([np.interp(steps, run.at, run.x) for run in runs], axis=0)
    table = np.stack([np.interp(steps, run.at, run.y) for run in runs])
    mean = table.mean(axis=0)
    if kind == "none" or len(runs) < 2:
        return Band(x, mean, mean, mean)
    if kind == "range":
        return Band(x, mean, table.min(axis=0), table.max(axis=0))
    deviation = table.std(axis=0, ddof=1)
    if kind == "interval":
        deviation = deviation / np.sqrt(len(runs)) * t_quantile((1 + confidence) / 2, len(runs) - 1)
    return Band(x, mean, mean - deviation, mean + deviation)


def first_reaching(found: Points | None, target: float, mode: str) -> float | None:
    """The first x at which the values are at least as good as a target; None if never."""
    if found is None:
        return None
    hits = np.flatnonzero(found.y >= target if mode == "max" else found.y <= target)
    return float(found.x[hits[0]]) if len(hits) else None


def first_metric(store: Store, words: Sequence[str]) -> list[str]:
    """The metrics of the first run that one of the words means: what a person could have asked for."""
    from engine.store.names import find_run

    for word in words:
        try:
            return sorted(history(find_run(store, word)).series)
        except HeatsError:
            continue
    return []
