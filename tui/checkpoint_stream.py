"""Looking at the checkpoints of many runs in a thread: what is found is shown as it comes, and the rest can be left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from textual.app import App
from textual.message import Message

from engine.errors import HeatsError
from engine.store.checkpoint_report import RunReport, inspect, leftovers
from engine.store.checkpoints import has_checkpoint, scan
from engine.store.paths import RunPaths
from tui.hashing import Cancelled, Hashing

_CHUNK_SECONDS = 0.25
_YIELD_SECONDS = 0.002
"""After each run: the thread that draws shall not wait for the one that reads."""


class ReportsRead(Message):
    """Some runs were looked at; the last message of a reading says that it is over."""

    def __init__(self, stream: CheckpointStream, reports: Sequence[RunReport], seen: int, *, over: bool) -> None:
        super().__init__()
        self.stream = stream
        self.reports = tuple(reports)
        self.seen = seen
        self.over = over


class CheckpointStream:
    """One reading.

    Args:
        runs: in the order to look at them.
        deep: read every byte and compare its hash.
        with_empty: also tell of runs that have no checkpoints.
    """

    def __init__(self, runs: Sequence[RunPaths], *, deep: bool = False, with_empty: bool = True) -> None:
        self.runs = tuple(runs)
        self.deep = deep
        self.with_empty = with_empty
        self.seen = 0
        self.over = False
        self.hashing = Hashing("comparing hashes") if deep else None
        self._left = threading.Event()

    def start(self, app: App[object], post: Callable[[ReportsRead], object]) -> None:
        """Begin. `post` is called in the thread."""
        app.run_worker(
            lambda: self._work(post), name="checkpoints", group="screens", description="looks at checkpoints",
            exit_on_error=False, thread=True,
        )  # fmt: skip

    def leave(self) -> None:
        """End it after the run (or the block of bytes) at hand."""
        self._left.set()
        if self.hashing is not None:
            self.hashing.cancel()

    @property
    def left(self) -> bool:
        """Whether it was ended before its time."""
        return self._left.is_set()

    def _work(self, post: Callable[[ReportsRead], object]) -> None:
        found: list[RunReport] = []
        told = time.monotonic()
        seen = 0
        try:
            if self.hashing is not None:
                self.hashing.total = self._bytes()
            for run in self.runs:
                if self.left:
                    break
                report = self._look(run)
                seen += 1
                if report is not None:
                    found.append(report)
                if time.monotonic() - told >= _CHUNK_SECONDS:
                    post(ReportsRead(self, found, seen, over=False))
                    found, told = [], time.monotonic()
                time.sleep(_YIELD_SECONDS)
        except Cancelled:
            pass
        finally:
            post(ReportsRead(self, found, seen, over=True))

    def _look(self, run: RunPaths) -> RunReport | None:
        if not self.with_empty and not has_checkpoint(run) and not leftovers(run):
            return None
        advance = self.hashing.advance if self.hashing is not None else None
        try:
            return inspect(run, deep=self.deep, advance=advance)
        except Cancelled:
            raise
        except HeatsError as error:
            return RunReport(run, False, (), None, (str(error),))

    def _bytes(self) -> int:
        total = 0
        for run in self.runs:
            if self.left:
                break
            total += sum(item.bytes for item in scan(run) if item.valid)
        return total
