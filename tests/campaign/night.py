"""`python -m tests.campaign.night [--cells 50] [--slots 2]`: a night's study that nobody watches, on one machine.

After the one `heats study run` nothing of heats is called: who ends a run starts the next. In the middle the machine
"reboots" (the queue's file names another boot): what runs goes on, nothing more starts, `queue list` and `study
status` say why, and `heats queue resume` goes on to the end, where verdict and report are written with nobody there.
Prints one line of JSON; exit code 1 if a promise broke.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from engine.store import queue
from engine.store.index import list_runs
from engine.store.paths import open_store, program
from engine.store.status import State
from engine.study.cells import find_cells
from engine.study.spec import Study, read_study
from tests.support import TINY

_LONG = 7200.0


def write_study(folder: Path, cells: int, slots: int) -> Study:
    """Two arms of trainings that are as short as can be."""
    content = {
        "question": "Does the night end?", "task": "multiplication", "allow": ["commits"],
        "hypothesis": {"better": "wide", "than": "narrow", "metric": "val/loss"},
        "base": TINY | {"train.max_steps": 4, "train.save_every": 4, "evaluation.every": 4},
        "arms": {"narrow": {"model.d_model": 16}, "wide": {"model.d_model": 32}},
        "seeds": list(range(cells // 2)), "budget": {"max_parallel": slots},
    }  # fmt: skip
    path = folder / "night.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return read_study(path)


def night(folder: Path, *, cells: int = 50, slots: int = 2) -> dict[str, Any]:
    """Run the study through; the report.

    Args:
        folder: where the store goes.
        cells: how many runs; an even number.
        slots: how many at once.
    """
    environment = os.environ | {
        "HEATS_LOCK_DIR": str(folder / "locks"), "XDG_CACHE_HOME": str(folder / "cache"), "HEATS_SLOTS": str(slots),
    }  # fmt: skip
    os.environ.update({key: environment[key] for key in ("HEATS_LOCK_DIR", "XDG_CACHE_HOME", "HEATS_SLOTS")})
    root, study, broken = folder / "runs", write_study(folder, cells, slots), []
    began = time.monotonic()

    def heats(*words: str) -> Any:
        done = subprocess.run(
            [*program("tui.cli"), "--runs-dir", str(root), *words, "--json"],
            env=environment, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return json.loads(done.stdout)

    heats("study", "run", str(study.file), "--detach")
    store = open_store(root)
    most_at_once = 0

    def wait(finished: int, *, all_ended: bool = False) -> None:
        """Until so many runs have finished; with `all_ended`, until none is live any more either. Only looks."""
        nonlocal most_at_once
        deadline = time.monotonic() + _LONG
        while time.monotonic() < deadline:
            states = [run.status for run in list_runs(store)]
            live = sum(state.is_live for state in states)
            most_at_once = max(most_at_once, live)
            if states.count(State.FINISHED) >= finished and not (all_ended and live):
                return
            time.sleep(0.2)
        broken.append(f"not {finished} runs finished in {_LONG:.0f} s")

    wait(cells // 3)
    queue.write_state(store, replace(queue.read_state(store), boot_id="of another boot"))
    wait(0, all_ended=True)
    time.sleep(5)  # whoever would start something has had the time
    at_reboot = [run.status for run in list_runs(store)]
    listed, status = heats("queue", "list"), heats("study", "status", str(study.file))
    if State.QUEUED not in at_reboot or any(state.is_live for state in at_reboot):
        broken.append(f"after the reboot the runs are {[str(state) for state in at_reboot]}")
    said = [listed["reason"], *status["held_up"]]
    if not listed["paused"] or len(said) < 2 or not all("rebooted" in text for text in said):
        broken.append(f"the reboot isn't said: {said}")
    heats("queue", "resume")
    wait(cells, all_ended=True)
    conclusion = root / ".studies" / "night"
    deadline = time.monotonic() + 120
    while (conclusion / "pending.json").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    runs = list_runs(store)
    standings = {state.standing for state in find_cells(store, study)}
    if len(runs) != cells or standings != {"finished"} or any(run.attempts != 1 for run in runs):
        broken.append(f"{len(runs)} runs for {cells} cells, which stand {standings}")
    if most_at_once > slots:
        broken.append(f"{most_at_once} runs at once in {slots} slots")
    if len(list((conclusion / "verdicts").glob("*.json"))) != 1 or not (conclusion / "report.html").exists():
        broken.append("no verdict, or no report, was written at the end")
    return {
        "campaign": "night", "cells": cells, "slots": slots, "most_at_once": most_at_once,
        "finished_when_it_rebooted": at_reboot.count(State.FINISHED), "reason_said": listed["reason"],
        "seconds": round(time.monotonic() - began, 1), "broken": broken,
    }  # fmt: skip


def main() -> int:
    """One night."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.night", description=__doc__)
    parser.add_argument("--cells", type=int, default=50, help="how many runs (50)")
    parser.add_argument("--slots", type=int, default=2, help="how many at once (2)")
    parser.add_argument("--folder", type=Path, help="where the runs go (a temporary folder)")
    given = parser.parse_args()
    folder = (given.folder or Path(tempfile.mkdtemp(prefix="heats-night-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    report = night(folder, cells=given.cells, slots=given.slots)
    print(json.dumps(report), flush=True)
    if not report["broken"] and given.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if report["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
