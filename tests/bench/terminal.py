"""A program in a real terminal (tmux, on a server of its own): what is on its screen, what it sends, what it costs."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

POLL_SECONDS = 0.02


def missing_tmux() -> str | None:
    """Why nothing can be measured here, or None."""
    return None if shutil.which("tmux") else "tmux is not installed"


class Terminal:
    """One program in one window. Use it as a context: at the end its server and all in it are gone."""

    def __init__(self, command: list[str], *, columns: int = 80, rows: int = 24, env: Mapping[str, str] | None = None):
        self.folder = Path(tempfile.mkdtemp(prefix="heats-bench-tmux-"))
        self.sent = self.folder / "sent"
        self.sent.touch()
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in (env or {}).items())
        # It waits for a line, so that the first byte it sends is counted and the clock starts with it. As at a user's,
        # compiled modules are kept.
        shell = f"read _; exec env -u PYTHONDONTWRITEBYTECODE {words} LANG=C.UTF-8 {shlex.join(command)}"
        self._tmux("new-session", "-d", "-x", str(columns), "-y", str(rows), "-s", "main", "sh", "-c", shell)
        self._tmux("pipe-pane", "-t", "main", "-O", f"cat >> {shlex.quote(str(self.sent))}")
        time.sleep(0.3)
        self.began = time.perf_counter()
        self._tmux("send-keys", "-t", "main", "Enter")

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes():
            try:
                process.kill()
            except psutil.Error:
                continue
        self._tmux("kill-server", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _tmux(self, *words: str, check: bool = True) -> str:
        command = ["tmux", "-S", str(self.folder / "socket"), "-f", "/dev/null", *words]
        return subprocess.run(command, check=check, capture_output=True, text=True).stdout

    def screen(self) -> str:
        """The text that one sees."""
        return self._tmux("capture-pane", "-p", "-t", "main")

    def keys(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        self._tmux("send-keys", "-t", "main", *keys)

    def sent_bytes(self) -> int:
        """How much the program has sent so far."""
        return os.stat(self.sent).st_size

    def until(self, check: Callable[[str], bool], seconds: float = 300.0) -> float:
        """Wait until the screen is so; seconds since the start.

        Raises:
            TimeoutError: with the screen as it is.
        """
        while time.perf_counter() - self.began < seconds:
            if check(self.screen()):
                return time.perf_counter() - self.began
            time.sleep(POLL_SECONDS)
        raise TimeoutError(self.screen())

    def settle(self, quiet: float = 2.0, seconds: float = 60.0) -> None:
        """Wait until it has sent nothing for a while, or not for longer than `seconds`."""
        end, before, since = time.perf_counter() + seconds, self.sent_bytes(), time.perf_counter()
        while time.perf_counter() < end and time.perf_counter() - since < quiet:
            time.sleep(0.1)
            if (now := self.sent_bytes()) != before:
                before, since = now, time.perf_counter()

    def _processes(self) -> list[psutil.Process]:
        found = self._tmux("list-panes", "-t", "main", "-F", "#{pane_pid}", check=False).split()
        try:
            parent = psutil.Process(int(found[0]))
            return [parent, *parent.children(recursive=True)]
        except (psutil.Error, IndexError):
            return []

    def cpu_seconds(self) -> float:
        """What the program and its children have computed so far."""
        total = 0.0
        for process in self._processes():
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            total += times.user + times.system
        return total


def over(terminal: Terminal, seconds: float) -> tuple[float, float]:
    """Bytes a second and the share of a core while one waits."""
    sent, computed, began = terminal.sent_bytes(), terminal.cpu_seconds(), time.perf_counter()
    time.sleep(seconds)
    span = time.perf_counter() - began
    return (terminal.sent_bytes() - sent) / span, (terminal.cpu_seconds() - computed) / span
