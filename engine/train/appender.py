"""Appending lines to a log that survives a full disk: nothing is lost or torn while the process lives."""

from __future__ import annotations

import os
import threading
from pathlib import Path


class LineAppender:
    """One file with one writer. What can't be written now (disk full) is kept and written before what comes next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._waiting = b""
        self._lock = threading.Lock()
        self.error: OSError | None = None
        """Why the last write failed; None once writing works again."""

    def append(self, lines: bytes) -> None:
        """Write whole lines. A failure is kept in `error`, never raised: training goes on without its log."""
        with self._lock:
            self._waiting += lines
            try:
                while self._waiting:
                    written = os.write(self._descriptor, self._waiting)
                    self._waiting = self._waiting[written:]
                self.error = None
            except OSError as error:
                self.error = error

    def sync(self) -> None:
        """Ask the disk to keep what was written."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self.error = error

    def close(self) -> None:
        """Write what waits, if that is possible, and close."""
        self.append(b"")
        os.close(self._descriptor)
