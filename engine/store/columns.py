"""Records of the metric log as columns: what a long log is read by. Apart, since numpy takes a while to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.store.metrics import ROLLED_BACK, Series

_MOST_KINDS = 64
"""Of a block with more different sets of metrics nothing is won."""


@dataclass(frozen=True)
class Columns:
    """Records as columns: of each metric its steps, values and times, rising."""

    points: dict[str, tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]]
    last_step: int
    last_time: float

    @classmethod
    def of(cls, records: list[dict[str, Any]]) -> Columns | None:
        """None where a record must be looked at by itself: no number, a roll-back, steps that don't rise."""
        kinds: dict[tuple[str, ...], list[int]] = {}
        for place, record in enumerate(records):
            kinds.setdefault(tuple(record), []).append(place)
        if len(kinds) > _MOST_KINDS:
            return None
        parts: dict[str, list[tuple[Any, ...]]] = {}
        last_step, last_time = 0, 0.0
        for keys, places in kinds.items():
            if ROLLED_BACK in keys or "time" not in keys:
                return None
            same = records if len(places) == len(records) else [records[place] for place in places]
            steps = np.array([record["step"] for record in same], np.int64)
            times = _numbers([record["time"] for record in same])
            if times is None:
                return None
            last_step, last_time = max(last_step, int(steps.max())), max(last_time, float(times.max()))
            order = np.array(places)
            for name in keys:
                if name in ("step", "time"):
                    continue
                values = _numbers([record[name] for record in same])
                if values is None:
                    return None
                parts.setdefault(name, []).append((order, steps, values, times))
        points = {name: _in_order(found) for name, found in parts.items()}
        if any((np.diff(steps) <= 0).any() for steps, _, _ in points.values()):
            return None
        return cls(points, last_step, last_time)

    def go_on_from(self, series: Mapping[str, Series]) -> bool:
        """Whether each metric's first step lies past the last one known."""
        return all(steps[0] > series[name].steps[-1] for name, (steps, _, _) in self.points.items() if name in series)


def _numbers(column: list[Any]) -> NDArray[np.float64] | None:
    """A column of plain numbers; None where there is anything else, as a NaN, which JSON has as a word."""
    if not set(map(type, column)) <= {float, int}:
        return None
    try:
        return np.array(column, np.float64)
    except OverflowError:
        return None


def _in_order(parts: list[tuple[Any, ...]]) -> tuple[Any, Any, Any]:
    if len(parts) == 1:
        return parts[0][1:]
    order = np.argsort(np.concatenate([part[0] for part in parts]), kind="stable")
    steps, values, times = (np.concatenate([part[index] for part in parts])[order] for index in (1, 2, 3))
    return steps, values, times
