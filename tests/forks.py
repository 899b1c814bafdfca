"""Processes that don't import torch each time, because they are forked from one that has."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

_LOOP = """
import os, sys
print("up", flush=True)
for line in sys.stdin:
    if line == "wait\\n":
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        code = 1
        try:
            code = work(*line.split())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code or 0)
    print(child, flush=True)
"""


class Forks:
    """Starts processes that do the same work, one after the other."""

    def __init__(self, parent: subprocess.Popen[str], errors: IO[str]) -> None:
        self._parent = parent
        self._errors = errors
        self._child: int | None = None

    def start(self, *words: object) -> int:
        """Start a process that calls `work` with these words as text; its pid."""
        assert self._parent.stdin is not None
        assert self._child is None, "the one before has not been waited for"
        print(*words, file=self._parent.stdin, flush=True)
        self._child = int(self._said())
        return self._child

    def wait(self) -> int:
        """Wait until it has ended, and nothing of it is left; what `work` returned, or the signal as a negative."""
        assert self._parent.stdin is not None
        print("wait", file=self._parent.stdin, flush=True)
        code = int(self._said())
        self._child = None
        return code

    def run(self, *words: object) -> None:
        """Start a process, and wait for it to end well."""
        self.start(*words)
        assert self.wait() == 0, self.errors()

    def kill(self) -> bool:
        """SIGKILL it; whether it was still at work."""
        assert self._child is not None
        os.kill(self._child, signal.SIGKILL)  # until it is waited for, no other process can have its pid
        return self.wait() == -signal.SIGKILL

    def errors(self) -> str:
        """What all of them have written."""
        self._errors.seek(0)
        return self._errors.read()

    def leave(self) -> None:
        """End everything, what a failing test has left too."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
        self._parent.kill()
        self._parent.communicate()

    def _said(self) -> str:
        assert self._parent.stdout is not None
        line = self._parent.stdout.readline().strip()
        assert line, self.errors()
        return line


@contextlib.contextmanager
def forks(code: str) -> Iterator[Forks]:
    """A process that has run this code, which defines `work`, and forks a child at a time that calls it."""
    with tempfile.TemporaryFile("w+") as errors:
        parent = subprocess.Popen(
            [sys.executable, "-c", code + _LOOP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        made = Forks(parent, errors)
        try:
            assert made._said() == "up"
            yield made
        finally:
            made.leave()
