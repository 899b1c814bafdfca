"""Processes whose parents have ended: taken in by whoever started their parents, and reaped. Standard library only."""

from __future__ import annotations

import contextlib
import ctypes
import os

_PR_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    """From here on processes below this one become its children when their parents end, where the system can do so."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap(but: int | None = None) -> None:
    """Reap children that have ended.

    Args:
        but: the pid of one that is left to its Popen.
    """
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if ended.si_pid == but:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)
