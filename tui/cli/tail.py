"""The end of a text file that may be large, and what is added to it."""

from __future__ import annotations

import os
from pathlib import Path

_BLOCK = 1 << 16
_MOST = 1 << 26


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a file, read from its end; none where it is missing. Undecodable bytes become marks."""
    return _split(_end(path, count)[0])


def _end(path: Path, count: int) -> tuple[bytes, int]:
    """The bytes of the last lines, and the file's size."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            content = b""
            start = size
            # One newline more than lines, so that the first line is whole.
            while start > 0 and content.count(b"\n") <= count and len(content) < _MOST:
                start = max(0, start - _BLOCK)
                file.seek(start)
                content = file.read(min(_BLOCK, size - start - len(content))) + content
    except OSError:
        return b"", 0
    kept = _lines(content)[-count:] if count else []
    return b"".join(kept), size


def _lines(content: bytes) -> list[bytes]:
    lines = content.split(b"\n")
    whole = [line + b"\n" for line in lines[:-1]]
    return [*whole, lines[-1]] if lines[-1] else whole


def _split(content: bytes) -> list[str]:
    # Only newlines part lines: a carriage return is a progress bar drawing over itself.
    lines = content.decode(errors="replace").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


class LineFollower:
    """Whole lines of a growing file.

    Args:
        path: the file, which may not be there yet.
        count: begin with so many last lines; None begins at the start.
    """

    def __init__(self, path: Path, count: int | None) -> None:
        self._path = path
        self._kept, self._offset = _end(path, count) if count is not None else (b"", 0)

    def read(self, *, rest: bool = False) -> list[str]:
        """The lines that are whole by now; with `rest` also a last one without newline."""
        try:
            with open(self._path, "rb") as file:
                if os.fstat(file.fileno()).st_size < self._offset:
                    self._kept, self._offset = b"", 0  # replaced or cut: its beginning is new
                file.seek(self._offset)
                added = file.read()
        except OSError:
            added = b""
        self._offset += len(added)
        self._kept += added
        end = len(self._kept) if rest else self._kept.rfind(b"\n") + 1
        whole, self._kept = self._kept[:end], self._kept[end:]
        return _split(whole) if whole else []
