"""The end of a run's log of metrics: its last figures and how fast it goes, without reading the rest."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import orjson

from engine.store import reading
from engine.store.files import decode_number
from engine.store.metrics import ROLLED_BACK
from engine.store.paths import METRICS_FILE, RunPaths

_TAIL_BYTES = 1 << 14
_PACED = 200
"""Over so many records the rate is measured."""
_STALL_FACTOR = 10.0
_STALL_FLOOR_SECONDS = 120.0


def figures_of(content: Any) -> dict[str, float]:
    """The numbers by name in what a file has of them; empty where it has no object."""
    if not isinstance(content, dict):
        return {}
    return {
        name: number
        for name, value in content.items()
        if (number := value if type(value) is float else decode_number(value)) is not None
    }


@dataclass
class Tail:
    """What stood last in a log of metrics."""

    step: int = 0
    values: dict[str, float] = field(default_factory=dict)
    time: float | None = None
    """When its last record was written, in seconds since the epoch."""
    rate: float | None = None
    """Steps a second."""
    gap: float | None = None
    """So many seconds without a record are a stall."""


def metric_tail(run: RunPaths, numbers: list[int], *, resumed_from: int | None, any_pace: bool = False) -> Tail:
    """The last values of the metrics, from the end of the newest attempt's log that has any. Never raises.

    Args:
        run: the run.
        numbers: its attempts, in their order.
        resumed_from: the step that the newest of them went on from; None where it began anew.
        any_pace: the rate is that of all records; else of those with a training loss, which our engine writes at
            each step.
    """
    tail = Tail()
    rolled_back = False
    for number in reversed(numbers):
        if rolled_back:  # older figures may lie past the step that it went back to
            break
        if number != numbers[-1] and resumed_from is not None:
            # Nothing logged yet since the resume: what came before its resume point still holds.
            tail.step = resumed_from
            break
        block = reading.read_tail(f"{run.folder}/attempts/{number:03d}/{METRICS_FILE}", _TAIL_BYTES)
        times: deque[tuple[int, float]] = deque()
        for record in reversed(reading.parse_lines(block, orjson.loads)[0]):
            step = record.pop("step", None)
            if type(step) is not int or not 0 <= step < 2**63:
                continue
            tail.step = max(tail.step, step)
            if ROLLED_BACK in record:
                rolled_back = True
                break
            time = decode_number(record.pop("time", None))
            if time is not None:
                if tail.time is None:
                    tail.time = time
                if (any_pace or "train/loss" in record) and len(times) < _PACED:
                    times.appendleft((step, time))
            if not record.keys() <= tail.values.keys():
                tail.values = figures_of(record) | tail.values
        _pace(tail, times)
        if tail.values:
            break
    return tail


def _pace(tail: Tail, times: deque[tuple[int, float]]) -> None:
    if len(times) < 2:
        return
    (first_step, first), (last_step, last) = times[0], times[-1]
    if last > first and last_step > first_step:
        tail.rate = (last_step - first_step) / (last - first)
    gaps = [after[1] - before[1] for before, after in zip(list(times)[:-1], list(times)[1:], strict=True)]
    tail.gap = max(_STALL_FLOOR_SECONDS, _STALL_FACTOR * max(gaps))
