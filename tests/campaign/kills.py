"""SIGKILL at random moments to trainer, supervisor or both: statuses stay true, and the end is the same to the bit."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from engine.launch.actions import resume
from engine.store.checkpoints import folder_name, scan, verify
from engine.store.compare import checkpoint_differences, metric_differences
from engine.store.paths import RunPaths
from engine.store.status import State
from tests.support import TINY, launched, look, start, wait_for_state, wait_until

STEPS = 4000
CONFIG = TINY | {"train.max_steps": STEPS, "train.save_every": 20, "evaluation.every": 100, "model.dropout": 0.1}


def kill_campaign(root: Path, kills: int, chance: random.Random) -> dict[str, Any]:
    """Kill one run over and over, resume it each time, and compare its end with a run that was left alone.

    Returns:
        The number of kills by target, the promises that broke, and the seconds it took.
    """
    began = time.monotonic()
    straight = start(root, CONFIG).run
    wait_for_state(straight, State.FINISHED, seconds=600)
    run = start(root, CONFIG).run
    broken: list[str] = []
    counts: dict[str, int] = {}
    for number in range(kills):
        target = chance.choice(["trainer", "supervisor", "both"])
        # From the very start (imports) to the middle of training: most of an attempt's life is its first seconds.
        time.sleep(chance.choice([0.0, 0.3, 1.0]) * chance.random() + chance.choice([0.0, 3.0, 6.0]))
        if look(run).status is State.FINISHED:
            break
        counts[target] = counts.get(target, 0) + 1
        broken += [f"kill {number} ({target}): {problem}" for problem in _kill(run, target)]
        broken += [f"kill {number}: {item.folder.name}: {item.problems}" for item in scan(run) if not item.valid]
        if look(run).status is State.FINISHED:
            break
        resume(run)
    wait_for_state(run, State.FINISHED, seconds=900)
    broken += [f"{item.folder.name}: {problem}" for item in scan(run) for problem in verify(item)]
    folders = [paths.checkpoints / folder_name(STEPS) for paths in (straight, run)]
    broken += checkpoint_differences(*folders) + metric_differences(straight, run)
    return {"kills": counts, "attempts": len(run.attempts()), "broken": broken, "seconds": time.monotonic() - began}


def _kill(run: RunPaths, target: str) -> list[str]:
    """Kill, then say where the reported status isn't the truth."""
    record = launched(run)
    pids = {"trainer": [record.trainer_pid], "supervisor": [record.supervisor_pid]}
    pids["both"] = pids["supervisor"] + pids["trainer"]
    for pid in pids[target]:
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    expected = {
        "trainer": {State.KILLED},
        "supervisor": {State.RUNNING, State.STARTING},
        "both": {State.LOST},
    }[target] | {State.FINISHED}
    try:
        wait_until(lambda: look(run).status in expected, 30)
    except AssertionError:
        found = look(run)
        return [f"said {found.status} ({found.reason}) where the truth is one of {sorted(expected)}"]
    if target == "supervisor":
        return _end_orphan(run)
    return []


def _end_orphan(run: RunPaths) -> list[str]:
    """The trainer lives on without its supervisor; end it too, so that the run can be resumed."""
    pid = launched(run).trainer_pid
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    try:
        wait_until(lambda: look(run).status in (State.LOST, State.FINISHED), 30)
    except AssertionError:
        return [f"an orphan's death was called {look(run).status} ({look(run).reason})"]
    return []
