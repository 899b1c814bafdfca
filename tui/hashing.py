"""Reading many bytes in a thread: how far it is, and a way to end it."""

from __future__ import annotations

import threading
import time

from textual.worker import NoActiveWorker, get_current_worker

from engine.errors import HeatsError
from tui import format


class Cancelled(HeatsError):
    """Somebody ended the reading, or the app closes."""


class Hashing:
    """One reading. The thread calls `advance`, the app's thread `cancel` and `text`.

    Args:
        what: what it does, for the line that tells of it ("compares hashes").
        total: how many bytes there are; 0 where nobody knows.
    """

    def __init__(self, what: str, total: int = 0) -> None:
        self.what = what
        self.total = total
        self.done = 0
        self._began = time.monotonic()
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """End it at the next block."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether somebody ended it."""
        return self._cancelled.is_set()

    def advance(self, size: int) -> None:
        """So many more bytes were read.

        Raises:
            Cancelled: it is to end.
        """
        self.done += size
        if self.cancelled or _is_closing():
            raise Cancelled(f"{self.what}: ended, nothing was changed")

    def text(self, *, bar: int = 0, ascii_only: bool = False) -> str:
        """How far it is.

        Args:
            bar: cells for a bar; none without.
            ascii_only: no glyphs.
        """
        seconds = max(time.monotonic() - self._began, 1e-3)
        pace = f"{format.size(int(self.done / seconds))}/s"
        if not self.total:
            return f"{self.what}: {format.size(self.done)}, {pace}"
        share = min(1.0, self.done / self.total)
        full = int(bar * share)
        drawn = (("#" * full + "-" * (bar - full)) if ascii_only else ("█" * full + "░" * (bar - full))) if bar else ""
        figures = f"{share:4.0%} of {format.size(self.total)}, {pace}"
        return f"{self.what}: {drawn}{figures if drawn else figures.strip()}"


def _is_closing() -> bool:
    try:
        return get_current_worker().is_cancelled
    except NoActiveWorker:
        return False
