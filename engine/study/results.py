"""What came of a study, arm by arm: figures, times, costs, and how soon a target was reached. Read from the runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.config.resolve import flatten
from engine.store.metrics import RunHistory
from engine.study import curves, statistics
from engine.study.cells import CellState
from engine.study.conclude import Conclusion
from engine.study.spec import Study


@dataclass(frozen=True)
class Reach:
    """How soon the finished runs of an arm came to the target; the means are over those that did."""

    reached: int
    finished: int
    steps: tuple[float, ...] = ()
    seconds: float | None = None
    samples: float | None = None
    """Training samples seen: steps times batch size times accumulation."""
    work: float | None = None
    """Samples times weights: a measure of cost that needs no counting of FLOPs."""

    @property
    def mean_steps(self) -> float | None:
        return mean(self.steps)


@dataclass(frozen=True)
class ArmRow:
    """One arm's line in the table of results."""

    name: str
    options: dict[str, Any]
    sample: statistics.Sample
    finished: int
    planned: int
    standing: str
    """How many have finished, as `3 of 5`, or how an only run stands that hasn't."""
    parameters: int | None
    seconds: float | None
    """Of training, a run; the mean."""
    reach: Reach


@dataclass(frozen=True)
class Report:
    """Everything that the page says, before it is written down."""

    conclusion: Conclusion
    arms: tuple[ArmRow, ...]
    histories: dict[str, RunHistory]
    references: dict[str, float]
    """By name, the mean of a further metric over all finished runs."""

    @property
    def study(self) -> Study:
        return self.conclusion.study

    def best_arm(self) -> ArmRow | None:
        """The arm with the best mean; None while nothing has finished."""
        sign = 1.0 if self.study.mode == "max" else -1.0
        known = [row for row in self.arms if row.sample.values]
        return max(known, key=lambda row: sign * row.sample.mean, default=None)


def gather(conclusion: Conclusion) -> Report:
    """Read the histories of a study's runs and sum them up arm by arm."""
    histories = {state.run.id: curves.history(state.run) for state in conclusion.states if state.run is not None}
    by_arm: dict[str, list[CellState]] = {}
    for state in conclusion.states:
        by_arm.setdefault(state.cell.arm, []).append(state)
    rows = tuple(_arm(conclusion.study, name, states, histories) for name, states in by_arm.items())
    return Report(conclusion, _only_what_differs(rows), histories, _references(conclusion))


def _references(conclusion: Conclusion) -> dict[str, float]:
    finished = [state for state in conclusion.states if state.standing == "finished"]
    found = {}
    for name, metric in conclusion.study.spec.references.items():
        values = [value for state in finished if (value := state.value(metric)) is not None and math.isfinite(value)]
        average = mean(values)
        if average is not None:
            found[name] = average
    return found


def _arm(study: Study, name: str, states: Sequence[CellState], histories: dict[str, RunHistory]) -> ArmRow:
    metric = study.metric
    finished = [state for state in states if state.standing == "finished" and state.run is not None]
    values = [value for state in finished if metric and (value := state.value(metric, study.spec.value)) is not None]
    spent = []
    for state in finished:
        assert state.run is not None
        found = histories[state.run.id]
        spent.append(float(curves.training_seconds(found, np.asarray([found.last_step]))[0]))
    parameters = _parameters(finished)
    return ArmRow(
        name=name,
        options=flatten(states[0].cell.config.model_dump()),
        sample=statistics.describe([value for value in values if math.isfinite(value)]),
        finished=len(finished),
        planned=len(states),
        standing=states[0].standing if len(states) == 1 and not finished else f"{len(finished)} of {len(states)}",
        parameters=parameters,
        seconds=mean(spent),
        reach=_reach(study, finished, histories, parameters),
    )


def _reach(
    study: Study, finished: Sequence[CellState], histories: dict[str, RunHistory], parameters: int | None
) -> Reach:
    metric, target = study.metric, study.spec.target
    if metric is None or target is None:
        return Reach(0, len(finished))
    steps, seconds, samples = [], [], []
    for state in finished:
        assert state.run is not None
        found = histories[state.run.id]
        step = curves.first_reaching(curves.points(found, metric), target, study.mode)
        if step is not None:
            train = getattr(state.cell.config, "train", None)
            steps.append(step)
            seconds.append(float(curves.training_seconds(found, np.asarray([step]))[0]))
            if train is not None:
                samples.append(step * train.batch_size * train.accumulation)
    seen = mean(samples)
    work = seen * parameters if seen is not None and parameters is not None else None
    return Reach(len(steps), len(finished), tuple(steps), mean(seconds), seen, work)


def mean(values: Sequence[float]) -> float | None:
    """The mean; None of nothing."""
    return sum(values) / len(values) if values else None


def _parameters(states: Sequence[CellState]) -> int | None:
    """How many weights the model has, by the engine's own word in the `training` event."""
    from engine.store.records import read_events

    for state in states:
        for attempt in state.run.attempts() if state.run else []:
            for event in read_events(attempt.events)[0]:
                found = event.facts.get("parameters")
                if event.name == "training" and isinstance(found, int):
                    return found
    return None


def _only_what_differs(rows: Sequence[ArmRow]) -> tuple[ArmRow, ...]:
    """Of each arm's options only those in which the arms differ."""
    keys = [key for key in (rows[0].options if rows else {}) if len({repr(row.options.get(key)) for row in rows}) > 1]
    return tuple(replace(row, options={key: row.options.get(key) for key in keys if key != "seed"}) for row in rows)
