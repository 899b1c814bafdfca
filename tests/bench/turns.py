"""Loops in processes of their own that take turns, so that all of them meet the same weather on a shared machine."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.report import missing, skip

QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false", "PYTHONWARNINGS": "ignore"}


CHUNK = 10
"""Steps timed together, so that what a loop does each tenth step is in each chunk."""


@dataclass(frozen=True)
class Turn:
    """How many steps a turn has: the first `skip` find cold caches and aren't counted."""

    warmup: int
    skip: int
    steps: int


@dataclass(frozen=True)
class Result:
    """A turn's milliseconds a step: by chunk, and of CPU time of all the process's threads."""

    chunks: list[float]
    cpu: float


class Clock:
    """In the process of a loop: `tick` is called at one place in each step, and waits between turns."""

    def __init__(self, turn: Turn, inbox: int, outbox: int) -> None:
        self.settle: Callable[[], None] = lambda: None
        """Called at the end of a turn, before CPU time is read: finishes work left to other threads."""
        self._turn = turn
        self._inbox = inbox
        self._outbox = outbox
        self._stamps: list[float] = []
        self._goal = turn.warmup
        self._cpu = 0.0

    def tick(self) -> None:
        """A step begins."""
        self._stamps.append(time.perf_counter())
        if len(self._stamps) == self._turn.skip + 1:
            self._cpu = time.process_time()
        if len(self._stamps) == self._goal:
            self._hand_over()

    def _hand_over(self) -> None:
        self.settle()
        cpu = 1e3 * (time.process_time() - self._cpu) / self._turn.steps
        stamps = self._stamps[self._turn.skip :: CHUNK]
        chunks = [1e3 * (after - before) / CHUNK for before, after in itertools.pairwise(stamps)]
        os.write(self._outbox, (json.dumps({"chunks": chunks, "cpu": cpu}) + "\n").encode())
        if os.read(self._inbox, 1) != b"g":
            os._exit(0)
        self._stamps = []
        self._goal = self._turn.skip + self._turn.steps + 1


LoopFunction = Callable[[Clock, str, Path], Any]


def run_alone(words: list[str], loops: Mapping[str, tuple[LoopFunction, str | None]]) -> None:
    """In the process of a loop: run it until its conductor has had enough.

    Args:
        words: its name, its size, a folder, and the numbers that `Loop` gives.
        loops: by name, the loop and the module that it needs.
    """
    import torch

    name, size, folder, *numbers = words
    warmup, skipped, steps, inbox, outbox = (int(number) for number in numbers)
    torch.set_num_threads(1)
    loops[name][0](Clock(Turn(warmup, skipped, steps), inbox, outbox), size, Path(folder))


def names_of(loops: Mapping[str, tuple[LoopFunction, str | None]], wanted: Sequence[str], what: str) -> list[str]:
    """`bare`, and of the others those that are wanted (all of them by default) and can run; says what is missing.

    Args:
        loops: by name, the loop and the module that it needs.
        wanted: names.
        what: the figure that a loop which can't run would have given.
    """
    names = ["bare"]
    for name, (_, module) in loops.items():
        if name == "bare" or (wanted and name not in wanted):
            continue
        why = missing(module) if module else None
        if why:
            skip(f"{what}/{name}", why)
        else:
            names.append(name)
    return names


class Loop:
    """A loop's process, seen from the one that conducts. It starts, warms up and then waits for its turns."""

    def __init__(self, name: str, size: str, turn: Turn, folder: Path, module: str = "tests.bench.loops") -> None:
        self.name = name
        self.results: list[Result] = []
        inbox, self._go = os.pipe()
        reports, outbox = os.pipe()
        self._reports = os.fdopen(reports)
        numbers = [str(number) for number in (turn.warmup, turn.skip, turn.steps, inbox, outbox)]
        words = [sys.executable, "-m", module, name, size, str(folder), *numbers]
        self._log = folder / f"{name}-{size}.log"
        with open(self._log, "wb") as log:
            environment = os.environ | QUIET
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                words, pass_fds=(inbox, outbox), env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        os.close(inbox)
        os.close(outbox)
        self._read()

    def take_turn(self) -> None:
        """Let it run for one turn."""
        os.write(self._go, b"g")
        self.results.append(self._read())

    def end(self) -> None:
        """End the process."""
        os.close(self._go)
        self._process.wait()
        self._reports.close()

    def _read(self) -> Result:
        line = self._reports.readline()
        if not line:
            tail = self._log.read_text(errors="replace")[-3000:]
            raise RuntimeError(f"the loop {self.name} died:\n{tail}")
        return Result(**json.loads(line))
