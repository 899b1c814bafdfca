"""The readers behind the app: what changed is noticed, nothing is read twice, nothing raises."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from engine.store.create import claim_attempt, write_launch
from engine.store.records import LaunchRecord
from engine.store.status import State
from tests.tui.made import add_steps, make_run
from tui import run_list
from tui.run_list import RunList
from tui.store_reader import RunReader


def test_a_store_that_comes_to_be(store_root: Path) -> None:
    runs = RunList(store_root)
    assert runs.poll() == ()
    assert runs.poll() is None
    made = make_run(store_root)
    found = runs.poll()
    assert found is not None
    assert [run.id for run in found] == [made.id]
    assert runs.poll() is None
    shutil.rmtree(made.folder)
    assert runs.poll() == ()


def test_a_folder_that_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    runs = RunList(tmp_path)
    assert runs.poll() == ()
    assert runs.problem is not None
    assert "no store" in runs.problem
    assert runs.poll() is None


def test_an_empty_folder(store_root: Path) -> None:
    store_root.mkdir()
    runs = RunList(store_root)
    assert runs.poll() == ()
    assert runs.poll() is None
    made = make_run(store_root)
    found = runs.poll()
    assert found is not None
    assert [run.id for run in found] == [made.id]


def test_only_what_changed_is_another_object(store_root: Path) -> None:
    live, done = make_run(store_root, "live", state="running"), make_run(store_root, "done")
    runs = RunList(store_root)
    first = {run.id: run for run in runs.poll() or ()}
    assert first[live.id].status is State.RUNNING
    add_steps(live, 61, 65)
    second = {run.id: run for run in runs.poll() or ()}
    assert second[live.id].step == 65
    assert second[done.id] is first[done.id]


def test_a_settled_run_is_read_again_when_it_is_resumed(store_root: Path) -> None:
    done = make_run(store_root, "done", state="stopped")
    runs = RunList(store_root)
    runs.poll()
    write_launch(claim_attempt(done), LaunchRecord(attempt=2, created=time.time(), host="elsewhere"))
    found = runs.poll()
    assert found is not None
    assert found[0].attempts == 2
    assert not found[0].settled


def test_a_settled_run_costs_two_stats(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(store_root)
    runs = RunList(store_root)
    runs.poll()

    def never(*_: object) -> None:
        raise AssertionError("it was read again")

    monkeypatch.setattr(run_list, "summarize", never)
    for _ in range(40):
        assert runs.poll() is None


def test_views_and_sparks(store_root: Path) -> None:
    live = make_run(store_root, state="running", log="one\n")
    runs, reader = RunList(store_root), RunReader()
    runs.poll()
    assert reader.spark(live) is not None
    assert reader.spark(live) is None
    view = reader.view(live, "loss", runs.summary(live.id), fresh=True)
    assert view is not None
    assert set(view.curves) == {"train/loss", "val/loss"}
    assert view.groups == ("loss", "lr")
    assert len(view.curves["train/loss"]) == 60
    assert view.log is not None
    assert view.log.lines(0, 9) == ["one"]
    assert "max_steps" in view.config
    assert [event.name for event in view.events] == ["started", "training", "checkpoint"]
    assert reader.view(live, "loss", runs.summary(live.id), fresh=False) is None
    add_steps(live, 61, 62)
    assert reader.spark(live) is not None  # reading it there must not hide it here
    again = reader.view(live, "loss", runs.summary(live.id), fresh=False)
    assert again is not None
    assert len(again.curves["train/loss"]) == 62
    assert len(view.curves["train/loss"]) == 60, "a view never changes"
    other = reader.view(live, "no such metric", runs.summary(live.id), fresh=True)
    assert other is not None
    assert other.group == "loss"


def test_steps_taken_back_by_a_resume(store_root: Path) -> None:
    run = make_run(store_root, state="stopped")
    reader = RunReader()
    assert reader.view(run, "loss", None, fresh=True) is not None
    attempt = claim_attempt(run)
    record = LaunchRecord(attempt=2, created=time.time(), host="elsewhere", resumed_from_step=50)
    write_launch(attempt, record)
    add_steps(run, 51, 53, loss=lambda step: 7.0)
    view = reader.view(run, "loss", None, fresh=False)
    assert view is not None
    found = view.curves["train/loss"]
    assert found.steps.tolist() == list(range(1, 54))
    assert found.values[-3:].tolist() == [7.0, 7.0, 7.0]
