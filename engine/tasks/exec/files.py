"""Follows the files that a script writes its figures to: each reads only what is new, and never raises for what it is.

Which files those are is decided elsewhere (`finding`).
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine.store.foreign.curves import Curves
from engine.store.foreign.event_files import is_event_file, read_frames
from engine.store.foreign.tables import STEP_COLUMNS, TIME_COLUMNS
from engine.store.foreign.wandb_files import flat, number_of
from engine.tasks.exec.naming import metric_name

Kind = Literal["tensorboard", "jsonl", "csv"]
_KINDS: dict[str, Kind] = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_MOST_BYTES = 1 << 24
"""Read at once; the rest comes at the next look."""


@dataclass(frozen=True)
class Row:
    """Figures of one step. `time` in seconds since 1970; 0 where the file doesn't say."""

    step: int
    time: float
    values: dict[str, float]


def kind_of(path: Path) -> Kind | None:
    """What a file is by its name; None where its name doesn't say that it holds figures."""
    return "tensorboard" if is_event_file(path.name) else _KINDS.get(path.suffix.lower())


@dataclass
class FollowedFile:
    """A file that is being written.

    Args:
        path: which.
        kind: how it is read.
        offset: where to begin: what stood there before the script started isn't this run's.
        group: the part of data that its folder speaks of, such as `val`.
        step_key: the name of the step, where one was given.
        must_name_step: leave a table alone that has no column known as a step.
    """

    path: Path
    kind: Kind
    offset: int = 0
    group: str = ""
    step_key: str = ""
    must_name_step: bool = True
    remark: str = ""
    """What is wrong with it, or how its steps are known."""
    rows_read: int = 0
    _inode: int | None = None
    _rest: bytes = b""
    _header: bytes = b""
    _columns: list[str] = field(default_factory=list)
    _step_name: str | None = None
    _row_number: int = 0
    _given_up: bool = False

    def read(self, *, last: bool = False) -> list[Row]:
        """The figures that are new. A file that was replaced or written anew is read anew.

        Args:
            last: nobody writes any more: a last line without its end counts.
        """
        if self._given_up:
            return []
        try:
            with open(self.path, "rb") as file:
                status = os.fstat(file.fileno())
                header = file.readline(1 << 16) if self.kind == "csv" else b""
                anew = (self._inode is not None and status.st_ino != self._inode) or status.st_size < self.offset
                if anew or (self._header and header != self._header):
                    self.offset, self._rest, self._header, self._row_number = 0, b"", b"", 0
                self._inode = status.st_ino
                if self.kind == "csv" and not self._header:
                    if not header.endswith(b"\n"):
                        return []
                    if not self._take_header(header):
                        return []
                    self.offset = max(self.offset, len(header))
                file.seek(self.offset)
                data = file.read(_MOST_BYTES)
        except OSError:
            return []
        self.offset += len(data)
        rows = self._events(data) if self.kind == "tensorboard" else self._lines(data, last)
        self.rows_read += len(rows)
        return rows

    def _events(self, data: bytes) -> list[Row]:
        curves = Curves()
        data = self._rest + data
        used, damaged = read_frames(data, curves)
        self._rest = data[used:]
        if damaged:
            self._given_up, self.remark = True, "damaged; what follows the damage is left out"
        rows = [
            Row(step, time, {metric_name(name, self.group): value})
            for name, series in curves.series.items()
            for step, time, value in zip(series.steps, series.times, series.values, strict=True)
        ]
        return sorted(rows, key=lambda row: (row.time, row.step))

    def _lines(self, data: bytes, last: bool) -> list[Row]:
        data = self._rest + data
        end = len(data) if last else data.rfind(b"\n") + 1
        self._rest = data[end:]
        rows = []
        for line in data[:end].splitlines():
            if not line.strip():
                continue
            record = self._csv_record(line) if self.kind == "csv" else _json_record(line)
            if record is not None and (row := self._row(record)) is not None:
                rows.append(row)
            if self._given_up:
                return []
        return rows

    def _take_header(self, header: bytes) -> bool:
        """Whether the columns are those of a log of figures."""
        text = header.decode("utf-8-sig", "replace").rstrip("\r\n")
        self._separator = max(",;\t", key=text.count)
        self._columns = next(csv.reader(io.StringIO(text), delimiter=self._separator), [])
        self._header = header
        return self._choose_step(self._columns)

    def _csv_record(self, line: bytes) -> dict[str, Any] | None:
        try:
            cells = next(csv.reader([line.decode("utf-8", "replace").replace("\0", "")], delimiter=self._separator))
        except (csv.Error, StopIteration):
            return None
        return dict(zip(self._columns, cells, strict=False))

    def _choose_step(self, names: list[str]) -> bool:
        wanted = (self.step_key,) if self.step_key else STEP_COLUMNS
        by_name = {name.strip().lower(): name for name in reversed(names)}
        self._step_name = next((by_name[name.lower()] for name in wanted if name.lower() in by_name), None)
        if self._step_name is not None:
            self.remark = f"steps from `{self._step_name}`"
        elif self.must_name_step:
            self._given_up, self.remark = True, "left out: nothing in it is known as a step (exec.step_key names one)"
        else:
            self.remark = "steps are row numbers"
        return not self._given_up

    def _row(self, record: dict[str, Any]) -> Row | None:
        unknown = self.kind == "jsonl" and self._step_name is None and not self.remark
        if unknown and not self._choose_step(list(record)):
            return None
        self._row_number += 1
        step = float(self._row_number)
        if self._step_name is not None:
            found = _number(record.get(self._step_name))
            if found is None or not 0 <= found < 2**53:
                return None
            step = found
        time, values = 0.0, {}
        for name, raw in record.items():
            if name == self._step_name or (value := _number(raw)) is None:
                continue
            if name.strip().lower() in TIME_COLUMNS:
                time = value if 1e8 < value < 1e11 else 0.0
            else:
                values[metric_name(name, self.group)] = value
        return Row(int(step), time, values) if values else None


def _json_record(line: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return dict(_flat(content)) if isinstance(content, dict) else None


def _flat(content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        yield from flat(str(name), value, "/").items()


def _number(raw: Any) -> float | None:
    value = number_of(raw)
    if value is None and isinstance(raw, str):
        try:
            return float(raw)
        except ValueError:
            return None
    return value
