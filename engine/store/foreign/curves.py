"""Curves gathered from other tools' logs: steps in order, restarts and doubled steps resolved."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine.store.metrics import Series

_LARGEST = 2**63


class Curves:
    """Metrics as they are read. Of a step logged twice the later value counts.

    A step that goes back onto one logged before, or goes back in a later file, is a restart: what the earlier life
    logged from there on is superseded. One that falls between logged steps of the same file only came late.
    """

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}
        self.doubled = 0
        self.superseded = 0
        self.bad_steps = 0
        self._parts: dict[str, int] = {}

    def add(self, name: str, step: int, time: float, value: float, part: int = 0) -> None:
        """Take in a point.

        Args:
            name: the metric.
            step: a negative one is counted and left out.
            time: seconds since 1970; 0 where nobody knows.
            value: any number.
            part: which of the run's files, in order, it stands in.
        """
        series = self.series.get(name)
        if series is None:
            series = self.series[name] = Series()
            self._parts[name] = part
        if not 0 <= step < _LARGEST:
            self.bad_steps += 1
            return
        if series.steps and step <= series.steps[-1] and self._goes_back(series, name, step, part):
            place = bisect_left(series.steps, step)
            series.steps.insert(place, step)
            series.times.insert(place, time)
            series.values.insert(place, value)
            return
        self._parts[name] = part
        series.append(step, value, time)

    def purge(self, step: int) -> None:
        """Drop what was logged at this step and later: the writer has started again from there."""
        for series in self.series.values():
            self._cut(series, step)

    def _goes_back(self, series: Series, name: str, step: int, part: int) -> bool:
        """Make room for a point that isn't past the last; whether it only came late."""
        if step == series.steps[-1]:
            series.cut_after(step - 1)
            self.doubled += 1
            return False
        place = bisect_left(series.steps, step)
        if series.steps[place] == step or part != self._parts[name]:
            self._cut(series, step)
            return False
        return True

    def _cut(self, series: Series, step: int) -> None:
        before = len(series)
        series.cut_after(step - 1)
        self.superseded += before - len(series)

    @property
    def points(self) -> int:
        """How many points there are in all."""
        return sum(len(series) for series in self.series.values())

    def remarks(self) -> list[str]:
        """What was resolved or left out, in words."""
        told = []
        if self.superseded:
            told.append(f"{self.superseded:,} points superseded by a restart")
        if self.doubled:
            told.append(f"{self.doubled:,} steps logged twice: the later value counts")
        if self.bad_steps:
            told.append(f"{self.bad_steps:,} points with a negative step left out")
        return told


Format = Literal["tensorboard", "wandb", "csv", "jsonl"]


@dataclass
class ForeignRun:
    """A run of another tool, read. Times in seconds since 1970; `ended` is one of our final events."""

    name: str
    format: Format
    source: Path
    digest: str
    curves: Curves = field(default_factory=Curves)
    config: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    note: str = ""
    created: float | None = None
    host: str | None = None
    seed: int | None = None
    ended: Literal["finished", "failed"] = "finished"
    reason: str = "imported"
    remarks: list[str] = field(default_factory=list)
