"""A real terminal: the program under test in tmux, seen and typed at as a person does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.support import PATIENCE_SECONDS, wait_until

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
HEATS = [sys.executable, "-m", "tui.cli"]


def heats(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one command line to its end, its output in pipes."""
    environment = os.environ | {"HEATS_RUNS_DIR": str(root)}
    return subprocess.run([*HEATS, *words], capture_output=True, text=True, env=environment, check=False, timeout=500)


class Terminal:
    """One tmux server of its own with one window."""

    def __init__(self, command: list[str], root: Path, width: int = 80, height: int = 24, **more: str) -> None:
        self._socket = f"heats-{uuid.uuid4().hex[:12]}"
        environment = os.environ | {"HEATS_RUNS_DIR": str(root), "LANG": "C.UTF-8", "TERM": "screen-256color"} | more
        size = ["-x", str(width), "-y", str(height)]
        start = ["new-session", "-d", *size, *command]
        subprocess.run([*self._tmux, "-f", "/dev/null", *start], env=environment, check=True)

    @property
    def _tmux(self) -> list[str]:
        return ["tmux", "-L", self._socket]

    def screen(self) -> str:
        """What stands on the screen; nothing when the program has left."""
        done = subprocess.run([*self._tmux, "capture-pane", "-p"], capture_output=True, text=True, check=False)
        return done.stdout

    def press(self, *keys: str) -> None:
        """Type keys by tmux's names (`Enter`, `j`, `C-p`)."""
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)

    def resize(self, width: int, height: int) -> None:
        """Change the window's size."""
        subprocess.run([*self._tmux, "resize-window", "-x", str(width), "-y", str(height)], check=True)

    def wait_for(self, *texts: str, seconds: float = PATIENCE_SECONDS) -> str:
        """Wait until all texts stand on the screen, and return the screen."""
        try:
            wait_until(lambda: all(text in self.screen() for text in texts), seconds)
        except AssertionError:
            raise AssertionError(f"not all of {texts} on the screen:\n{self.screen()}") from None
        return self.screen()

    def hang_up(self) -> None:
        """Close the terminal under the program, as a lost connection does."""
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, check=False)
