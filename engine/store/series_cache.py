"""A run's effective history kept as columns in the user's cache folder, so that a long log is parsed once.

A file a run, never in the store. It is believed only while the logs that it was made of are what they were: the same
files (inode), no shorter, with the same bytes where reading stopped, and the same resume points. Whatever doesn't fit
is read anew. Writers replace the file as a whole, so that any number of readers and writers may share it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from engine.store.paths import AttemptPaths, RunPaths

if TYPE_CHECKING:
    from engine.store.metrics import Series

_MAGIC = b"heats series 1\n"
_LINE_BYTES = 48
_PROBE_BYTES = 4096
LEAST_BYTES = 1 << 20
"""Shorter logs are parsed faster than anybody notices."""
_ALL_BYTES = 1 << 30
"""Of all runs together; the files not used for longest go first."""


@dataclass(frozen=True)
class ReadAttempt:
    """How far an attempt's log was read, and how to know that it is still the same one."""

    number: int
    start: int | None
    """The step it was resumed from."""
    inode: int
    offset: int
    damaged: int
    modified: int
    """Nanoseconds since 1970, where the log was read to its very end; 0 while something was left."""
    probe: str
    """A digest of the last bytes before the offset."""


@dataclass(frozen=True)
class Kept:
    """A history as it was when it was kept."""

    attempts: list[ReadAttempt]
    series: dict[str, Series]
    last_step: int
    last_time: float | None


def cache_path(run: RunPaths) -> Path | None:
    """Where a run's history is kept; None where the run is in no store."""
    from engine.store.files import read_json

    record = read_json(run.folder.parent / ".store.json")
    store_id = record.get("id") if record is not None else None
    if not isinstance(store_id, str) or not store_id.isalnum():
        return None
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "heats" / "series" / store_id / f"{run.id}.columns"


def look_at(attempt: AttemptPaths, start: int | None, inode: int, offset: int, damaged: int) -> ReadAttempt | None:
    """What must be the same of a log for its history to be believed; None where it can't be read.

    An attempt that has no log yet has the inode 0.
    """
    try:
        descriptor = os.open(attempt.metrics, os.O_RDONLY)
    except FileNotFoundError:
        return ReadAttempt(attempt.number, start, 0, 0, 0, 0, "") if inode == 0 else None
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if status.st_ino != inode or status.st_size < offset:
            return None
        begin = max(0, offset - _PROBE_BYTES)
        probe = _digest(os.pread(descriptor, offset - begin, begin))
        modified = status.st_mtime_ns if status.st_size == offset else 0
        return ReadAttempt(attempt.number, start, inode, offset, damaged, modified, probe)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def keep(path: Path, kept: Kept) -> None:
    """Keep a history; failing to is no error."""
    blocks: list[bytes] = []
    known: dict[bytes, int] = {}
    columns = []
    size = 0

    def place(part: array[Any]) -> int:
        """Where a column lies; metrics logged together share their steps and times."""
        nonlocal size
        content = part.tobytes()
        digest = hashlib.blake2b(content, digest_size=16).digest()
        if digest not in known:
            known[digest] = size
            blocks.append(content)
            size += len(content)
        return known[digest]

    for name, series in kept.series.items():
        columns.append([name, len(series), place(series.steps), place(series.values), place(series.times)])
    payload = b"".join(blocks)
    header = orjson.dumps(
        {
            "attempts": kept.attempts, "columns": columns, "last_step": kept.last_step, "last_time": kept.last_time,
            "size": size, "sum": _sum(payload),
        }
    )  # fmt: skip
    padding = -(len(_MAGIC) + _LINE_BYTES + len(header)) % 8
    header += b" " * padding
    lead = f"{len(header):<15}{_digest(header)}\n".encode()
    temporary = path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}.{threading.get_ident():x}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:  # not made durable: it can be had again
            file.write(_MAGIC + lead + header + payload)
        os.replace(temporary, path)
        _make_room(path.parents[1])
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()


def load(path: Path, run: RunPaths) -> Kept | None:
    """The history of a run as it was kept; None where there is none, or where it is no longer true."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    kept = _parse(content)
    if kept is None or not _still_true(kept, run):
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # used now: others go first
    return kept


def _parse(content: bytes) -> Kept | None:
    from engine.store.metrics import Series

    begin = len(_MAGIC) + _LINE_BYTES
    try:
        if content[: len(_MAGIC)] != _MAGIC:
            return None
        lead = content[len(_MAGIC) : begin]
        end = begin + int(lead[:15])
        if lead[15:-1] != _digest(content[begin:end]).encode():
            return None
        header = orjson.loads(content[begin:end])
        payload = memoryview(content)[end:]
        if len(payload) != header["size"] or _sum(payload) != header["sum"]:
            return None
        series: dict[str, Series] = {}
        for name, length, *places in header["columns"]:
            found = series[name] = Series()
            steps, values, times = (payload[start : start + 8 * length] for start in places)
            found.steps.frombytes(steps)
            found.values.frombytes(values)
            found.times.frombytes(times)
        attempts = [ReadAttempt(**attempt) for attempt in header["attempts"]]
        return Kept(attempts, series, header["last_step"], header["last_time"])
    except (ValueError, TypeError, KeyError, IndexError):
        return None


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _sum(payload: bytes | memoryview) -> int:
    """A sum of all words: an order of magnitude faster than a digest, and it sees what a bad disk does."""
    return int(np.frombuffer(payload, np.uint64).sum(dtype=np.uint64))


def _still_true(kept: Kept, run: RunPaths) -> bool:
    """Whether the logs begin as they did, and only the last of them has grown."""
    from engine.store.records import read_launch

    numbers = run.attempt_numbers()
    if not kept.attempts or [attempt.number for attempt in kept.attempts] != numbers[: len(kept.attempts)]:
        return False
    for index, then in enumerate(kept.attempts):
        attempt = run.attempt(then.number)
        launch = read_launch(attempt.launch)
        now = look_at(
            attempt, launch.resumed_from_step if launch is not None else None, then.inode, then.offset, then.damaged
        )
        if now is None or (now.start, now.probe) != (then.start, then.probe):
            return False
        last = index == len(kept.attempts) - 1
        if now.modified != then.modified and (now.modified or not last or len(numbers) > len(kept.attempts)):
            return False
    return True


def _make_room(folder: Path) -> None:
    """Let the files not used for longest go where all of them are too much."""
    found = []
    with contextlib.suppress(OSError):
        for path in folder.glob("*/*.columns"):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= _ALL_BYTES:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        total -= size
