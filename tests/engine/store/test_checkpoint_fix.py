"""Fixing moves what is broken to the trash, repairs pointers, and deletes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.store.checkpoint_fix import apply_fix, plan_fix, trash_folder
from engine.store.checkpoint_report import inspect
from engine.store.checkpoints import MANIFEST, MODEL, choose, folder_name
from engine.store.files import read_json, write_json
from engine.store.paths import RunPaths
from tests.engine.store.made import add_attempt, flip_bit, log_steps, make_run, make_store, write_checkpoint


@pytest.fixture
def run(store_root: Path) -> RunPaths:
    run = make_run(make_store(store_root))
    log_steps(add_attempt(run), range(1, 101))
    return run


def test_everything_broken_goes_to_the_trash_and_check_finds_nothing_more(run: RunPaths) -> None:
    write_checkpoint(run, 10)
    (write_checkpoint(run, 20) / MANIFEST).unlink()
    flip_bit(write_checkpoint(run, 30) / MODEL, -1)
    write_checkpoint(run, 40, state={"step": 4})
    (run.checkpoints / ".step-00000050.host.1").mkdir()
    write_json(run.resume, {"schema": 1, "latest": folder_name(20), "best": "../elsewhere"})
    assert not inspect(run, deep=True).is_sound
    plan = plan_fix(run, deep=True)
    before = sorted(os.listdir(run.checkpoints))
    assert plan.sound_left == 1
    assert sorted(os.listdir(run.checkpoints)) == before, "a plan changes nothing"
    apply_fix(plan)
    assert os.listdir(run.checkpoints) == [folder_name(10)]
    names = [folder_name(20), folder_name(30), folder_name(40), "step-00000050.host.1"]
    assert sorted(os.listdir(trash_folder(run))) == names
    assert inspect(run, deep=True).is_sound
    assert (read_json(run.resume) or {})["latest"] == folder_name(10)
    assert not plan_fix(run, deep=True).changes


def test_the_same_name_twice_in_the_trash_overwrites_nothing(run: RunPaths) -> None:
    for _ in range(2):
        (write_checkpoint(run, 20) / MANIFEST).unlink()
        apply_fix(plan_fix(run))
    assert sorted(os.listdir(trash_folder(run))) == [folder_name(20), f"{folder_name(20)}.2"]


def test_a_checkpoint_whose_replacement_was_cut_off_comes_back(run: RunPaths) -> None:
    write_checkpoint(run, 10).rename(run.checkpoints / f".replaced-{folder_name(10)}.77")
    write_checkpoint(run, 20)
    (run.checkpoints / f".replaced-{folder_name(20)}.78").mkdir()
    apply_fix(plan_fix(run))
    assert sorted(os.listdir(run.checkpoints)) == [folder_name(10), folder_name(20)]
    assert inspect(run, deep=True).is_sound


@pytest.mark.parametrize(("limit", "expected"), [(10, 10), (25, 20), (5, 0)])
def test_a_persons_wish_to_go_back_is_kept(run: RunPaths, limit: int, expected: int) -> None:
    write_checkpoint(run, 10)
    write_checkpoint(run, 20)
    write_json(run.resume, {"schema": 1, "latest": "gone", "resume_from": limit, "after_attempt": 1})
    apply_fix(plan_fix(run))
    chosen = choose(run).checkpoint
    assert (chosen.step if chosen else 0) == expected
    assert inspect(run).is_sound


def test_live_runs_and_linked_folders_are_refused(run: RunPaths, tmp_path: Path) -> None:
    (write_checkpoint(run, 10) / MANIFEST).unlink()
    plan = plan_fix(run)
    moved = tmp_path / "elsewhere"
    run.checkpoints.rename(moved)
    run.checkpoints.symlink_to(moved)
    with pytest.raises(HeatsError, match="is a link"):
        plan_fix(run)
    me = os.getpid()
    add_attempt(run, supervisor_pid=me, supervisor_ticks=None, trainer_pid=me, trainer_ticks=None)
    with pytest.raises(HeatsError, match="stop it first"):
        apply_fix(plan)
    assert os.listdir(moved) == [folder_name(10)]
