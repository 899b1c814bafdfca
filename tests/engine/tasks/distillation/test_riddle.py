"""The riddle of relational distillation in fp16: found before the first step, or within the first epoch at the latest.

fp16 is slow on a CPU, so these runs are as small as they can be.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import HeatsError
from engine.store.checkpoints import scan
from engine.store.paths import RunPaths
from engine.store.summary import summarize
from engine.store.twins import find_twins
from engine.train.guard import GuardStopped
from tests.engine.tasks.distillation.made import made, make_run, series, train_run

FP16: dict[str, Any] = {"precision.dtype": "fp16", "train.batch_size": 4, "train.log_every": 5}


def naive(teacher: RunPaths, **values: Any) -> dict[str, Any]:
    asked = {"loss.method": "rkd", "rkd.form": "naive", "teacher.from_run": str(teacher.folder)}
    return FP16 | asked | {"guard.preflight": False} | values


def test_the_look_before_the_first_step_names_the_term(store_root: Path, teacher: RunPaths) -> None:
    run = make_run(store_root)
    with pytest.raises(HeatsError, match="gradient of the loss term `rkd_distance` is not finite"):
        train_run(run, naive(teacher, **{"guard.preflight": True}))
    assert not scan(run)


def test_the_repaired_form_trains(store_root: Path, teacher: RunPaths) -> None:
    values = naive(teacher, **{"rkd.form": "repaired", "guard.preflight": True, "train.max_steps": 20})
    skipped = series(made(store_root, values))["train/skipped"].values
    assert sum(skipped) <= 8  # until the scale has fallen from 65,536 to what these gradients bear
    assert not any(skipped[-8:])


def test_the_guard_stops_it_within_the_first_epoch(store_root: Path, teacher: RunPaths) -> None:
    run = make_run(store_root)
    with pytest.raises(GuardStopped, match="optimizer steps in a row were skipped because the gradient was not finite"):
        train_run(run, naive(teacher))
    summary = summarize(run)
    assert summary is not None
    assert summary.step == 20  # an epoch has 53


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory, teacher: RunPaths) -> tuple[RunPaths, dict[str, Any]]:
    """A naive run that nobody stopped until its loss scale was dead, and its options."""
    values = naive(teacher, **{"guard.skipped": "alert", "guard.share_every": 30, "train.max_steps": 80})
    run = make_run(tmp_path_factory.mktemp("dead") / "runs", values)
    train_run(run, values, stop_at=60)
    return run, values


def test_every_alert_speaks(dead: tuple[RunPaths, dict[str, Any]]) -> None:
    run, _ = dead
    lines = (run.folder / "attempts/001/events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    causes = {event["cause"]: event["message"] for event in events if event["event"] == "alert"}
    assert {"skipped", "dead_scale", "no_weight_moved", "share"} <= causes.keys()
    assert "`rkd_distance`" in causes["share"]


def test_no_weight_moves_while_the_norms_statistics_do(dead: tuple[RunPaths, dict[str, Any]], store_root: Path) -> None:
    run, values = dead
    fresh = make_run(store_root, values)
    train_run(fresh, values, stop_at=1)  # the first step is skipped as well
    before, after = (load_file(scan(found)[-1].folder / "model.safetensors") for found in (fresh, run))
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.endswith(("running_mean", "running_var", "num_batches_tracked")) for name in moved)


def test_a_resume_from_its_dead_scale_is_refused_and_a_fresh_one_goes_on(
    dead: tuple[RunPaths, dict[str, Any]],
) -> None:
    run, values = dead
    with pytest.raises(HeatsError, match=r"the loss scale in this checkpoint has fallen to .*--reset-scaler"):
        train_run(run, values | {"rkd.form": "repaired"})
    outcome, _ = train_run(run, values | {"rkd.form": "repaired"}, reset_scaler=True)
    assert outcome.word == "finished"
    assert not any(series(run)["train/skipped"].values[-8:])


@pytest.mark.slow
def test_weights_of_a_loss_that_changes_nothing_are_twins(store_root: Path, teacher: RunPaths) -> None:
    runs = []
    for alpha in (0.5, 0.9):
        changed = {"loss.mix": "alpha", "loss.alpha": alpha, "guard.skipped": "alert", "train.max_steps": 24}
        values = naive(teacher, **changed, **{"evaluation.every": 4, "guard.worse_than_chance": "ignore"})
        runs.append(made(store_root, values))
    found = find_twins([(run, ()) for run in runs])
    assert [twins.differing for twins in found] == [("loss.alpha",)]
