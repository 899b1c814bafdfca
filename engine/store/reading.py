"""Reading many small files quickly: what `files` reads, to the same values, at a third of the cost.

Apart from `files`, because the supervisor stands on that one and must start on the standard library alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import orjson

from engine.store.files import parse_json

_BLOCK = 1 << 16


def read_bytes(path: str | os.PathLike[str]) -> bytes | None:
    """A whole file; None where it can't be read. Half the cost of `open`, which looks at a file three times more."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        content = os.read(descriptor, _BLOCK)
        if len(content) < _BLOCK:
            return content
        blocks = [content]
        while block := os.read(descriptor, 1 << 20):
            blocks.append(block)
        return b"".join(blocks)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def read_tail(path: str | os.PathLike[str], most: int) -> bytes:
    """The whole lines within about the last `most` bytes of a file; nothing where it can't be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return b""
    try:
        begin = max(0, os.fstat(descriptor).st_size - most)
        # A byte more at the front tells whether a line begins there.
        block = os.pread(descriptor, 2 * most, max(0, begin - 1))
    except OSError:
        return b""
    finally:
        os.close(descriptor)
    end = block.rfind(b"\n") + 1
    return block[block.find(b"\n") + 1 if begin else 0 : end]


def parse(text: bytes) -> Any:
    """Any JSON. What orjson refuses (NaN without quotes, halves of surrogate pairs) goes the slow way.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested without end.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return parse_json(text)


def read_object(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The object in a JSON file; None when it is missing, damaged or no object. Never raises for its content."""
    text = read_bytes(path)
    if text is None:
        return None
    try:
        content = parse(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def read_lines(path: str | os.PathLike[str]) -> tuple[list[dict[str, Any]], int]:
    """All whole records of a JSONL file and the number of damaged ones. A last line without newline is ignored."""
    content = read_bytes(path)
    if not content:
        return [], 0
    return parse_lines(content[: content.rfind(b"\n") + 1])


def parse_lines(block: bytes, parse_line: Callable[[bytes], Any] = parse) -> tuple[list[dict[str, Any]], int]:
    """The records in whole lines and the number of damaged lines."""
    lines = block.splitlines()
    if all(line[:1] == b"{" and line[-1:] == b"}" for line in lines):
        # One call for all: with braces at both ends of each line and one object a line, none spans two.
        try:
            records = orjson.loads(b"[" + b",".join(lines) + b"]")
        except orjson.JSONDecodeError:
            pass
        else:
            if len(records) == len(lines):
                return records, 0
    records, damaged = [], 0
    for line in lines:
        try:
            record = parse_line(line)
        except (ValueError, RecursionError):
            damaged += 1
            continue
        if isinstance(record, dict):
            records.append(record)
        else:
            damaged += 1
    return records, damaged
