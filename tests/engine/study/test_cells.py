"""Which runs are the cells of a study, and how each stands, whatever happened to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from engine.store import queue
from engine.store.index import list_runs
from engine.store.notes import edit_notes, with_tags
from engine.store.paths import Store
from engine.store.records import read_launch, write_launch
from engine.store.requests import request_stop
from engine.study.cells import find_cells
from engine.study.expand import expand
from engine.study.spec import Study
from tests.engine.study.studies import finish, log_training, make_cell_run, set_commit, standings, write_study
from tests.tui.cli.stores import add_attempt, log_event, make_store


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return write_study(tmp_path, seeds=[0])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path)


def test_every_cell_without_a_run_is_missing(store: Store, study: Study) -> None:
    assert standings(store, study) == {"small/0": "missing", "large/0": "missing"}


def test_a_cell_is_known_again_when_an_option_has_been_added_since(store: Store, study: Study) -> None:
    run = finish(store, study, expand(study)[0], 1.0)
    stored = yaml.safe_load(run.config.read_text())
    del stored["loss"], stored["clip"]  # as if the run were older than these options
    run.config.write_text(yaml.safe_dump(stored))
    assert standings(store, study)["small/0"] == "finished"


def test_a_changed_option_makes_another_cell(store: Store, study: Study) -> None:
    run = finish(store, study, expand(study)[0], 1.0)
    run.config.write_text(run.config.read_text().replace("d_model: 16", "d_model: 64"))
    assert standings(store, study)["small/0"] == "missing"


def test_runs_of_another_study_or_preset_are_no_cells_of_this_one(store: Store, study: Study, tmp_path: Path) -> None:
    other = write_study(tmp_path, "other", seeds=[0])
    finish(store, other, expand(other)[0], 1.0)
    assert standings(store, study)["small/0"] == "missing"


def test_a_finished_run_counts_rather_than_a_newer_one_that_failed(store: Store, study: Study) -> None:
    cell = expand(study)[0]
    first = finish(store, study, cell, 1.0)
    failed = log_training(store, study, cell, {20: 9.0}, "failed")
    (state,) = [state for state in find_cells(store, study) if state.cell.name == "small/0"]
    assert state.run is not None
    assert (state.standing, state.run.id, state.older) == ("finished", first.id, (failed.id,))
    assert state.value("val/loss") == 1.0


def test_a_cell_that_is_trained_anew_is_under_way_until_that_ends(store: Store, study: Study) -> None:
    cell = expand(study)[0]
    finish(store, study, cell, 1.0)
    again = make_cell_run(store, study, cell)
    queue.enqueue(again)
    assert standings(store, study)["small/0"] == "queued"
    queue.dequeue(again)
    add_attempt(again)  # its processes are gone and left no word: it is lost, and will go on
    assert standings(store, study)["small/0"] == "stopped"


def test_what_the_engine_calls_suspect_is_suspect_from_the_index_too(store: Store, study: Study) -> None:
    cell = expand(study)[0]
    run = log_training(store, study, cell, {20: 2.0, 40: 2.0})
    log_event(run.attempts()[-1], "suspect", 40, cause="near_chance", message="no better than chance")
    log_event(run.attempts()[-1], "finished", 40, metrics={"val/loss": 2.0, "train/loss": 2.0})
    for _ in range(2):
        assert standings(store, study)["small/0"] == "suspect"
        assert [item.suspect for item in list_runs(store)] == ["no better than chance"]


def test_a_trial_that_a_search_ended_is_pruned_and_one_that_finished_first_is_not(store: Store, study: Study) -> None:
    for cell, last in zip(expand(study), ("stopped", "finished"), strict=True):
        run = log_training(store, study, cell, {20: 2.0}, last)
        edit_notes(run, lambda notes: with_tags(notes, add=("pruned",)))
    assert standings(store, study) == {"small/0": "pruned", "large/0": "finished"}


def test_a_run_whose_attempts_trained_with_different_code_names_both_commits(store: Store, study: Study) -> None:
    run = finish(store, study, expand(study)[0], 1.0)
    set_commit(run, "a" * 40)
    launch = read_launch(run.attempts()[0].launch)
    assert launch is not None
    write_launch(run.attempts()[0], replace(launch, git_commit="b" * 40))
    assert find_cells(store, study)[0].commit == f"{'a' * 40}+{'b' * 40}"


def test_what_a_person_had_to_kill_is_not_taken_for_an_accident(store: Store, study: Study) -> None:
    from engine.study.cells import is_interrupted

    run = make_cell_run(store, study, expand(study)[0])
    add_attempt(run)
    (state,) = [state for state in find_cells(store, study) if state.run is not None]
    assert state.summary is not None
    assert is_interrupted(run, state.summary)
    request_stop(run, 1)
    assert not is_interrupted(run, state.summary)
