"""Running a study: what is launched, what isn't, and what goes on by itself. Most runs are only written down."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.launch import actions, slots
from engine.launch import queue as launch_queue
from engine.store import queue, trash
from engine.store.paths import RunPaths, Store, create_store, program
from engine.store.requests import request_stop
from engine.store.status import State
from engine.study.cells import find_cells
from engine.study.expand import expand
from engine.study.run import advance, advance_all, begin, discard, plan_launch, stop_study
from engine.study.spec import Study
from tests.campaign.night import night
from tests.campaign.study import interrupt_study
from tests.engine.study.studies import (
    finish,
    log_training,
    make_cell_run,
    queued,
    standings,
    trained_by,
    wait_for_standings,
    write_study,
)
from tests.support import ENDLESS, TINY, look, wait_until


@pytest.fixture
def store(store_root: Path) -> Store:
    """A store whose queue is paused, so that what is queued stays where it can be seen."""
    store = create_store(store_root)
    launch_queue.open_queue(store)
    launch_queue.pause(store)
    return store


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return write_study(tmp_path, seeds=[0])


def run_of(store: Store, study: Study, cell: str) -> RunPaths:
    (run,) = [state.run for state in find_cells(store, study) if state.cell.name == cell]
    assert run is not None
    return run


def test_only_what_is_missing_is_queued_and_once(store: Store, study: Study) -> None:
    finish(store, study, expand(study)[0], 1.0)
    begun = begin(store.root, study)
    assert [run.id for run in begun.queued] == [run_of(store, study, "large/0").id]
    assert standings(store, study) == {"small/0": "finished", "large/0": "queued"}
    assert begin(store.root, study).queued == ()
    advance(store)
    assert len(store.run_ids()) == 2


@pytest.mark.parametrize(
    ("redo", "chosen"),
    [
        (["small/0"], ["small/0", "large/3"]),
        (["large"], ["large/0", "large/1", "large/2", "large/3"]),
        (["failed"], ["small/1", "large/3"]),
        (["suspect", "stopped"], ["large/1", "large/2", "large/3"]),
        ([], ["large/3"]),
    ],
)
def test_what_is_to_be_trained_anew(store: Store, tmp_path: Path, redo: list[str], chosen: list[str]) -> None:
    from tests.tui.cli.stores import log_event

    study = write_study(tmp_path, seeds=[0, 1, 2, 3])
    for cell in expand(study):
        if cell.name == "small/1":
            log_training(store, study, cell, {3: 1.0}, "failed")
        elif cell.name == "large/1":
            run = log_training(store, study, cell, {40: 1.0})
            log_event(run.attempts()[-1], "suspect", 40)
            log_event(run.attempts()[-1], "finished", 40)
        elif cell.name == "large/2":
            log_training(store, study, cell, {3: 1.0}, "stopped")
        elif cell.name == "small/3":
            queue.enqueue(make_cell_run(store, study, cell))
        elif cell.name != "large/3":
            finish(store, study, cell, 1.0)
    assert sorted(cell.name for cell in plan_launch(find_cells(store, study), redo)) == sorted(chosen)
    with pytest.raises(HeatsError, match="`larg` is no cell"):
        plan_launch(find_cells(store, study), ["larg"])


def test_what_a_person_stopped_stays_so_and_what_was_interrupted_goes_on(store: Store, tmp_path: Path) -> None:
    study = write_study(tmp_path, seeds=[0, 1])
    ends = {"small/0": "stopped", "large/0": "", "small/1": "preempted", "large/1": ""}
    for cell in expand(study):  # those without a last word are lost: their processes are gone
        run = log_training(store, study, cell, {20: 1.0}, ends[cell.name])
        if cell.name == "large/1":
            request_stop(run, 1)  # a person asked, and it had to be killed
    begin(store.root, study)
    assert standings(store, study) == {
        "small/0": "stopped",
        "large/0": "queued",
        "small/1": "queued",
        "large/1": "stopped",
    }
    assert len(store.run_ids()) == 4


def test_a_run_that_gets_no_further_is_left_to_a_person(store: Store, study: Study) -> None:
    from tests.tui.cli.stores import add_attempt

    run = log_training(store, study, expand(study)[0], {20: 1.0})
    for _ in range(3):  # killed again and again before its first checkpoint
        add_attempt(run, resumed_from_step=0)
    launch_queue.resume(store)
    launch_queue.pause(store)
    from engine.study.begun import remember

    remember(store, study)
    advance(store)
    assert standings(store, study) == {"small/0": "stopped", "large/0": "queued"}
    begin(store.root, study)
    assert standings(store, study)["small/0"] == "queued"


def test_a_run_whose_maker_was_killed_is_queued_at_once(store: Store, study: Study) -> None:
    made, begun = (make_cell_run(store, study, cell) for cell in expand(study))
    begun.attempt(1).folder.mkdir()  # killed before it wrote what it would start
    assert {look(run).status for run in (made, begun)} == {State.STARTING}
    begin(store.root, study)
    assert queued(store) == {made.id, begun.id}


def test_what_a_person_threw_away_comes_back_only_when_asked_for(store: Store, study: Study) -> None:
    begin(store.root, study)
    dropped, deleted = (run_of(store, study, name) for name in ("small/0", "large/0"))
    queue.dequeue(dropped)
    discard(store, dropped)
    list(trash.delete(store, trash.plan_delete(store, [deleted])))
    advance(store)
    assert store.run_ids() == []
    (item,) = [item for item in trash.list_trash(store) if item.id == deleted.id]
    assert look(trash.restore(store, item)).status is not State.QUEUED
    begin(store.root, study)
    assert set(standings(store, study).values()) == {"queued"}


def test_stopping_a_study_empties_the_queue_for_good(store: Store, study: Study) -> None:
    begin(store.root, study)
    dequeued, stopped = stop_study(store, study)
    assert (len(dequeued), stopped) == (2, [])
    advance(store)
    assert store.run_ids() == []


def test_a_study_that_cannot_be_read_any_more_holds_up_no_other(store: Store, study: Study, tmp_path: Path) -> None:
    other = write_study(tmp_path, "a-broken-one", seeds=[0])
    begin(store.root, other)
    other.file.write_text("arms: [")
    begin(store.root, study)
    list(trash.delete(store, trash.plan_delete(store, [run_of(store, study, "small/0")])))
    advance(store)
    assert standings(store, study)["large/0"] == "queued"


def test_a_study_runs_what_it_needs_first(store: Store, tmp_path: Path) -> None:
    source = write_study(
        tmp_path, "rates", arms={"a": {"optim.lr": 0.01}}, hypothesis=None, metric="val/loss", seeds=[0]
    )
    study = write_study(tmp_path, "wants", seeds=[0], needs={"optim.lr": "rates#best"})
    begun = begin(store.root, study)
    assert len(begun.queued) == 1
    assert {state.cell.name for state in begun.waiting} == {"small/0", "large/0"}
    (run,) = begun.queued
    queue.dequeue(run)
    discard(store, run)
    finish(store, source, expand(source)[0], 1.0)
    advance(store)  # the source is done: those that waited are queued, with its value
    states = find_cells(store, study)
    assert {state.standing for state in states} == {"queued"}
    assert {trained_by(state.cell).optim.lr for state in states} == {0.01}
    assert (store.root / ".studies" / "rates" / "report.html").exists()


# --- real runs ---


@pytest.fixture
def two_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEATS_SLOTS", "2")


@pytest.mark.slow
@pytest.mark.usefixtures("two_slots")
def test_two_at_once_launch_each_cell_once_and_the_end_is_written_down(store_root: Path, tmp_path: Path) -> None:
    study = write_study(tmp_path, base=TINY | {"train.max_steps": 20}, seeds=[0])
    create_store(store_root)
    command = [*program("tui.cli"), "--runs-dir", str(store_root), "study", "run", str(study.file), "--detach"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, said = process.communicate()
        assert process.returncode == 0, said
    store = create_store(store_root)
    wait_for_standings(store, study, "finished")
    assert len(store.run_ids()) == 2
    folder = store.root / ".studies" / "study"
    wait_until(lambda: not (folder / "pending.json").exists(), 120, "the verdict, with nobody watching")
    assert len(list((folder / "verdicts").iterdir())) == 1
    assert (folder / "report.html").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("two_slots")
def test_a_study_that_fails_early_in_the_same_way_halts_until_a_person_says_go_on(
    store_root: Path, tmp_path: Path
) -> None:
    budget = {"max_parallel": 1, "stop_after_failures": 2}
    study = write_study(tmp_path, base=TINY | {"train.device": "mps"}, seeds=[0, 1], budget=budget)
    begin(store_root, study)
    store = create_store(store_root)

    def halted() -> list[launch_queue.Waiting]:
        return [item for item in launch_queue.waiting(store) if item.for_person]

    wait_until(halted, 120, "it halts")
    found = standings(store, study)
    assert sorted(found.values()) == ["failed", "failed", "queued", "queued"]
    assert {item.why for item in halted()} == {halted()[0].why}
    assert "the last 2 runs of study failed early in the same way" in halted()[0].why
    assert launch_queue.advance(store) == []
    launch_queue.resume(store)
    advance(store)
    wait_for_standings(store, study, "failed")


@pytest.mark.slow
def test_a_reboot_in_the_night_pauses_a_study_until_a_person_says_go_on(store_root: Path, tmp_path: Path) -> None:
    before = dict(os.environ)
    try:
        report = night(tmp_path, cells=6, slots=2)  # with 4 none may be left when it reboots
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert report["broken"] == []


@pytest.mark.slow
def test_leaving_a_study_that_is_followed_ends_nothing_and_says_so(store_root: Path, tmp_path: Path) -> None:
    study = write_study(tmp_path, base=ENDLESS, seeds=[0], arms={"small": {}, "large": {"model.d_model": 32}})
    create_store(store_root)
    command = [*program("tui.cli"), "--runs-dir", str(store_root), "study", "run", str(study.file), "--follow"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    store = create_store(store_root)
    wait_until(lambda: "live" in standings(store, study).values(), 120, "a run of it")
    assert process.stdout is not None
    wait_until(lambda: "live" in process.stdout.readline(), 60, "that it follows")  # type: ignore[union-attr]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the study goes on; `heats study stop study` ends it" in said
    assert "live" in standings(store, study).values()
    stop_study(store, study, now=True)
    wait_until(lambda: not set(standings(store, study).values()) & {"live", "queued"}, 120, "its end")


@pytest.mark.slow
def test_a_slot_that_one_store_frees_goes_to_another_that_waits(
    tmp_path: Path, store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEATS_SLOTS", "1")
    runs = []
    for root in (store_root, tmp_path / "other"):
        store = create_store(root)
        launch_queue.open_queue(store)
        study = write_study(tmp_path, base=TINY | {"train.max_steps": 20}, seeds=[0])
        run = make_cell_run(store, study, expand(study)[0])
        queue.enqueue(run)
        launch_queue.advance(store)
        runs.append(run)
    assert look(runs[1]).status is State.QUEUED
    assert [claim.run for claim in slots.claims()] == [runs[0].id]
    wait_until(lambda: look(runs[1]).status is State.FINISHED, 120, "the other store's run")
    advance_all(store)
    assert slots.waiting_stores(tmp_path) == []


def test_a_queued_run_that_was_resumed_meanwhile_is_not_started_again(store: Store, study: Study) -> None:
    run = make_cell_run(store, study, expand(study)[0])
    queue.enqueue(run)
    run.attempt(1).folder.mkdir()  # somebody was faster
    with pytest.raises(HeatsError, match="doesn't wait"):
        actions.start_queued(run, lambda: slots.Slot("cpu0"))
    assert len(run.attempts()) == 1


@pytest.mark.slow
def test_a_study_killed_in_the_middle_comes_to_the_same_verdict(tmp_path: Path) -> None:
    before = dict(os.environ)
    try:
        report = interrupt_study(tmp_path, 5, steps=20, seeds=1)
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert report["broken"] == []
