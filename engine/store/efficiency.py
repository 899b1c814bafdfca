"""What runs reach for their size, their time and their work: measured from their records, without torch.

Seconds are those of training: from an attempt's first step on, with its evaluations and checkpoints, without the
pauses between attempts and without what a later attempt shadowed.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.errors import HeatsError
from engine.store import checkpoints
from engine.store.export import stored_options
from engine.store.files import decode_number, encode_number
from engine.store.metrics import JsonLinesTail, RunHistory
from engine.store.paths import AttemptPaths, RunPaths
from engine.store.records import read_events, read_launch, read_run
from engine.store.shards import spread_tensors, tensor_files

Mode = Literal["min", "max"]
_LOSS = "val/loss"
_FIRST_CHOICE = "val/exact_match"
_LESS_IS_BETTER = ("loss", "error", "perplexity", "entropy")


@dataclass(frozen=True)
class Goal:
    """Which metric counts, whether less or more of it is better, and the value to be reached (None: nothing is)."""

    metric: str
    mode: Mode
    target: float | None = None

    def reached(self, value: float) -> bool:
        """Whether a value is as good as the target or better; NaN never is."""
        if self.target is None:
            return False
        return value >= self.target if self.mode == "max" else value <= self.target


@dataclass(frozen=True)
class Measured:
    """One run's raw figures. `steps` and `seconds` are those to the goal, None where it was never reached."""

    id: str
    name: str
    task: str
    parameters: int | None
    last_step: int
    loss: float | None
    metric: float | None
    steps: int | None
    seconds: float | None
    flops_per_step: float | None = None


@dataclass(frozen=True)
class Figure:
    """One figure over all runs, in their order, and which run has it best: by which factor, against which next."""

    name: str
    better: Literal["less", "more"]
    values: tuple[float | None, ...]
    best: int | None = None
    factor: float | None = None
    against: int | None = None

    def to_json(self, ids: Sequence[str]) -> dict[str, Any]:
        """The stable public form."""
        return {
            "figure": self.name,
            "better": self.better,
            "values": {
                run: None if value is None else encode_number(value)
                for run, value in zip(ids, self.values, strict=True)
            },
            "best": None if self.best is None else ids[self.best],
            "factor": self.factor,
            "against": None if self.against is None else ids[self.against],
        }


@dataclass
class Clock:
    """Seconds of training as a function of the step, over all attempts."""

    stretches: list[tuple[int, int, float, array[int], array[float]]] = field(default_factory=list)
    """From each attempt: its first and last step that count, when it began, and when each logged step was done."""

    def seconds_at(self, step: int) -> float | None:
        """Training time up to the end of a step; None where no times were recorded."""
        total, known = 0.0, False
        for first, last, began, steps, times in self.stretches:
            if first >= step and known:
                break
            place = bisect_right(steps, min(step, last))
            if place:
                total += max(0.0, times[place - 1] - began)
                known = True
        return total if known else None


def choose_goal(
    histories: Sequence[RunHistory], metric: str | None = None, mode: Mode | None = None, target: float | None = None
) -> Goal:
    """What the runs are to be measured by.

    Args:
        histories: of all runs, refreshed.
        metric: by default exact match, else the metric by which the first run's checkpoints are judged.
        mode: whether less or more is better; by default as the runs' options say, else by the metric's name.
        target: the value to be reached; by default the best that every run has reached.

    Raises:
        HeatsError: no run has the metric.
    """
    options = [_options(history.run) for history in histories]
    known = sorted({name for history in histories for name in history.series})
    if metric is None:
        judged = [str(found.get("evaluation.best_metric")) for found in options]
        candidates = [_FIRST_CHOICE, *judged, _LOSS, "train/loss"]
        metric = next((name for name in candidates if name in known), None)
        if metric is None:
            raise HeatsError("none of these runs has a metric to compare by", remedy="name one with --metric")
    if metric not in known:
        from engine.config.options import nearest

        near = nearest(metric, known)
        remedy = f"did you mean `{near}`?" if near else f"there are: {', '.join(known) or 'none'}"
        raise HeatsError(f"no run has the metric `{metric}`", place="--metric", remedy=remedy)
    if mode is None:
        said = [found.get("evaluation.best_mode") for found in options if found.get("evaluation.best_metric") == metric]
        less = any(word in metric.lower() for word in _LESS_IS_BETTER)
        mode = "min" if (said[0] == "min" if said else less) else "max"
    if target is None:
        bests = [_best(history, metric, mode) for history in histories]
        reached = [value for value in bests if value is not None]
        if reached and len(reached) == len(bests):
            target = min(reached) if mode == "max" else max(reached)
            if mode == "max" and target <= 0:
                target = None  # an accuracy of zero is there before the first step: nobody had to reach it
    return Goal(metric, mode, target)


def measure(history: RunHistory, goal: Goal) -> Measured:
    """One run's figures, but for its work, which takes torch to count.

    Args:
        history: of the run, refreshed.
        goal: what to measure by.
    """
    run, record = history.run, read_run(history.run.record)
    series = history.series.get(goal.metric)
    points = zip(series.steps, series.values, strict=True) if series is not None else ()
    reached = next((step for step, value in points if goal.reached(value)), None)
    return Measured(
        id=run.id,
        name=record.name if record else run.id,
        task=record.task if record else "",
        parameters=count_parameters(run),
        last_step=history.last_step,
        loss=_best(history, _LOSS, "min"),
        metric=_best(history, goal.metric, goal.mode),
        steps=reached,
        seconds=training_clock(run).seconds_at(reached) if reached is not None else None,
    )


