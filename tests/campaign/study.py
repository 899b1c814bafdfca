"""`python -m tests.campaign.study [--seed S] [--folder F] [--steps N]`: kill all of a study at a random moment, run it
again, and compare it with the same study undisturbed. Prints one line of JSON; exit code 1 if a promise broke.

Everything is SIGKILLed: trainers, supervisors, what advances the queue, and `heats study run` itself. The moment is
drawn in two steps, first one of the phases of a study, each as likely as the others, and then a time within it: by the
clock alone nearly all kills would fall into the training.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from engine.store.index import list_runs
from engine.store.paths import Store, open_store, program
from engine.study.cells import find_cells
from engine.study.conclude import conclude, to_json
from engine.study.spec import Study, read_study
from tests.support import TINY

_LONG = 900.0
_MARK = "HEATS_STUDY_CAMPAIGN"
_ARMS = {"narrow": {"model.d_model": 16}, "wide": {"model.d_model": 32}}
_PROGRAMS = (b"engine.train", b"engine.launch.supervisor", b"engine.study.advance", b"tui.cli")


def write_study(folder: Path, steps: int, seeds: int) -> Study:
    """The study that is run twice: two arms, a checkpoint at every tenth step. Somebody may commit meanwhile."""
    content = {
        "question": "Does a wider model learn multiplication better?",
        "hypothesis": {"better": "wide", "than": "narrow", "metric": "val/loss"}, "task": "multiplication",
        "base": TINY | {"train.max_steps": steps, "evaluation.every": steps // 2}, "arms": _ARMS,
        "seeds": list(range(seeds)), "budget": {"max_parallel": 2}, "allow": ["commits"],
    }  # fmt: skip
    path = folder / "interrupted.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return read_study(path)


def start(study: Study, root: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """`heats study run`, which goes on in the background once it has started what it can."""
    return subprocess.Popen(
        [*program("tui.cli"), "--runs-dir", str(root), "study", "run", str(study.file), "--detach"],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


PHASES = ("start", "queueing", "launching", "training", "between", "ending", "concluding")
"""From the command to the store; to the first run; to the first step; to the first end; to the last run's launch; to
the last end; and until nothing is left, verdict and report written."""


def phase(root: Path, cells: int) -> str:
    """Which phase a study is in, by what lies in its store: heats isn't asked."""
    ended = sum(1 for _ in root.glob("*/attempts/*/exit.json"))
    if ended >= cells:
        return "concluding"
    if sum(1 for _ in root.glob("*/attempts/*/launch.json")) >= cells:
        return "ending"
    if ended:
        return "between"
    if any(path.stat().st_size for path in root.glob("*/attempts/*/metrics.jsonl")):
        return "training"
    if any(root.glob("*/run.json")):
        return "launching"
    return "queueing" if (root / ".store.json").exists() else "start"


def time_phases(root: Path, cells: int, mark: str) -> dict[str, float]:
    """Watch a study from its start until nothing of it is left; the seconds that each phase took."""
    began = time.monotonic()
    seen: dict[str, float] = {}
    quiet = 0
    while quiet < 20 and time.monotonic() - began < _LONG:
        seen.setdefault(phase(root, cells), time.monotonic())
        quiet = 0 if ours(mark) else quiet + 1
        time.sleep(0.05)
    ends = [*list(seen.values())[1:], time.monotonic()]
    return {name: end - start for (name, start), end in zip(seen.items(), ends, strict=True)}


def wait_for_phase(root: Path, cells: int, wanted: str, mark: str) -> None:
    """Wait until a study has come so far, or is over."""
    deadline = time.monotonic() + _LONG
    idle = 0
    while PHASES.index(phase(root, cells)) < PHASES.index(wanted) and idle < 40 and time.monotonic() < deadline:
        idle = 0 if ours(mark) else idle + 1
        time.sleep(0.05)


