"""Writing files that are never seen half written, and reading files that may be damaged."""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
from pathlib import Path
from typing import Any

from engine.errors import MachineError

# JSON has no word for these; `null` would erase the very NaN that an alert needs.
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encode_number(value: float) -> float | str:
    """A number as JSON can hold it: non-finite ones become the strings NaN, Infinity, -Infinity."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def decode_number(value: Any) -> float | None:
    """The inverse of encode_number; None for anything that is no number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # an integer of more than 308 digits: damage
            return None
    return _WORDS.get(value) if isinstance(value, str) else None


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, content: bytes) -> None:
    """Replace a small file in one step: readers see the old content or the new, never a part.

    Raises:
        MachineError: the disk is full or the folder can't be written.
    """
    # Two hosts may share the folder, so the temporary name carries host, pid and thread.
    writer = f"{os.uname().nodename}.{os.getpid()}.{threading.get_ident():x}"
    temporary = path.with_name(f".{path.name}.{writer}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        fsync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):  # on a read-only disk this fails too
            temporary.unlink()
        raise MachineError(f"can't be written ({error.strerror})", place=str(path)) from error


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a JSON file in one step.

    Raises:
        MachineError: the disk is full or the folder can't be written.
    """
    write_atomic(path, (json.dumps(content, indent=1) + "\n").encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None when it is missing, damaged or no object. Never raises for its content."""
    try:
        content = parse_json(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def parse_json(text: bytes) -> Any:
    """Any JSON. Halves of surrogate pairs (a name typed in Latin-1) become `?`: nothing could print or index them.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested without end.
    """
    content = json.loads(text)
    if b"\\ud" in text.lower():
        content = json.loads(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))
    return content


def append_record(descriptor: int, record: dict[str, Any]) -> None:
    """Append one record as one `write` of one line, so that a reader never sees two halves.

    Raises:
        OSError: the disk is full.
    """
    os.write(descriptor, (json.dumps(record) + "\n").encode())


def read_records(path: Path) -> tuple[list[dict[str, Any]], int]:
    """All whole records of a JSONL file and the number of damaged ones. A last line without newline is ignored."""
    try:
        content = path.read_bytes()
    except OSError:
        return [], 0
    records, damaged = [], 0
    for line in content[: content.rfind(b"\n") + 1].splitlines():
        try:
            record = parse_json(line)
        except (ValueError, RecursionError):
            damaged += 1
            continue
        if isinstance(record, dict):
            records.append(record)
        else:
            damaged += 1
    return records, damaged