def compare(runs: Sequence[Measured], goal: Goal) -> list[Figure]:
    """All figures of runs beside each other, and for each which run has it best. Figures that no run has are left out.

    Args:
        runs: at least two.
        goal: what they were measured by.
    """
    name = goal.metric.removeprefix("val/").replace("_", " ")
    to_goal = "" if goal.target is None else f" to {name} {goal.target:.4g}"
    rows: list[tuple[str, Literal["less", "more"], list[float | None]]] = [
        ("parameters", "less", [run.parameters for run in runs]),
        ("validation loss", "less", [run.loss for run in runs]),
        ("loss x million parameters", "less", [_product(run.loss, run.parameters, 1e-6) for run in runs]),
    ]
    if goal.metric != _LOSS:
        rows.append((name, "more" if goal.mode == "max" else "less", [run.metric for run in runs]))
    if goal.mode == "max":
        rows.append((f"{name} per million parameters", "more", [_per_million(run) for run in runs]))
    rows += [
        (f"steps{to_goal}", "less", [run.steps for run in runs]),
        (f"seconds{to_goal}", "less", [run.seconds for run in runs]),
        ("FLOPs a step", "less", [run.flops_per_step for run in runs]),
        (f"FLOPs{to_goal}", "less", [_product(run.flops_per_step, run.steps) for run in runs]),
    ]
    return [_judge(Figure(*row[:2], tuple(row[2]))) for row in rows if any(value is not None for value in row[2])]


def count_parameters(run: RunPaths) -> int | None:
    """How many parameters a run trains: what it said itself, else what is in its newest checkpoint."""
    for attempt in reversed(run.attempts()):
        for event in reversed(read_events(attempt.events)[0]):
            said = event.facts.get("parameters")
            if event.name == "training" and type(said) is int and said > 0:
                return said
    for saved in reversed(checkpoints.scan(run)):
        if saved.valid:
            try:
                tensors = spread_tensors(tensor_files(saved.folder, checkpoints.MODEL))
                return sum(math.prod(tensor.shape) for tensor in tensors.values())
            except (HeatsError, TypeError):
                continue
    return None


def training_clock(run: RunPaths) -> Clock:
    """When each step of the effective history was done, by its own attempt's time."""
    attempts = run.attempts()
    starts = []
    for attempt in attempts:
        launch = read_launch(attempt.launch)
        starts.append((launch.resumed_from_step or 0) if launch else 0)
    clock = Clock()
    for index, attempt in enumerate(attempts):
        last = min(starts[index + 1 :], default=2**63 - 1)
        steps, times = _logged(attempt)
        if len(steps) and starts[index] < last:
            clock.stretches.append((starts[index], last, _began(attempt, times[0]), steps, times))
    return clock


def _logged(attempt: AttemptPaths) -> tuple[array[int], array[float]]:
    """The logged steps in order, each with the latest time at which something was logged of it."""
    steps, times = array("q"), array("d")
    for record in JsonLinesTail(attempt.metrics).read():
        moment = decode_number(record.get("time"))
        if moment is None or not math.isfinite(moment) or moment <= 0:
            continue
        if steps and record["step"] <= steps[-1]:
            if record["step"] == steps[-1]:
                times[-1] = max(times[-1], moment)
            continue
        steps.append(record["step"])
        times.append(moment)
    return steps, times


def _began(attempt: AttemptPaths, first: float) -> float:
    """When the attempt was about to take its first step."""
    said = [event.time for event in read_events(attempt.events)[0] if event.name == "training" and event.time <= first]
    return said[-1] if said else first


def _options(run: RunPaths) -> Mapping[str, Any]:
    try:
        return stored_options(run)
    except HeatsError:
        return {}


def _best(history: RunHistory, metric: str, mode: Mode) -> float | None:
    series = history.series.get(metric)
    values = [value for value in series.values if value == value] if series is not None else []
    return (max(values) if mode == "max" else min(values)) if values else None


def _product(first: float | None, second: float | None, scale: float = 1.0) -> float | None:
    return None if first is None or second is None else first * second * scale


def _per_million(run: Measured) -> float | None:
    return None if run.metric is None or not run.parameters else run.metric / run.parameters * 1e6


def _judge(figure: Figure) -> Figure:
    """Which run is best. A tie has no best, and a factor needs two numbers above zero."""
    known = [(value, index) for index, value in enumerate(figure.values) if value is not None]
    ranked = sorted(known, key=lambda item: item[0], reverse=figure.better == "more")
    if len(ranked) < 2 or ranked[0][0] == ranked[1][0]:
        return figure
    (best, first), (next_best, second) = ranked[:2]
    low, high = sorted((best, next_best))
    return Figure(
        figure.name,
        figure.better,
        figure.values,
        first,
        high / low if low > 0 and math.isfinite(high) else None,
        second,
    )
