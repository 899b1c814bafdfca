"""W&B's offline runs (`offline-run-*/run-*.wandb`), read without the wandb package.

The file is a log in LevelDB's format (blocks of 32 KiB, records that may be split over blocks) of protocol buffers.
Sources: https://github.com/google/leveldb/blob/main/doc/log_format.md and wandb_internal.proto of wandb 0.31.
"""

from __future__ import annotations

import contextlib
import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import HeatsError
from engine.store.files import decode_number
from engine.store.foreign import protobuf
from engine.store.foreign.curves import ForeignRun

_BLOCK = 32768
_FIRST_BYTES = b":W&B"
_HEADER_BYTES = 7
_RECORD = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
# Numbers of the fields of a Record that matter here.
_HISTORY, _CONFIG, _RUN, _EXIT = 2, 5, 17, 18
_DAMAGE = (ValueError, IndexError, struct.error)
_SPECIAL = {"nan": math.nan, "inf": math.inf, "infinity": math.inf, "-inf": -math.inf, "-infinity": -math.inf}


def read_wandb(run: ForeignRun, path: Path) -> None:
    """Read a .wandb file into a run.

    Raises:
        HeatsError: it is no such file.
        OSError: it can't be read.
    """
    data = path.read_bytes()
    if not data.startswith(_FIRST_BYTES):
        raise HeatsError("is no W&B run", place=str(path))
    reader = _Reader(run)
    records = _Records(data)
    for record in records:
        try:
            reader.take(record)
        except _DAMAGE:
            records.bad += 1
    reader.finish()
    if records.bad:
        run.remarks.append(f"{path.name}: {records.bad} damaged records left out")
    if records.torn:
        run.remarks.append(f"{path.name}: its end is cut off")


class _Records:
    """The records of a log, put together again where they were split."""

    def __init__(self, data: bytes) -> None:
        self.bad = 0
        self.torn = False
        self._data = data

    def __iter__(self) -> Iterator[bytes]:
        data, place, waiting = self._data, _HEADER_BYTES, b""
        while place < len(data):
            room = _BLOCK - place % _BLOCK
            if room < _RECORD.size:
                place += room
                continue
            if place + _RECORD.size > len(data):
                self.torn = True
                return
            _, length, kind = _RECORD.unpack_from(data, place)
            start = place + _RECORD.size
            if kind not in (_WHOLE, _FIRST, _MIDDLE, _LAST) or length + _RECORD.size > room:
                self.bad += 1  # where the next record begins can't be known before the next block
                place, waiting = place + room, b""
                continue
            place = start + length
            if place > len(data):
                self.torn = True
                return
            waiting = data[start:place] if kind in (_WHOLE, _FIRST) else waiting + data[start:place]
            if kind in (_WHOLE, _LAST):
                yield waiting
                waiting = b""


class _Reader:
    def __init__(self, run: ForeignRun) -> None:
        self.run = run
        self.exit_code: int | None = None
        self.skipped: set[str] = set()

    def take(self, record: bytes) -> None:
        """Take in one record."""
        for number, _, content in protobuf.fields(record):
            if not isinstance(content, bytes):
                continue
            if number == _HISTORY:
                self._history(content)
            elif number == _CONFIG:
                self._options(content)
            elif number == _RUN:
                self._run(content)
            elif number == _EXIT:
                codes = [protobuf.signed(value) for key, _, value in protobuf.fields(content) if key == 1]
                self.exit_code = codes[-1] if codes else 0

    def finish(self) -> None:
        """Say how the run ended, once all is read."""
        if self.exit_code is None:
            self.run.ended = "failed"
            self.run.reason = "imported; its W&B record has no end: it was killed, or still went on"
        elif self.exit_code:
            self.run.ended, self.run.reason = "failed", f"imported; W&B recorded exit code {self.exit_code}"
        if self.skipped:
            self.run.remarks.append(f"left out, being no numbers: {', '.join(sorted(self.skipped)[:8])}")

    def _history(self, content: bytes) -> None:
        step: int | None = None
        values: dict[str, Any] = {}
        for number, _, part in protobuf.fields(content):
            if number == 1 and isinstance(part, bytes):
                name, value = _item(part)
                values |= flat(name, value)
            elif number == 2 and isinstance(part, bytes):
                step = next((protobuf.signed(value) for key, _, value in protobuf.fields(part) if key == 1), 0)
        own = values.pop("_step", None)
        if step is None:
            step = own if isinstance(own, int) else -1
        moment = decode_number(values.pop("_timestamp", None)) or 0.0
        for name, value in values.items():
            if name.startswith("_"):  # W&B's own: _runtime, _wandb
                continue
            figure = number_of(value)
            if figure is not None:
                self.run.curves.add(name if name not in ("step", "time") else f"logged/{name}", step, moment, figure)
            else:
                self.skipped.add(name)

    def _options(self, content: bytes) -> None:
        for number, _, part in protobuf.fields(content):
            if number == 1 and isinstance(part, bytes):
                name, value = _item(part)
                if not name.startswith("_"):
                    self.run.config |= flat(name, value)

    def _run(self, content: bytes) -> None:
        tags = []
        for number, _, part in protobuf.fields(content):
            if not isinstance(part, bytes):
                continue
            if number == 8:
                self.run.name = protobuf.text(part)
            elif number == 9:
                self.run.note = protobuf.text(part)
            elif number == 10:
                tags.append(protobuf.text(part))
            elif number == 13:
                self.run.host = protobuf.text(part)
            elif number == 4:
                self._options(part)
            elif number == 17:
                seconds = {key: value for key, _, value in protobuf.fields(part) if isinstance(value, int)}
                self.run.created = seconds.get(1, 0) + seconds.get(2, 0) / 1e9
        self.run.tags = tuple(dict.fromkeys(tags))


def _item(data: bytes) -> tuple[str, Any]:
    """A key, or a path of keys, and a value, which is JSON or typed."""
    keys: list[str] = []
    value: Any = None
    for number, _, part in protobuf.fields(data):
        if number in (1, 2):
            keys += [protobuf.text(part)] if part else []
        elif number in (8, 16) and isinstance(part, bytes):
            with contextlib.suppress(ValueError, RecursionError):
                value = json.loads(part)
        elif number == 4:
            value = bool(part)
        elif number == 5:
            value = protobuf.signed(part)
        elif number == 6:
            value = protobuf.double(part)
        elif number == 7:
            value = protobuf.text(part)
    return ".".join(keys), value


def flat(name: str, value: Any, between: str = ".") -> dict[str, Any]:
    """Nested objects by dotted name. W&B's own kinds (histograms, media) are one value."""
    if not isinstance(value, dict) or "_type" in value or not value:
        return {name: value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= flat(f"{name}{between}{key}" if name else str(key), inner, between)
    return found


def number_of(value: Any) -> float | None:
    """A logged value as a number; texts that spell NaN or Infinity are numbers, and so are true and false."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        return _SPECIAL.get(value.lower())
    return decode_number(value)
