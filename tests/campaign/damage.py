"""Every file of runs cut off, flipped, emptied, replaced: readers never raise or hang, damage is named wherever it
can be known, and nothing damaged is ever resumed from."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

from engine.launch.actions import resume, stop
from engine.store.checkpoints import FILES, MANIFEST, STATE, folder_name, hash_file
from engine.store.files import write_json
from engine.store.paths import RunPaths, Store, create_store, program
from engine.store.records import Beat, ExitRecord, write_beat, write_exit
from engine.store.requests import request_stop
from engine.store.status import State
from engine.store.summary import summarize
from tests.campaign.readers import must_be_named, read_all
from tests.campaign.wounds import KINDS, wounded
from tests.engine.store.made import add_attempt, log_event, log_steps, make_run, write_checkpoint
from tests.support import ENDLESS, kill, launched, start, wait_for_state, wait_for_step
from tui.cli.verbs import VERBS

_CLI_EVERY = 40
_VERBS_EVERY = 10


def damage_campaign(root: Path, cases: int, chance: random.Random, *, real: bool = True) -> dict[str, Any]:
    """Damage one file at a time of runs with several attempts, and read everything.

    Args:
        root: where the store goes.
        cases: how many files to damage.
        chance: where all draws come from.
        real: also damage a run that was really trained, killed, resumed and stopped.

    Returns:
        Cases by kind of file, as `damaged/could be known/named`; the command lines run; and the promises that broke.
    """
    began = time.monotonic()
    store = create_store(root)
    runs = [made_run(store)] + ([trained_run(root)] if real else [])
    copies = [RunPaths(root.with_name(f"{root.name}-whole") / run.id) for run in runs]
    for run, copy in zip(runs, copies, strict=True):
        shutil.rmtree(copy.folder, ignore_errors=True)
        shutil.copytree(run.folder, copy.folder)
    tally: dict[str, Counter[str]] = {}
    broken: list[str] = []
    commands = 0
    for number in range(cases):
        which = number % len(runs)
        run, whole = runs[which], copies[which]
        path, kind = _draw(run, number // len(runs), chance)
        content = path.read_bytes()
        with wounded(path, kind, chance) as changed:
            damage = f"{path.relative_to(run.folder)}, {kind}"
            found = read_all(store, run, whole, verbs=number % _VERBS_EVERY == 0)
            wrong = list(found.raised)
            known = changed and must_be_named(run, path, content)
            fresh = [one for one in found.named if one not in _usual(store, run, whole)]
            if known and not fresh:
                wrong.append("nobody names it")
            if changed and path.parent in found.chosen and (path.name in FILES or known):
                wrong.append(f"a resume would go on from {path.parent.name}")
            if number % _CLI_EVERY == 0:
                wrong += _by_command_line(store, run, number // _CLI_EVERY)
                commands += 1
            if wrong:
                evidence = path.read_bytes()[:200] if path.is_file() else b""
                broken += [f"case {number}: {damage}: {one} ({evidence!r})" for one in wrong]
        counts = tally.setdefault(_sort(path, run), Counter())
        counts.update(damaged=int(changed), known=int(known), named=int(changed and bool(fresh)))
    files = {name: f"{counts['damaged']}/{counts['known']}/{counts['named']}" for name, counts in sorted(tally.items())}
    return {
        "cases": cases,
        "files": files,
        "command_lines": commands,
        "broken": broken,
        "seconds": round(time.monotonic() - began, 1),
    }


def _draw(run: RunPaths, number: int, chance: random.Random) -> tuple[Path, str]:
    """In turn each file, so that small folders aren't drowned by large ones; a kind by chance."""
    files = sorted(path for path in run.folder.rglob("*") if path.is_file() and not path.is_symlink())
    return files[number % len(files)], chance.choice(KINDS)


_USUAL: dict[Path, list[str]] = {}


def _usual(store: Store, run: RunPaths, whole: RunPaths) -> list[str]:
    """What is said of the run without damage: a best checkpoint that isn't there, say."""
    if whole.folder not in _USUAL:
        healthy = read_all(Store(whole.folder.parent, f"{store.id}-whole"), whole, whole, verbs=False)
        assert not healthy.raised, healthy.raised
        _USUAL[whole.folder] = healthy.named
    return _USUAL[whole.folder]


