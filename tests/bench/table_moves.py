"""`python -m tests.bench.table_moves`: the app over ten thousand runs in a pty: first paint, rows, bytes a move."""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

from tests.bench.made_store import fill
from tests.bench.report import emit, median, quartiles

_HELLO = """
from textual.app import App
from textual.widgets import Static
class Hello(App):
    def compose(self):
        yield Static("hello")
Hello().run()
"""
_COLUMNS, _ROWS = 120, 40
_QUIET_SECONDS = 0.06
"""Less than the app waits before it shows the run on which the cursor rests: what came until then is the move."""
_SETTLED_SECONDS = 1.5
_PATIENCE = 120.0


class Terminal:
    """A program in a pty of 120 by 40, and the bytes that it wrote there."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self.began = time.perf_counter()
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.execvpe(words[0], words, environment)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
        self.output = b""

    def read(self, seconds: float) -> bytes:
        """What comes until nothing has come for so long."""
        found = b""
        while select.select([self.descriptor], [], [], seconds)[0]:
            try:
                block = os.read(self.descriptor, 1 << 16)
            except OSError:
                break
            found += block
        self.output += found
        return found

    def wait_for(self, *texts: bytes) -> float:
        """Seconds from the start until one of these was written."""
        while time.perf_counter() - self.began < _PATIENCE:
            if select.select([self.descriptor], [], [], 0.5)[0]:
                self.output += os.read(self.descriptor, 1 << 16)
            if any(text in self.output for text in texts):
                return time.perf_counter() - self.began
        raise TimeoutError(f"none of {texts} came; the end was {self.output[-500:]!r}")

    def press(self, key: bytes) -> tuple[int, int]:
        """Bytes written for the move itself, and for all that a rested cursor shows after it."""
        os.write(self.descriptor, key)
        moved = self._first()
        moved += len(self.read(_QUIET_SECONDS))
        return moved, moved + len(self.read(_SETTLED_SECONDS))

    def _first(self) -> int:
        select.select([self.descriptor], [], [], 5.0)
        block = os.read(self.descriptor, 1 << 16)
        self.output += block
        return len(block)

    def cpu(self) -> float:
        """Seconds of processor time that it has taken: a busy machine makes them longer by far less than the wall's."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.descriptor)


def environment(home: Path) -> dict[str, str]:
    """A terminal of many colours, and a home of its own."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONDONTWRITEBYTECODE", "NO_COLOR")}
    places = {"XDG_STATE_HOME": str(home / "state"), "XDG_CACHE_HOME": str(home / "cache")}
    locale = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    return kept | places | locale


def main() -> None:
    """Start the app and its peer in turns, then move in the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--moves", type=int, default=16)
    parser.add_argument("--store", type=Path, help="a store that was made before, by this or by store_scale")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="heats-bench-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        store = arguments.store or home / "runs"
        if arguments.store is None:
            fill(store, arguments.runs)
        app = [sys.executable, "-m", "tui.cli", "--runs-dir", str(store)]
        hello: list[float] = []
        paints: list[float] = []
        rows: list[float] = []
        processor: list[tuple[float, float, float]] = []
        for number in range(arguments.rounds + 1):
            peer = Terminal([sys.executable, "-c", _HELLO], environment(home))
            first, first_cpu = peer.wait_for(b"hello"), peer.cpu()
            peer.close()
            terminal = Terminal(app, environment(home))
            painted, painted_cpu = terminal.wait_for(b"reading the store", b"finished"), terminal.cpu()
            listed, listed_cpu = terminal.wait_for(b"finished"), terminal.cpu()
            if number:  # the first compiles modules and makes the index
                hello.append(first)
                paints.append(painted)
                rows.append(listed)
                processor.append((first_cpu, painted_cpu, listed_cpu))
            if number < arguments.rounds:
                terminal.close()
        emit(
            "table_moves/first paint", median(paints), "s", "a bare Textual app", median(hello),
            ratio=median([ours / theirs for ours, theirs in zip(paints, hello, strict=True)]),
            quartiles=quartiles(paints), lowest=min(paints), peer_lowest=min(hello), runs=arguments.runs,
        )  # fmt: skip
        emit(
            "table_moves/rows on the screen", median(rows), "s", "a bare Textual app", median(hello),
            quartiles=quartiles(rows), lowest=min(rows),
        )  # fmt: skip
        for at, figure in ((1, "first paint"), (2, "rows on the screen")):
            emit(
                f"table_moves/{figure}, processor", median([item[at] for item in processor]), "s", "a bare Textual app",
                median([item[0] for item in processor]),
            )  # fmt: skip
        terminal.read(3.0)
        moves = [terminal.press(b"j") for _ in range(arguments.moves)]
        idle = len(terminal.read(2.5))
        terminal.close()
        emit("table_moves/a move", median([move for move, _ in moves]), "B", most=max(move for move, _ in moves))
        emit("table_moves/a move and the run it rests on", median([whole for _, whole in moves]), "B")
        emit("table_moves/nothing happening for 2.5 s", idle, "B")


if __name__ == "__main__":
    main()
