"""Reads a log that is being written, line by line; a carriage return ends a line too, as progress bars have it."""

from __future__ import annotations

import os
import re
from pathlib import Path

_CHUNK = 1 << 20
_SAID = 300
"""Characters of a last line that are worth repeating."""
_ENDS = re.compile(rb"[\r\n]+")


class GrowingText:
    """What was added to a text since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def lines(self, *, last: bool = False) -> list[str]:
        """New whole lines.

        Args:
            last: nobody writes any more: a last line without its end counts.
        """
        found: list[str] = []
        while True:
            try:
                with open(self._path, "rb") as file:
                    file.seek(self._offset)
                    data = file.read(_CHUNK)
            except OSError:
                data = b""
            self._offset += len(data)
            parts = _ENDS.split(self._rest + data)
            self._rest = parts.pop()
            if len(self._rest) > _CHUNK:  # no line of figures is that long
                self._rest = b""
            found += [part.decode("utf-8", "replace") for part in parts if part]
            if len(data) < _CHUNK:
                break
        if last and self._rest:
            found.append(self._rest.decode("utf-8", "replace"))
            self._rest = b""
        return found


def last_error(path: Path, most_bytes: int = 1 << 14) -> tuple[str, str]:
    """The exception that a log ends with, as one line, and its traceback; its last line where there is none."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - most_bytes))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return "", ""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    for index in range(len(lines) - 1, max(-1, len(lines) - 40), -1):
        if re.match(r"(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit|Warning)\b(?::|$)", lines[index]):
            start = max((at for at in range(index) if lines[at].startswith("Traceback")), default=None)
            return lines[index], "" if start is None else "\n".join(lines[start : index + 1])
    return (lines[-1][:_SAID] if lines else ""), ""
