"""Single keys while something is shown: no Enter needed, nothing echoed."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def single_keys() -> Iterator[Keys]:
    """Take keys one by one while inside; without a terminal on stdin there are none."""
    try:
        descriptor = sys.stdin.fileno()
        before: list[Any] = termios.tcgetattr(descriptor)
        tty.setcbreak(descriptor)  # Ctrl-C still interrupts
    except (OSError, ValueError, termios.error):
        yield Keys(None)
        return
    try:
        yield Keys(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)


class Keys:
    """The keys that were pressed."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def wait(self, seconds: float) -> str:
        """Wait for a key at most so long; empty when there was none."""
        if self._descriptor is None:
            time.sleep(seconds)
            return ""
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        if not ready:
            return ""
        pressed = os.read(self._descriptor, 64)
        if not pressed:  # the terminal is gone
            self._descriptor = None
        return pressed.decode(errors="replace")
