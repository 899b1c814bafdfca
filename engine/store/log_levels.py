"""How serious each line of an output log is, by the level that the log gives it. Never raises for what is in a log."""

from __future__ import annotations

import os
import re
from enum import IntEnum
from typing import TYPE_CHECKING

from engine.late import np
from engine.store.logs import LogFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK_LINES = 1000


class Level(IntEnum):
    """How serious a line is; more is worse."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


_BY_NAME = {
    b"DEBUG": Level.DEBUG, b"INFO": Level.INFO, b"WARNING": Level.WARNING, b"ERROR": Level.ERROR,
    b"CRITICAL": Level.ERROR,
}  # fmt: skip
_LEVELLED = re.compile(
    rb"(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d |\{\"time\": [\d.e+]+, \"level\": \")(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b"
)
_TRACEBACK = b"Traceback (most recent call last)"
_PYTHON_WARNING = re.compile(rb"(?:\S+:\d+: )?\w*Warning: ")


def level_of(line: bytes) -> Level | None:
    """The level that a raw line has of its own; None where it goes on with what stands before it."""
    found = _LEVELLED.match(line)
    if found is not None:
        return _BY_NAME[found[1]]
    if line.startswith(_TRACEBACK):
        return Level.ERROR
    return Level.WARNING if b"Warning: " in line[:400] and _PYTHON_WARNING.match(line) else None


class LogLevels:
    """The level of every whole line of a growing log. Lines without one, as in a traceback, have that before them."""

    def __init__(self, log: LogFile) -> None:
        self.log = log
        self._levels: NDArray[np.int8] = np.zeros(0, np.int8)
        self._generation = log.generation

    def refresh(self) -> None:
        """Take in the lines that have become whole since the last call; reads only these."""
        if self.log.generation != self._generation:
            self._generation, self._levels = self.log.generation, np.zeros(0, np.int8)
        whole = self.log.whole_lines
        parts, last = [self._levels], int(self._levels[-1]) if len(self._levels) else int(Level.INFO)
        try:
            descriptor = os.open(self.log.path, os.O_RDONLY)
        except OSError:
            return
        try:
            for low in range(len(self._levels), whole, _BLOCK_LINES):
                levels = []
                for line in self.log.raw_lines(descriptor, low, min(low + _BLOCK_LINES, whole)):
                    own = level_of(line)
                    last = last if own is None else int(own)
                    levels.append(last)
                parts.append(np.asarray(levels, np.int8))
        except OSError:
            return
        finally:
            os.close(descriptor)
        self._levels = np.concatenate(parts)

    def at_least(self, level: Level) -> NDArray[np.int64]:
        """The numbers of the lines that are as serious or more."""
        return np.flatnonzero(self._levels >= level).astype(np.int64)

    def count(self, level: Level) -> int:
        """How many lines have exactly this level."""
        return int(np.count_nonzero(self._levels == level))
