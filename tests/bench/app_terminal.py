"""`python -m tests.bench.app_terminal`: the app in a real terminal: first paint, a move, a long log, a logged step."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import made_curves
from tests.bench.chart_terminal import heats
from tests.bench.made_store import fill
from tests.bench.report import emit, median, skip
from tests.bench.terminal import Terminal, missing_tmux

_HELLO = """
from textual.app import App
from textual.widgets import Static
class Hello(App):
    def compose(self):
        yield Static("hello there")
Hello().run()
"""
_MOVES = 20


def first_paint(folder: Path, runs: int, rounds: int) -> None:
    """Until the newest of so many runs stand there (and all), and until a bare Textual app says hello, in turns."""
    root, home = folder / "many", folder / "home"
    fill(root, runs)
    newest: list[float] = []
    ours: list[float] = []
    hello: list[float] = []
    with heats(root, home, columns=120, rows=40) as terminal:
        terminal.until(lambda screen: f"of {runs}" in screen)  # the index is made
    for _ in range(rounds):
        with Terminal([sys.executable, "-c", _HELLO], columns=120, rows=40) as terminal:
            hello.append(terminal.until(lambda screen: "hello there" in screen))
        with heats(root, home, columns=120, rows=40) as terminal:
            newest.append(terminal.until(lambda screen: f"reading {runs:,} runs" in screen or f"of {runs}" in screen))
            ours.append(terminal.until(lambda screen: f"of {runs}" in screen))
    emit(
        f"app_terminal/first paint of {runs:,} runs", median(newest), "s", "a bare Textual app", median(hello),
        lowest=min(newest), all_rows=median(ours), load=os.getloadavg()[0],
    )  # fmt: skip
    with heats(root, home, columns=120, rows=40) as terminal:
        terminal.until(lambda screen: f"of {runs}" in screen)
        terminal.settle()
        sent = terminal.sent_bytes()
        for _ in range(_MOVES):
            terminal.keys("j")
            time.sleep(0.05)
        time.sleep(0.1)
        moved = terminal.sent_bytes() - sent  # before the run it rests on is read and shown
        emit("app_terminal/a move in the table", moved / _MOVES, "B", load=os.getloadavg()[0])


def logged_step(folder: Path, rounds: int) -> None:
    """From the write of a step to the byte that shows it."""
    path = made_curves.our_run(folder / "latency", 100, 1, live=True)
    waits = []
    with heats(folder / "latency", folder / "home") as terminal:
        terminal.until(lambda screen: "running" in screen)
        terminal.keys("z")
        terminal.until(lambda screen: "chart 1 of" in screen)
        terminal.settle()
        for number in range(rounds):
            time.sleep(0.37)  # not in step with the app's clock
            sent, began = terminal.sent_bytes(), time.perf_counter()
            with path.open("a") as file:
                file.write(made_curves.lines(1, 1, 101 + number, 200)[0])
            while terminal.sent_bytes() == sent and time.perf_counter() - began < 20:
                time.sleep(0.005)
            waits.append(time.perf_counter() - began)
            terminal.settle(1.0)
    emit("app_terminal/a logged step shows", median(waits), "s", longest=max(waits), load=os.getloadavg()[0])


def long_log(folder: Path, lines: int) -> None:
    """A log of so many lines opens at its end, and its first lines are gone to."""
    path = made_curves.our_run(folder / "log", 100, 1, live=True)
    output = path.with_name("output.log")
    output.write_text("".join(f"step {number:>7}: all is well\n" for number in range(lines)))
    last = f"step {lines - 1:>7}"
    with heats(folder / "log", folder / "home", columns=80, rows=24) as terminal:
        terminal.until(lambda screen: "running" in screen)
        terminal.settle()
        terminal.keys("Enter")
        terminal.settle()
        began = time.perf_counter()
        terminal.keys("2")
        terminal.until(lambda screen: last in screen)
        emit(
            f"app_terminal/log of {lines:,} lines opens", 1e3 * (time.perf_counter() - began), "ms",
            load=os.getloadavg()[0],
        )  # fmt: skip


def main() -> None:
    """All of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=10_000)
    arguments = parser.parse_args()
    why = missing_tmux()
    if why is not None:
        skip("app_terminal", why)
        return
    with tempfile.TemporaryDirectory(prefix="heats-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        parts: list[Callable[[], None]] = [
            lambda: logged_step(folder, arguments.rounds),
            lambda: long_log(folder, 100_000),
            lambda: first_paint(folder, arguments.runs, arguments.rounds),
        ]
        for part in parts:
            try:
                part()
            except (TimeoutError, subprocess.SubprocessError) as error:
                skip("app_terminal", f"it never came to be so: {error}")


if __name__ == "__main__":
    main()
