"""Pruning never takes what a run needs, and deletes nothing by halves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine.errors import HeatsError
from engine.store.checkpoint_moves import apply_moves, plan_rewind
from engine.store.checkpoint_prune import apply_prune, children, plan_prune
from engine.store.checkpoints import MANIFEST, MODEL, choose, folder_name, scan
from engine.store.paths import RunPaths, Store
from engine.store.records import RunRecord, write_run
from engine.store.retention import KEEP_EMERGENCY, is_leftover, plan_retention, remove
from tests.engine.store.made import add_attempt, flip_bit, make_run, make_store, write_checkpoint


@pytest.fixture
def store(store_root: Path) -> Store:
    return make_store(store_root)


@pytest.fixture
def run(store: Store) -> RunPaths:
    run = make_run(store)
    add_attempt(run)
    return run


def leaving(run: RunPaths, **options: Any) -> list[int]:
    given = {"keep_last": 1, "keep_best": 0, "keep_every": 0} | options
    return [item.step for item in plan_prune(run, **given).leaving]


def test_the_runs_own_policy_is_the_default_and_options_are_stricter(run: RunPaths) -> None:
    run.config.write_text("seed: 0\ncheckpoint:\n  keep_last: 2\n  keep_best: 1\n  keep_every: 30\n")
    for step in (10, 20, 30, 40, 50):
        write_checkpoint(run, step, metric=float(step == 20))
    plan = plan_prune(run)
    assert [item.step for item in plan.leaving] == [10]
    assert {kept.checkpoint.step: kept.why for kept in plan.kept} == {
        20: "among the best", 30: "one every 30", 40: "among the newest", 50: "a resume goes on from it",
    }  # fmt: skip
    assert leaving(run) == [10, 20, 30, 40]


def test_acting_frees_what_was_said_and_leaves_nothing_by_halves(run: RunPaths) -> None:
    for step in (10, 20, 30):
        write_checkpoint(run, step)
    plan = plan_prune(run, keep_last=1, keep_best=0, keep_every=0)
    assert apply_prune(plan) == plan.bytes > 0
    assert os.listdir(run.checkpoints) == [folder_name(30)]
    assert apply_prune(plan) == 0, "gone already"


def test_what_anybody_stands_on_stays(store: Store, run: RunPaths) -> None:
    for step in (10, 20, 30, 40, 50):
        write_checkpoint(run, step)
    add_attempt(run, resumed_from_step=50)
    write_checkpoint(run, 60, attempt=2)
    child, other = make_run(store), make_run(store)
    write_run(child.record, RunRecord(child.id, "child", "multiplication", 0.0, parent=f"{run.id}@20"))
    write_run(other.record, RunRecord(other.id, "other", "multiplication", 0.0, parent=run.id))
    add_attempt(other, resumed_from_step=30)
    apply_moves(plan_rewind(run, "40"))
    started = children([store.run(run_id) for run_id in store.run_ids()])
    assert leaving(run, started_from=started[run.id]) == [10]


def test_a_rotten_newest_does_not_cost_the_newest_sound_one(run: RunPaths) -> None:
    for step in (10, 20, 30):
        write_checkpoint(run, step)
    flip_bit(run.checkpoints / folder_name(30) / MODEL, -1)
    assert leaving(run) == [10]
    apply_prune(plan_prune(run, keep_last=1, keep_best=0, keep_every=0))
    chosen = choose(run).checkpoint
    assert chosen is not None
    assert chosen.step == 20


def test_damaged_and_emergency_ones_stay_and_shadowed_ones_go(run: RunPaths) -> None:
    for step in (10, 20, 30):
        write_checkpoint(run, step)
    for step in (5, 6, 7):
        write_checkpoint(run, step, emergency=True)
    add_attempt(run, resumed_from_step=20)
    write_checkpoint(run, 25, attempt=2)
    (write_checkpoint(run, 26, attempt=2) / MANIFEST).unlink()
    assert leaving(run) == [10, 30]
    assert leaving(run, emergency=True) == [5, 6, 7, 10, 30]


def test_the_trainer_keeps_a_bounded_number_of_emergencies(run: RunPaths) -> None:
    for step in range(1, KEEP_EMERGENCY + 4):
        write_checkpoint(run, step, emergency=True)
    gone = plan_retention(scan(run), keep_last=1, keep_best=0, keep_every=0, best_mode="min")
    assert [item.step for item in gone] == [1, 2, 3]


def test_an_emergency_of_a_protected_step_is_not_protected(run: RunPaths) -> None:
    write_checkpoint(run, 10)
    write_checkpoint(run, 10, emergency=True)
    write_checkpoint(run, 20)
    found = scan(run)
    options: dict[str, Any] = {"keep_last": 1, "keep_best": 0, "keep_every": 0, "best_mode": "min"}
    gone = plan_retention(found, **options, keep_emergency=0, protected_steps=frozenset({10}))
    assert [item.folder.name for item in gone] == [folder_name(10, emergency=True)]


def test_a_live_run_is_refused(run: RunPaths) -> None:
    write_checkpoint(run, 10)
    write_checkpoint(run, 20)
    plan = plan_prune(run, keep_last=1, keep_best=0)
    me = os.getpid()
    add_attempt(run, supervisor_pid=me, supervisor_ticks=None, trainer_pid=me, trainer_ticks=None)
    with pytest.raises(HeatsError, match="stop it first"):
        plan_prune(run)
    with pytest.raises(HeatsError, match="stop it first"):
        apply_prune(plan)
    assert len(scan(run)) == 2


def test_a_deletion_cut_off_in_the_middle_leaves_no_part_of_a_checkpoint(
    run: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint(run, 10)
    monkeypatch.setattr("shutil.rmtree", lambda *words, **options: None)  # as if killed there
    remove(scan(run)[0])
    assert scan(run) == []
    (left,) = os.listdir(run.checkpoints)
    assert is_leftover(left)


def test_a_rewind_after_the_plan_is_not_undone_by_it(run: RunPaths) -> None:
    for step in (10, 20, 30):
        write_checkpoint(run, step)
    plan = plan_prune(run, keep_last=1, keep_best=0)
    apply_moves(plan_rewind(run, "10"))
    with pytest.raises(HeatsError, match="moved since"):
        apply_prune(plan)
    assert len(scan(run)) == 3