def ours(mark: str) -> list[int]:
    """The processes of one store, by what we put into their environment: heats isn't asked."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):
                marked = f"{_MARK}={mark}".encode() in Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
                words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
                if marked and any(program in words for program in _PROGRAMS):
                    found.append(int(name))
    return found


def kill_everything(mark: str) -> int:
    """SIGKILL until nothing of it is left, whatever starts meanwhile; how many processes it took."""
    killed: set[int] = set()
    deadline = time.monotonic() + 60
    quiet = 0
    while quiet < 5 and time.monotonic() < deadline:
        living = ours(mark)
        quiet = 0 if living else quiet + 1
        for pid in living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        time.sleep(0.05)
    return len(killed)


def wait_until_finished(store: Store, study: Study, mark: str) -> str | None:
    """Wait for every cell and for the verdict, touching nothing; what is wrong if that never comes."""
    deadline = time.monotonic() + _LONG
    while time.monotonic() < deadline:
        found = {state.cell.name: state.standing for state in find_cells(store, study)}
        if set(found.values()) == {"finished"} and not ours(mark):
            return None
        if not ours(mark) and not set(found.values()) & {"live"}:
            time.sleep(3)  # the last one may only just have gone
            found = {state.cell.name: state.standing for state in find_cells(store, study)}
            if set(found.values()) != {"finished"} and not ours(mark):
                return f"nothing runs any more and the cells stand {found}"
        time.sleep(0.5)
    return "not finished in time"


def verdict(store: Store, study: Study) -> dict[str, Any]:
    """All that must not depend on whether a study was interrupted: differences, values, p, word, to the last bit."""
    content = to_json(conclude(store, study))
    values = {state.cell.name: repr(state.value("val/loss")) for state in find_cells(store, study)}
    return {"verdicts": content["verdicts"], "values": values}


def interrupt_study(
    folder: Path, seed: int, *, steps: int = 40, seeds: int = 3, kills: int = 1, when: str | None = None
) -> dict[str, Any]:
    """Run a study undisturbed and another time with everything killed in between; the report.

    Args:
        folder: where the stores go.
        seed: of the moments.
        steps, seeds: the size of the study: it has two arms.
        kills: how often everything is killed.
        when: the phase to kill in; drawn where none is given.
    """
    chance = random.Random(seed)
    study = write_study(folder, steps, seeds)
    broken: list[str] = []
    reports = {}
    lengths: dict[str, float] = {}
    moments, killed, launched_again, before = [], [], 0, {}
    for name in ("undisturbed", "interrupted"):
        mark = f"{name}-{os.getpid()}-{seed}"
        environment = os.environ | {
            "HEATS_LOCK_DIR": str(folder / f"locks-{name}"), "XDG_CACHE_HOME": str(folder / f"cache-{name}"),
            "HEATS_SLOTS": "2", _MARK: mark,
        }  # fmt: skip
        os.environ.update({key: environment[key] for key in ("HEATS_LOCK_DIR", "XDG_CACHE_HOME", "HEATS_SLOTS")})
        root = folder / f"runs-{name}"
        if name == "interrupted":
            for _ in range(kills):
                process = start(study, root, environment)
                chosen = when or chance.choice(PHASES)
                wait_for_phase(root, 2 * seeds, chosen, mark)
                wait = chance.uniform(0, lengths.get(chosen, 1.0))
                time.sleep(wait)
                moments.append({"phase": chosen, "seconds_into_it": round(wait, 2), "was_in": phase(root, 2 * seeds)})
                killed.append(kill_everything(mark))
                process.communicate()
        if root.is_dir():
            before = {state.cell.name: state.standing for state in find_cells(open_store(root), study)}
            runs_before = {run.id: run.attempts for run in list_runs(open_store(root))}
        else:
            runs_before = {}
        done = start(study, root, environment)
        if name == "undisturbed":
            lengths = time_phases(root, 2 * seeds, mark)
        _, said = done.communicate()
        if done.returncode:
            broken.append(f"{name}: `study run` said {said.decode()[-500:]}")
            if not (root / ".store.json").exists():
                break
        store = open_store(root)
        wrong = wait_until_finished(store, study, mark)
        if wrong:
            broken.append(f"{name}: {wrong}")
            kill_everything(mark)
            continue
        runs = list_runs(store)
        if len(runs) != 2 * seeds:
            broken.append(f"{name}: {len(runs)} runs for {2 * seeds} cells")
        finished = (
            {cell for cell, standing in before.items() if standing == "finished"} if name != "undisturbed" else ()
        )
        again = [run for run in runs if run.attempts != runs_before.get(run.id, 0)]
        if name == "interrupted":
            launched_again = len(again)
        broken += [
            f"{name}: {run.id} had finished and was begun again" for run in again if f"{run.arm}/{run.seed}" in finished
        ]
        recorded = list((store.root / ".studies").glob("*/verdicts/*.json"))
        if len(recorded) != 1:
            broken.append(f"{name}: {len(recorded)} verdicts were recorded")
        reports[name] = verdict(store, study)
    if len(reports) == 2 and reports["undisturbed"] != reports["interrupted"]:
        broken.append(f"the verdicts differ: {json.dumps(reports)}")
    word = reports["interrupted"]["verdicts"][0]["word"] if "interrupted" in reports else None
    return {
        "campaign": "study", "seed": seed, "cells": 2 * seeds, "killed": moments,
        "seconds_of_phases": {name: round(length, 2) for name, length in lengths.items()},
        "processes_killed": killed, "stood_after_the_kill": before, "cells_launched_again": launched_again,
        "verdict": word, "identical": not broken, "broken": broken,
    }  # fmt: skip


def main() -> int:
    """One study undisturbed and one interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.study", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30), help="of the moment")
    parser.add_argument("--folder", type=Path, help="where the runs go (a temporary folder)")
    parser.add_argument("--steps", type=int, default=40, help="of each run (40)")
    parser.add_argument("--seeds", type=int, default=3, help="of the study; it has two arms (3)")
    parser.add_argument("--when", choices=PHASES, help="the phase to kill in, else drawn")
    parser.add_argument("--kills", type=int, default=1, help="how often everything is killed (1)")
    given = parser.parse_args()
    folder = (given.folder or Path(tempfile.mkdtemp(prefix="heats-study-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    report = interrupt_study(
        folder, given.seed, steps=given.steps, seeds=given.seeds, kills=given.kills, when=given.when
    )
    print(json.dumps(report), flush=True)
    if not report["broken"] and given.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if report["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
