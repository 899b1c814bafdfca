"""The newest host figures of a run: what its supervisor last wrote into system.jsonl. For lists, at one short read."""

from __future__ import annotations

import math
from dataclasses import dataclass

import orjson

from engine.store import reading
from engine.store.files import decode_number
from engine.store.paths import RunPaths

_TAIL_BYTES = 1 << 13


@dataclass(frozen=True)
class LastFigures:
    """Figures by their names in system.jsonl (percentages, bytes), and when they were taken."""

    time: float
    """Seconds since 1970."""
    values: dict[str, float]


def last_figures(run: RunPaths) -> LastFigures | None:
    """The newest figures of a run's newest attempt; None where there are none. Never raises for what is there."""
    numbers = run.attempt_numbers()
    if not numbers:
        return None
    block = reading.read_tail(run.attempt(numbers[-1]).system, _TAIL_BYTES)
    for record in reversed(reading.parse_lines(block, orjson.loads)[0]):
        found = {name: decode_number(value) for name, value in record.items()}
        values = {name: value for name, value in found.items() if value is not None and math.isfinite(value)}
        time = values.pop("time", None)
        if time is not None and values:
            return LastFigures(time, values)
    return None
