"""The metric log: an incremental reader by byte offset, and the effective history over a run's attempts."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from engine.store.files import decode_number
from engine.store.paths import AttemptPaths, RunPaths
from engine.store.records import read_launch

_CHUNK_BYTES = 1 << 22
ROLLED_BACK = "rolled_back_from"
"""A record with this key holds no figure: training went back to the record's step, and what is past it is shadowed."""


class JsonLinesTail:
    """Reads what was appended to a JSONL file since the last call; never from the start twice.

    A last line without newline waits for its rest; a damaged line is skipped and counted; a file that was replaced
    or has shrunk is read anew. Never raises for what is in the file.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        self.damaged = 0
        self.restarted = False
        self._inode: int | None = None

    def read(self) -> Iterator[dict[str, Any]]:
        """The new whole records, in order."""
        self.restarted = False
        try:
            # Opened anew at each poll: network file systems are consistent from close to open only.
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError:
            return
        try:
            status = os.fstat(descriptor)
            if (self._inode is not None and status.st_ino != self._inode) or status.st_size < self.offset:
                self.offset, self.restarted = 0, True
            self._inode = status.st_ino
            while self.offset < status.st_size:
                chunk = os.pread(descriptor, _CHUNK_BYTES, self.offset)
                end = chunk.rfind(b"\n") + 1
                if end == 0:
                    if len(chunk) < _CHUNK_BYTES:
                        return
                    end = len(chunk)  # a line longer than any of ours: damage
                    self.damaged += 1
                self.offset += end
                yield from self._parse(chunk[:end])
        except OSError:
            return
        finally:
            os.close(descriptor)

    def _parse(self, block: bytes) -> Iterator[dict[str, Any]]:
        for line in block.split(b"\n"):
            if not line:
                continue
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError:
                self.damaged += 1
                continue
            if self.accepts(record):
                yield record
            else:
                self.damaged += 1

    def accepts(self, record: Any) -> bool:
        """Whether a line's content is a record of this file; others count as damaged."""
        step = record.get("step") if isinstance(record, dict) else None
        return type(step) is int and 0 <= step < 2**63


@dataclass
class Series:
    """One metric: steps, values and times (seconds since 1970) as flat arrays that grow together."""

    steps: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    times: array[float] = field(default_factory=lambda: array("d"))

    def append(self, step: int, value: float, time: float) -> None:
        self.steps.append(step)
        self.values.append(value)
        self.times.append(time)

    def cut_after(self, step: int) -> None:
        """Shadow everything past a step."""
        end = bisect_right(self.steps, step)
        del self.steps[end:], self.values[end:], self.times[end:]

    def __len__(self) -> int:
        return len(self.steps)


class RunHistory:
    """A run's effective history: one continuous curve a metric, whatever the number of attempts.

    What an earlier attempt logged past the step from which a later one resumed is shadowed, never deleted; so is what
    an attempt itself logged past the step to which it rolled back.
    Call `refresh` to take in what is new; nothing is parsed twice.
    """

    def __init__(self, run: RunPaths) -> None:
        self.run = run
        self.series: dict[str, Series] = {}
        self.last_step = 0
        self.last_time: float | None = None
        self.generation = 0
        """Grows whenever points were taken back, so that a viewer knows to redraw from the start."""
        self._tails: dict[int, JsonLinesTail] = {}

    @property
    def damaged(self) -> int:
        """How many damaged lines were skipped."""
        return sum(tail.damaged for tail in self._tails.values())

    def refresh(self) -> bool:
        """Take in new records; whether anything changed."""
        changed = False
        for attempt in self.run.attempts():
            changed |= self._refresh_attempt(attempt)
        return changed

    def _refresh_attempt(self, attempt: AttemptPaths) -> bool:
        tail = self._tails.get(attempt.number)
        changed = False
        if tail is None:
            launch = read_launch(attempt.launch)
            if launch is None:
                if not os.path.exists(attempt.metrics):
                    return False  # being made; its resume point isn't known yet
                start = None
            else:
                start = launch.resumed_from_step
            if start is not None and start < self.last_step:
                self._cut_after(start)
                changed = True
            tail = self._tails[attempt.number] = JsonLinesTail(attempt.metrics)
        for record in tail.read():
            self._take(record)
            changed = True
        return changed

    def _take(self, record: dict[str, Any]) -> None:
        step = record.pop("step")
        time = decode_number(record.pop("time", None)) or 0.0
        if ROLLED_BACK in record:
            self._cut_after(step)
            return
        for name, raw in record.items():
            value = decode_number(raw)
            if value is None:
                continue
            series = self.series.get(name)
            if series is None:
                series = self.series[name] = Series()
            if series.steps and step <= series.steps[-1]:
                # Only a file read anew, or a damaged one, comes here: a curve never runs backwards.
                series.cut_after(step - 1)
                self.generation += 1
            series.append(step, value, time)
        self.last_step = max(self.last_step, step)
        self.last_time = max(self.last_time or 0.0, time)

    def _cut_after(self, step: int) -> None:
        for series in self.series.values():
            series.cut_after(step)
        self.series = {name: series for name, series in self.series.items() if len(series)}
        self.last_step = min(self.last_step, step)
        self.generation += 1

    def last_values(self) -> dict[str, float]:
        """The newest value of each metric."""
        return {name: series.values[-1] for name, series in self.series.items()}
