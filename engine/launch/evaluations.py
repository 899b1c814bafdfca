"""Lets the search that a run belongs to look at each of the run's evaluations, whether or not anybody watches.

The supervisor spawns `python -m engine.study.advance STORE --prune` and forgets it: that process ends runs and starts
none, since all that it started would fall to this supervisor, which ends whatever its trainer leaves behind.
"""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

from engine.launch.news import NewLines
from engine.store import host
from engine.store.paths import AttemptPaths, program

_MARK = b'"evaluated"'


class Evaluations:
    """Watches an attempt's events for new evaluations. One look costs a read of what is new; one process at a time.

    Args:
        attempt: whose events.
        wanted: whether anybody wants to know.
    """

    def __init__(self, attempt: AttemptPaths, wanted: bool) -> None:
        self._attempt = attempt
        self._wanted = wanted
        self._news = NewLines(attempt.events)
        self._due = False
        self._pid: int | None = None

    def look(self) -> None:
        """Tell of an evaluation that is new since the last look."""
        if not self._wanted:
            return
        with contextlib.suppress(OSError):
            self._due = _MARK in self._news.read() or self._due
            if self._due and not self.processes():
                self._due = False
                self._spawn(self._attempt.folder.parent.parent.parent)

    def _spawn(self, store: Path) -> None:
        process = subprocess.Popen(
            [*program("engine.study.advance"), str(store), "--prune"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self._pid = process.pid
        process.returncode = 0  # the supervisor reaps whatever ends; this object must not warn of it

    def processes(self) -> set[int]:
        """The pids of what was spawned and still runs, so that nobody takes them for the trainer's."""
        if self._pid is not None and host.process_state(self._pid, None) != "alive":
            self._pid = None
        return set() if self._pid is None else {self._pid, *host.descendants(self._pid)}