def _sort(path: Path, run: RunPaths) -> str:
    name = path.relative_to(run.folder)
    if name.parts[0] in ("checkpoints", "attempts"):
        return f"{name.parts[0]}/*/{path.name}"
    return f"{name.parts[0]}/*" if len(name.parts) > 1 else path.name


def _by_command_line(store: Store, run: RunPaths, number: int) -> list[str]:
    """One verb as a person gives it, its output in a pipe."""
    lines = [["list"], ["show", run.id], ["list", "--json"], ["show", run.id, "--json"], ["logs", run.id]]
    summary = summarize(run)
    if summary is not None and summary.status.is_final:  # of any other a watch goes on
        lines.append(["watch", run.id])
    if "checkpoints" in VERBS:
        lines.append(["checkpoints", "check", run.id])
    words = lines[number % len(lines)]
    line = [*program("tui.cli"), *words, "--runs-dir", str(store.root)]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired:
        return [f"`{' '.join(words)}` hangs"]
    if "Traceback" in done.stdout + done.stderr or done.returncode not in (0, 1, 2):
        return [f"`{' '.join(words)}` ends with {done.returncode}: {done.stderr[-500:]}"]
    return []


def made_run(store: Store) -> RunPaths:
    """A run with every kind of file, written by hand: three attempts, the last asked to stop, notes, an emergency."""
    run = make_run(store, name="käfer \U0001f41e")
    first = add_attempt(run, overrides={"seed": {"from": 0, "to": 1}})
    second = add_attempt(run, resumed_from_step=20)
    third = add_attempt(run, resumed_from_step=20)
    for attempt, steps in ((first, range(1, 31)), (second, range(21, 26)), (third, range(21, 31))):
        log_event(attempt, "started", steps.start - 1, pid=7)
        log_event(attempt, "training", steps.start - 1, total_steps=1000, settings={"dtype": "fp32"})
        log_steps(attempt, steps, **{"train/lr": 1e-3})
        log_event(attempt, "evaluated", steps.stop - 1, metrics={"val/loss": 0.5}, best={"val/loss": 0.5, "step": 5.0})
        log_event(attempt, "alert", steps.stop - 1, cause="non_finite", message="loss is NaN")
        write_beat(attempt.beat, Beat(1.7e9, 10.0))
        attempt.output.write_text("".join(f"12:00:00 INFO step {step}\n" for step in steps))
        attempt.system.write_text('{"time": 1.0, "cpu": 0.5}\n')
    log_event(first, "stopped", 30, metrics={"val/loss": 0.5})
    write_exit(first.exit, ExitRecord(1.7e9, code=0))
    write_exit(second.exit, ExitRecord(1.7e9, signal=9))
    for step in (10, 20):
        write_checkpoint(run, step, metric=step / 100)
    write_checkpoint(run, 30, attempt=3)
    write_checkpoint(run, 31, attempt=3, emergency=True)
    write_json(run.notes, {"schema": 1, "tags": ["a", "ü"], "note": "say \U0001f44d", "star": True, "archived": False})
    write_json(run.resume, {"schema": 1, "latest": folder_name(30), "best": folder_name(10)})
    write_json(run.environment, {"schema": 1, "python": "3.11"})
    request_stop(run, 3)
    return run


def trained_run(root: Path) -> RunPaths:
    """A run that was really killed, resumed and stopped; its stop request is still there."""
    values = ENDLESS | {"train.save_every": 10, "checkpoint.keep_last": 3}
    run = start(root, values, tags=("campaign",), note="to be damaged").run
    wait_for_step(run, 45)
    kill(launched(run).trainer_pid)
    wait_for_state(run, State.KILLED)
    resumed = resume(run)
    wait_for_step(run, (resumed.resumed_from_step or 0) + 25)
    stop(run)
    wait_for_state(run, State.STOPPED)
    add_emergency(run)
    return run


def add_emergency(run: RunPaths, step: int | None = None) -> None:
    """An emergency checkpoint beside the others: whole, newer than all, and never to be picked."""
    newest = max(run.checkpoints.glob("step-*"))
    step = int(newest.name.removeprefix("step-")) + 1 if step is None else step
    folder = run.checkpoints / folder_name(step, emergency=True)
    shutil.copytree(newest, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    state = folder / STATE
    state.write_text(json.dumps(json.loads(state.read_text()) | {"step": step}))
    files = manifest["files"] | {STATE: {"bytes": state.stat().st_size, "sha256": hash_file(state)}}
    write_json(folder / MANIFEST, manifest | {"step": step, "reason": "emergency", "files": files})
