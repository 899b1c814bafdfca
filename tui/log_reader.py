"""A run's output logs for the Log tab: any attempt, any level, with the lines that hold a text. Called in threads."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from engine.store.log_levels import Level, LogLevels
from engine.store.logs import LogFile
from engine.store.paths import RunPaths
from engine.store.records import read_launch
from tui.widgets.lines import Lines, Numbers, SomeLines, find_all

_LEVELS_UP_TO_BYTES = 64 << 20
"""A larger log is looked through for its levels only when somebody asks for one."""


@dataclass(frozen=True)
class LogWanted:
    """What somebody wants to see. `attempt` None is the newest; `level` None is every line."""

    attempt: int | None = None
    level: Level | None = None
    pattern: str = ""
    count_levels: bool = False


@dataclass(frozen=True)
class LogNow:
    """A log at one moment. `source` are the lines to show: of the chosen level."""

    wanted: LogWanted
    attempt: int
    attempts: tuple[int, ...]
    resumed_from: int | None
    log: LogFile
    source: Lines
    matches: Numbers
    warnings: int | None = None
    """How many there are; None while nobody has counted."""
    errors: int | None = None


@dataclass
class _Open:
    log: LogFile
    levels: LogLevels
    resumed_from: int | None
    filtered: SomeLines | None = None
    filtered_level: Level | None = None


class LogReader:
    """Keeps the logs of one run open."""

    def __init__(self, run: RunPaths) -> None:
        self.run = run
        self._open: dict[int, _Open] = {}
        self._lock = threading.Lock()
        self._generation = 0

    def read(self, wanted: LogWanted) -> LogNow | None:
        """Take in what was written and find what is wanted; None before the first attempt."""
        with self._lock:
            attempts = tuple(attempt.number for attempt in self.run.attempts())
            if not attempts:
                return None
            number = wanted.attempt if wanted.attempt in attempts else attempts[-1]
            assert number is not None
            opened = self._opened(number)
            opened.log.refresh()
            source = self._source(opened, wanted)
            counted = opened.levels if wanted.level is not None or self._may_count(opened, wanted) else None
            return LogNow(
                wanted, number, attempts, opened.resumed_from, opened.log, source,
                find_all(source, wanted.pattern) if wanted.pattern else np.zeros(0, np.int64),
                counted.count(Level.WARNING) if counted else None, counted.count(Level.ERROR) if counted else None,
            )  # fmt: skip

    def _opened(self, number: int) -> _Open:
        if number not in self._open:
            paths = self.run.attempt(number)
            log, launch = LogFile(paths.output), read_launch(paths.launch)
            self._open[number] = _Open(log, LogLevels(log), launch.resumed_from_step if launch else None)
        return self._open[number]

    def _may_count(self, opened: _Open, wanted: LogWanted) -> bool:
        if not wanted.count_levels or opened.log.size > _LEVELS_UP_TO_BYTES:
            return False
        opened.levels.refresh()
        return True

    def _source(self, opened: _Open, wanted: LogWanted) -> Lines:
        if wanted.level is None:
            return opened.log
        opened.levels.refresh()
        numbers = opened.levels.at_least(wanted.level)
        before = opened.filtered
        if before is not None and opened.filtered_level == wanted.level:
            # The same object goes on, so that a view keeps its place; only what was added is new.
            if not np.array_equal(numbers[: len(before.numbers)], before.numbers):
                before.generation += 1
            before.numbers = numbers
            return before
        self._generation += 1
        opened.filtered, opened.filtered_level = SomeLines(opened.log, numbers, self._generation), wanted.level
        return opened.filtered


def log_kind(text: str) -> str:
    """How a line of a log looks, by the level that it begins with."""
    head = text[19:60]
    if " ERROR " in head or " CRITICAL " in head or text.startswith("Traceback (most") or '"level": "ERROR"' in head:
        return "bad"
    if " WARNING " in head or '"level": "WARNING"' in head or "Warning: " in text[:120]:
        return "warn"
    return "muted" if " DEBUG " in head else ""


def log_text(source: Lines) -> str:
    """All lines as one text."""
    count = source.line_count
    return "".join(f"{line}\n" for low in range(0, count, 4000) for line in source.lines(low, min(count, low + 4000)))
