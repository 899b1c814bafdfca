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

_CHUNK_BYTES = 1 << 20
_LONGEST_LINE = 1 << 22
_MOST = 2**63
_FEW = 64
"""Fewer lines than that are taken one by one."""
_PART_BYTES, _MOST_PARTS = 1 << 14, 32
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
        for text in self.read_text():
            yield from self.parse(text)

    def read_text(self) -> Iterator[bytes]:
        """The new whole lines, unparsed: for `parse`, or for whoever reads them faster."""
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
                if end == 0 and len(chunk) == _CHUNK_BYTES:
                    chunk = os.pread(descriptor, _LONGEST_LINE, self.offset)
                    end = chunk.rfind(b"\n") + 1
                if end == 0:
                    if len(chunk) < _LONGEST_LINE:
                        return
                    end = len(chunk)  # a line longer than any of ours: damage
                    self.damaged += 1
                self.offset += end
                yield chunk[:end]
        except OSError:
            return
        finally:
            os.close(descriptor)

    def parse(self, block: bytes) -> list[dict[str, Any]]:
        """The records in whole lines; damaged ones are counted."""
        lines = [line for line in block.split(b"\n") if line]
        records = _parse_at_once(lines)
        if records is None:
            records = []
            for line in lines:
                try:
                    records.append(orjson.loads(line))
                except orjson.JSONDecodeError:
                    self.damaged += 1
        good = [record for record in records if self.accepts(record)]
        self.damaged += len(records) - len(good)
        return good

    def accepts(self, record: Any) -> bool:
        """Whether a line's content is a record of this file; others count as damaged."""
        step = record.get("step") if isinstance(record, dict) else None
        return type(step) is int and 0 <= step < _MOST

    @property
    def inode(self) -> int | None:
        """Which file was read; None while there is none."""
        return self._inode

    @classmethod
    def at(cls, path: Path, offset: int, inode: int | None, damaged: int) -> JsonLinesTail:
        """A tail that goes on where another one stopped."""
        tail = cls(path, offset)
        tail._inode, tail.damaged = inode, damaged
        return tail


def _parts(text: bytes) -> Iterator[bytes]:
    """A text in several of whole lines, so that what is special about a line makes only its own part slow."""
    size = max(_PART_BYTES, len(text) // _MOST_PARTS)
    begin = 0
    while begin < len(text):
        end = text.find(b"\n", begin + size) + 1 or len(text)
        yield text[begin:end]
        begin = end


def _parse_at_once(lines: list[bytes]) -> list[Any] | None:
    """All lines in one call, which halves the cost; None where one of them is no object by itself."""
    if not all(line[:1] == b"{" and line[-1:] == b"}" for line in lines):
        return None
    try:
        records: list[Any] = orjson.loads(b"[" + b",".join(lines) + b"]")
    except orjson.JSONDecodeError:
        return None
    return records if len(records) == len(lines) else None


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

    def extend(self, steps: bytes, values: bytes, times: bytes) -> None:
        """Many points at once, as the bytes of arrays; their steps rise and go on from the last."""
        self.steps.frombytes(steps)
        self.values.frombytes(values)
        self.times.frombytes(times)

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

    Args:
        run: which run.
        cached: keep long histories in the user's cache folder, and start from there.
    """

    def __init__(self, run: RunPaths, *, cached: bool = False) -> None:
        self.run = run
        self._cached = cached
        self._kept_bytes: int | None = None
        self._starts: dict[int, int | None] = {}
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
        changed = self._cached and self._kept_bytes is None and self._start_from_kept()
        for attempt in self.run.attempts():
            changed |= self._refresh_attempt(attempt)
        if changed and self._cached:
            self._keep()
        return changed

    def _start_from_kept(self) -> bool:
        """Begin with what was kept, if it is still true."""
        from engine.store import series_cache

        self._kept_bytes = 0
        path = series_cache.cache_path(self.run)
        kept = series_cache.load(path, self.run) if path is not None else None
        if kept is None:
            return False
        self.series, self.last_step, self.last_time = kept.series, kept.last_step, kept.last_time
        for then in kept.attempts:
            path = self.run.attempt(then.number).metrics
            self._tails[then.number] = JsonLinesTail.at(path, then.offset, then.inode or None, then.damaged)
            self._starts[then.number] = then.start
        self._kept_bytes = self._read_bytes()
        return True

    def _read_bytes(self) -> int:
        return sum(tail.offset for tail in self._tails.values())

    def _keep(self) -> None:
        """Keep what was read, once it is a quarter more than what was kept: no byte is written often."""
        from engine.store import series_cache

        read, kept = self._read_bytes(), self._kept_bytes or 0
        if read - kept < max(series_cache.LEAST_BYTES, kept // 4):
            return
        self._kept_bytes = read
        path = series_cache.cache_path(self.run)
        attempts = [
            series_cache.look_at(
                self.run.attempt(number), self._starts.get(number), tail.inode or 0, tail.offset, tail.damaged
            )
            for number, tail in sorted(self._tails.items())
        ]
        known = [attempt for attempt in attempts if attempt is not None]
        if path is not None and len(known) == len(attempts):
            series_cache.keep(path, series_cache.Kept(known, self.series, self.last_step, self.last_time))

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
            self._starts[attempt.number] = start
        for text in tail.read_text():
            if self._take_columns(text):
                changed = True
                continue
            for part in _parts(text):
                changed |= self._take_part(tail, part)
        return changed

    def _take_part(self, tail: JsonLinesTail, text: bytes) -> bool:
        """Take a few whole lines; whether there is a record in them."""
        if self._take_columns(text):
            return True
        records = tail.parse(text)
        for record in records:
            self._take(record)
        return bool(records)

    def _take_columns(self, text: bytes) -> bool:
        """Take whole lines as columns, if nothing about any of them is special: several times as fast."""
        if text.count(b"\n", 0, _PART_BYTES) < _FEW and text.count(b"\n") < _FEW:
            return False
        from engine.store.columns import Columns  # numpy's import takes longer than a list of runs may

        columns = Columns.of(text)
        if columns is None or not columns.go_on_from(self.series):
            return False
        for name, points in columns.points.items():
            self.series.setdefault(name, Series()).extend(*(part.tobytes() for part in points))
        self.last_step = max(self.last_step, columns.last_step)
        self.last_time = max(self.last_time or 0.0, columns.last_time)
        return True

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
