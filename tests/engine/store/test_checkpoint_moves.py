"""Rewind and sync move resume points, of all runs or none, and a moved point ends when the run has gone on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import HeatsError, MachineError
from engine.store.checkpoint_moves import apply_moves, plan_rewind, plan_sync
from engine.store.checkpoint_report import inspect
from engine.store.checkpoints import MODEL, choose, folder_name
from engine.store.files import read_json, write_json
from engine.store.paths import RunPaths, Store
from tests.engine.store.made import add_attempt, flip_bit, make_run, make_store, write_checkpoint


@pytest.fixture
def store(store_root: Path) -> Store:
    return make_store(store_root)


def with_steps(store: Store, *steps: int) -> RunPaths:
    run = make_run(store)
    add_attempt(run)
    for step in steps:
        write_checkpoint(run, step)
    return run


def resume_step(run: RunPaths) -> int | None:
    chosen = choose(run).checkpoint
    return chosen.step if chosen is not None else None


def make_live(run: RunPaths) -> None:
    me = os.getpid()
    add_attempt(run, supervisor_pid=me, supervisor_ticks=None, trainer_pid=me, trainer_ticks=None)


def test_a_rewind_sets_back_and_its_undo_forward_again(store: Store) -> None:
    run = with_steps(store, 100, 200, 300)
    write_json(run.resume, {"schema": 1, "latest": folder_name(300), "best": None})
    plan = plan_rewind(run, "100")
    assert resume_step(run) == 300, "a plan changes nothing"
    apply_moves(plan)
    assert resume_step(run) == 100
    assert (read_json(run.resume) or {})["latest"] == folder_name(300), "the trainer's pointers stay"
    assert plan.moves[0].undo == f"heats checkpoints rewind {run.id} --to latest --yes"
    apply_moves(plan_rewind(run, "latest"))
    assert resume_step(run) == 300
    assert len(list(run.checkpoints.iterdir())) == 3


def test_a_rewind_to_the_start_begins_anew(store: Store) -> None:
    run = with_steps(store, 100)
    apply_moves(plan_rewind(run, "0"))
    assert resume_step(run) is None


def test_a_rewound_run_that_has_gone_on_resumes_from_what_it_saved_since(store: Store) -> None:
    run = with_steps(store, 100, 200, 300)
    apply_moves(plan_rewind(run, "100"))
    add_attempt(run, resumed_from_step=100)
    assert resume_step(run) == 100, "killed before its first save: the abandoned 200 and 300 are shadowed"
    write_checkpoint(run, 150, attempt=2)
    assert resume_step(run) == 150, "although resume.json still says 100 (the disk was full, say)"


def test_a_resume_from_elsewhere_overrules_the_rewind(store: Store) -> None:
    run = with_steps(store, 100, 200, 300)
    apply_moves(plan_rewind(run, "100"))
    add_attempt(run, resumed_from_step=200)
    assert resume_step(run) == 200


def test_an_attempt_that_never_got_going_does_not_end_a_rewind(store: Store) -> None:
    run = with_steps(store, 100, 200)
    apply_moves(plan_rewind(run, "100"))
    run.attempt(2).folder.mkdir()
    assert resume_step(run) == 100


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("150", "no checkpoint of step 150 is there; there are steps 100 200"),
        ("x", "`x` is no checkpoint"),
        ("²", "is no checkpoint"),
        ("100", "can't be used"),
        ("300", "no checkpoint of step 300"),
    ],
)
def test_a_rewind_to_what_cannot_be_used_is_refused(store: Store, to: str, expected: str) -> None:
    run = with_steps(store, 100, 200)
    write_checkpoint(run, 300, emergency=True)
    flip_bit(run.checkpoints / folder_name(100) / MODEL, -1)
    with pytest.raises(HeatsError, match=expected):
        plan_rewind(run, to)
    assert not run.resume.exists()


def test_an_abandoned_checkpoint_is_no_resume_point(store: Store) -> None:
    run = with_steps(store, 100, 200)
    add_attempt(run, resumed_from_step=100)
    with pytest.raises(HeatsError, match="resume --from 200"):
        plan_rewind(run, "200")


def test_sync_finds_the_greatest_common_sound_step(store: Store) -> None:
    one, two, three = with_steps(store, 10, 20, 30, 40), with_steps(store, 20, 30, 40), with_steps(store, 20, 30)
    flip_bit(two.checkpoints / folder_name(30) / MODEL, -1)  # only its hash can tell
    plan = plan_sync([one, two, three])
    assert [(move.before, move.to) for move in plan.moves] == [(40, 20), (40, 20), (30, 20)]
    assert plan.passed_over[0].startswith(f"step 30: {two.id}")
    apply_moves(plan)
    assert [resume_step(run) for run in (one, two, three)] == [20, 20, 20]
    again = plan_sync([one, two, three])
    assert not any(move.changes for move in again.moves)


def test_sync_says_which_runs_lack_what(store: Store) -> None:
    one, two, three = with_steps(store, 10, 20), with_steps(store, 20), with_steps(store, 10)
    with pytest.raises(HeatsError) as raised:
        plan_sync([one, two, three])
    said = str(raised.value)
    assert "no step is common to all 3 runs; 2 of 3 have step 20" in said
    assert f"{one.id} has 10 20" in said
    assert f"{three.id} has 10" in said
    with pytest.raises(HeatsError, match=f"step 10 has no usable checkpoint in 1 of 2 runs; {two.id} has 20"):
        plan_sync([one, two], to=10)
    with pytest.raises(HeatsError, match="name several"):
        plan_sync([one])


def test_live_runs_are_refused_and_nothing_moves(store: Store) -> None:
    idle, busy = with_steps(store, 10, 20), with_steps(store, 10)
    plan = plan_sync([idle, busy])
    make_live(busy)
    with pytest.raises(HeatsError, match="stop it first"):
        plan_sync([idle, busy])
    with pytest.raises(HeatsError, match="stop it first"):
        plan_rewind(busy, "10")
    moved = plan_rewind(idle, "10")
    make_live(idle)
    with pytest.raises(HeatsError, match="stop it first"):
        apply_moves(moved)
    assert not idle.resume.exists()
    assert plan.moves[0].changes


def test_all_runs_move_or_none(store: Store) -> None:
    one, two = with_steps(store, 10, 20), with_steps(store, 10, 20, 30)
    flip_bit(one.checkpoints / folder_name(20) / MODEL, -1)
    plan = plan_sync([one, two])
    two.resume.mkdir()  # can't be replaced by a file
    with pytest.raises(MachineError):
        apply_moves(plan)
    assert not (read_json(one.resume) or {}).get("resume_from")


def test_a_checkpoint_that_went_since_the_plan_moves_nothing(store: Store) -> None:
    run = with_steps(store, 10, 20)
    plan = plan_rewind(run, "10")
    (run.checkpoints / folder_name(10) / MODEL).unlink()
    with pytest.raises(HeatsError, match="can't be used"):
        apply_moves(plan)
    assert not run.resume.exists()


def test_a_moved_point_shows_in_the_report(store: Store) -> None:
    run = with_steps(store, 10, 20)
    apply_moves(plan_rewind(run, "10"))
    report = inspect(run)
    assert report.resumes_from == 10
    assert "resumes here" in report.checkpoints[0].kinds
