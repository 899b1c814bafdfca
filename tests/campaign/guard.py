"""`python -m tests.campaign.guard [WORD]`: provoke each cause of the guard in a real run; one line of JSON each.

A line says which alert came, at which step, how many steps and seconds after the provocation, and what the policy did.
With a word only cases whose name holds it. The task is the toy of the engine's tests; one case is a
run of the task multiplication.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import HeatsError
from engine.store.metrics import JsonLinesTail
from engine.store.paths import RunPaths
from engine.store.records import Event
from engine.store.summary import summarize
from engine.train.guard import GuardStopped
from engine.train.schedule import learning_rate
from tests.engine.train.told import alerts, events, series

STEPS: dict[str, Any] = {"train.max_steps": 80, "train.save_every": 20, "evaluation.every": 0, "train.log_every": 10}


@dataclass(frozen=True)
class Case:
    """What is done to a run, from which step on, and what must be told of it."""

    name: str
    cause: str
    values: dict[str, Any]
    provoked_step: int
    effect: Callable[[RunPaths], Any] = field(default=lambda run: _ending(run))


def _ending(run: RunPaths) -> str:
    found = summarize(run)
    assert found is not None
    return found.reason


def _skips(run: RunPaths) -> str:
    return f"{sum(series(run, 'train/skipped').values()):.0f} updates dropped; {_ending(run)}"


def _cut(run: RunPaths) -> str:
    from engine.config.resolve import resolve
    from tests.engine.train.toy import BASE, ToyConfig

    config = resolve(ToyConfig, BASE | STEPS)
    step = events(run, "lr_cut")[0].step or 0
    rates = series(run, "train/lr")
    shares = {f"at {at}": round(rates[at] / learning_rate(config, at - 1), 4) for at in (step, step + 1, step + 2, 80)}
    return f"share of the scheduled rate {shares}; resumed at 55; {_ending(run)}"


def _rollbacks(run: RunPaths) -> str:
    went = [f"{event.facts['from_step']} -> {event.step}" for event in events(run, "rolled_back")]
    return f"rolled back {', '.join(went)}; {_ending(run)}"


def _suspect(run: RunPaths) -> str:
    return f"event suspect: {events(run, 'suspect')[0].facts['message']}; {_ending(run)}"


NAN: dict[str, Any] = {"toy.nan_batches": (43, 44)}
WILD: dict[str, Any] = {"toy.wild_batches": (43, 45)}
DEFECT: dict[str, Any] = {"precision.dtype": "fp16", "toy.distance": "naive", "guard.preflight": False}
CASES = [
    Case("nan_batch", "non_finite", NAN, 44, _skips),
    Case("nan_batch, stop", "non_finite", NAN | {"guard.non_finite": "stop"}, 44),
    Case("nan_batch, rollback", "non_finite", NAN | {"guard.non_finite": "rollback"}, 44, _rollbacks),
    Case(
        "nan_batches for good, rollback", "non_finite",
        {"toy.nan_batches": (43, 9999), "guard.non_finite": "rollback"}, 44, _rollbacks,
    ),
    Case("loss_times_1e4", "explosion", WILD, 44),
    Case("loss_times_1e4, skip", "explosion", WILD | {"guard.explosion": "skip"}, 44, _skips),
    Case("loss_times_1e4, cut_lr", "explosion", WILD | {"guard.explosion": "cut_lr"}, 44, _cut),
    Case("loss_times_1e4, rollback", "explosion", WILD | {"guard.explosion": "rollback"}, 44, _rollbacks),
    Case("gradient_outlier", "norm_outlier", WILD, 44),
    Case("rate_1000_times_too_high", "explosion", {"optim.lr": 10.0, "schedule.warmup_steps": 0}, 1),
    Case("fp16_defect", "skipped", DEFECT, 1, _skips),
    Case("fp16_defect, alert only", "skipped", DEFECT | {"guard.skipped": "alert"}, 1, _skips),
    Case("fp16_defect, scale", "dead_scale", DEFECT | {"guard.skipped": "alert"}, 1),
    Case("frozen_optimizer", "no_weight_moved", {"optim.name": "sgd", "optim.lr": 1e-30}, 1),
    Case(
        "term_that_drowns_the_others", "share",
        {"toy.distance": "repaired", "toy.distance_weight": 1e6, "guard.share_every": 10}, 1,
    ),
    Case(
        "worse_than_guessing", "worse_than_chance",
        {"toy.classes": 10, "toy.val_cross_entropy": 3.0, "toy.val_accuracy": 0.1, "evaluation.every": 4}, 1, _suspect,
    ),
    Case("hung_loader", "stall", {"toy.hang_at": 43, "toy.hang_seconds": 3.0, "guard.stall_seconds": 1.0}, 43),
]  # fmt: skip


def run_case(case: Case, root: Path) -> dict[str, Any]:
    """Train, and say what came of it."""
    from tests.engine.train.toy import make_run, train_toy

    values = STEPS | case.values
    run = make_run(root, values)
    try:
        if case.name.endswith("cut_lr"):
            train_toy(run, values, stop_at=55)
        train_toy(run, values)
    except GuardStopped:
        pass  # the run's reason says so
    return {"case": case.name, "cause": case.cause} | _report(run, case, alerts(run, case.cause))


def _report(run: RunPaths, case: Case, told: list[Event]) -> dict[str, Any]:
    if not told:
        return {"alert": None, "broken": True}
    first = told[0]
    provoked = _moment(run, case.provoked_step)
    return {
        "alert": first.facts["message"],
        "policy": first.facts.get("policy"),
        "provoked_step": case.provoked_step,
        "alert_step": first.step,
        "steps_after": (first.step or 0) - case.provoked_step,
        "seconds_after": None if provoked is None else round(first.time - provoked, 3),
        "alerts": len(told),
        "effect": case.effect(run),
    }


def _moment(run: RunPaths, step: int) -> float | None:
    """When a step was completed, shadowed or not."""
    for attempt in run.attempts():
        for record in JsonLinesTail(attempt.metrics).read():  # on a full disk its last line is torn
            if record["step"] == step and "train/loss" in record:
                return float(record["time"])
    return None


def preflight_case(root: Path) -> dict[str, Any]:
    """The fp16 defect is refused before the first step."""
    from tests.engine.train.toy import make_run, train_toy

    run = make_run(root)
    try:
        train_toy(run, STEPS | DEFECT | {"guard.preflight": True})
    except HeatsError as error:
        return {"case": "fp16_defect, pre-flight", "cause": "preflight", "alert": str(error), "effect": _ending(run)}
    return {"case": "fp16_defect, pre-flight", "broken": True}


def full_disk_case(folder: Path) -> dict[str, Any]:
    """A disk of 1 MiB that is filled while a run trains on it: there is room for the next save, and not for many."""
    from tests.engine.train.toy import make_run, train_toy

    case = Case("full_disk", "disk", {"toy.hang_at": 43, "toy.hang_seconds": 15.0, "checkpoint.wait_seconds": 0}, 43)
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        return {"case": case.name, "skipped": "mounting isn't allowed here"}
    filled: list[float] = []

    def fill() -> None:
        while not (run.checkpoints / "step-00000040").exists():
            time.sleep(0.01)
        (disk / "filling").write_bytes(bytes(shutil.disk_usage(disk).free - 120_000))
        filled.append(time.time())

    try:
        values = STEPS | case.values
        run = make_run(disk / "runs", values)
        thread = threading.Thread(target=fill)
        thread.start()
        train_toy(run, values)
        thread.join()
        report = _report(run, case, alerts(run, case.cause))
        return (
            {"case": case.name, "cause": case.cause}
            | report
            | {"seconds_after": round(alerts(run, case.cause)[0].time - filled[0], 3)}
        )
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=False)


def rate_case(root: Path) -> dict[str, Any]:
    """A real run of multiplication whose learning rate is a thousand times too high."""
    from engine.launch.actions import LaunchRequest, launch
    from engine.store.status import State
    from tests.support import TINY, wait_for_state

    values = TINY | {"optim.lr": 1.0, "train.max_steps": 60, "guard.explosion": "stop"}
    run = launch(root, LaunchRequest("multiplication", values)).run
    wait_for_state(run, State.FAILED, State.FINISHED)
    case = Case("rate_1000_times_too_high, multiplication, stop", "explosion", {}, 1)
    return {"case": case.name, "cause": case.cause} | _report(run, case, alerts(run, case.cause))


def main() -> int:
    """Provoke everything; exit code 1 if something went untold."""
    logging.disable(logging.CRITICAL)
    broken = 0
    with tempfile.TemporaryDirectory(prefix="heats-guard-") as folder:
        os.environ |= {"HEATS_LOCK_DIR": f"{folder}/locks", "XDG_CACHE_HOME": f"{folder}/cache"}
        root = Path(folder)
        work: dict[str, Callable[[], dict[str, Any]]] = {
            case.name: functools.partial(run_case, case, root / "runs") for case in CASES
        }
        work["fp16_defect, pre-flight"] = lambda: preflight_case(root / "runs")
        work["full_disk"] = lambda: full_disk_case(root)
        work["rate_1000_times_too_high, multiplication, stop"] = lambda: rate_case(root / "runs")
        for name, run_one in work.items():
            if not sys.argv[1:] or sys.argv[1] in name:
                report = run_one()
                broken += bool(report.get("broken"))
                print(json.dumps(report), flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
