"""`heats study`: what is said before, while and after a study is trained. No run here trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.launch import queue as launch_queue
from engine.store.paths import Store
from engine.study.expand import expand
from engine.study.spec import Study
from tests.engine.study.studies import finish, log_training, write_study
from tests.tui.cli.stores import heats, log_event, make_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = make_store(tmp_path)
    launch_queue.open_queue(store)
    launch_queue.pause(store, "for a test")
    return store


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "experiments").mkdir()
    return write_study(tmp_path / "experiments", seeds=[0], presets={"smoke": {"base": {"train.max_steps": 5}}})


def answer(store: Store, study: Study, *words: str) -> Any:
    return json.loads(heats("study", *words, "--json", store=store, cwd=study.file.parent.parent).stdout)


def test_the_list_counts_the_runs_of_presets_too(store: Store, study: Study) -> None:
    from engine.study.spec import read_study

    smoke = read_study(study.file, "smoke")
    finish(store, study, expand(study)[0], 1.0)
    for cell in expand(smoke):
        finish(store, smoke, cell, 1.0)
    (item,) = [item for item in answer(store, study, "list") if item["name"] == "study"]
    assert (item["runs"], item["runs_by_preset"]) == (3, {"smoke": 2})
    assert "3 (2 smoke)" in heats("study", "list", store=store, cwd=study.file.parent.parent).stdout


def test_run_queues_what_is_missing_and_says_why_nothing_starts(store: Store, study: Study) -> None:
    finish(store, study, expand(study)[0], 1.0)
    done = heats("study", "run", "study", store=store, cwd=study.file.parent.parent)
    assert "1 runs queued, 0 of them started" in done.stdout
    assert "paused: for a test" in done.stderr
    found = answer(store, study, "run", "study")
    assert (found["queued"], found["cells"]) == ([], {"finished": 1, "queued": 1})


def test_following_what_waits_for_a_person_leaves_with_the_reason(store: Store, study: Study) -> None:
    done = heats("study", "run", "study", "--follow", store=store, cwd=study.file.parent.parent)
    assert done.returncode == 1
    assert "paused: for a test" in done.stderr


def test_a_file_from_anywhere_is_followed_to_its_verdict(store: Store, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    study = write_study(tmp_path / "elsewhere", "afar", seeds=[0])
    for cell in expand(study):
        finish(store, study, cell, 1.0)
    done = heats("study", "run", str(study.file), "--follow", store=store, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "INCONCLUSIVE" in done.stdout


def test_status_shows_each_cell_and_what_holds_it_up(store: Store, study: Study) -> None:
    run = log_training(store, study, expand(study)[0], {40: 1.5})
    log_event(run.attempts()[-1], "suspect", 40, message="no better than chance")
    log_event(run.attempts()[-1], "finished", 40, metrics={"val/loss": 1.5})
    heats("study", "run", "study", store=store, cwd=study.file.parent.parent)
    found = answer(store, study, "status", "study")
    assert found["cells_by_standing"] == {"suspect": 1, "queued": 1}
    assert "for a test" in found["held_up"][0]
    text = heats("study", "status", "study", store=store, cwd=study.file.parent.parent).stdout
    assert "small/0 suspect: no better than chance" in text
    assert "--redo suspect" in text
    assert "nothing more is started: the queue is paused: for a test" in text


def test_a_search_shows_its_trials_and_which_were_ended(store: Store, tmp_path: Path) -> None:
    from engine.store.notes import edit_notes, with_tags
    from engine.study.cells import find_cells
    from engine.study.trials import new_trials

    (tmp_path / "experiments").mkdir(exist_ok=True)
    search = {"method": "grid", "trials": 2, "space": {"optim.lr": {"values": [0.1, 0.2]}}, "prune": "median"}
    hunt = write_study(
        tmp_path / "experiments", "hunt", arms=None, hypothesis=None, metric="val/loss", seeds=[0], search=search
    )  # fmt: skip
    first, second = new_trials(store, hunt, find_cells(store, hunt))
    finish(store, hunt, first, 1.0)
    edit_notes(
        log_training(store, hunt, second, {20: 9.0}, "stopped"), lambda notes: with_tags(notes, add=("pruned",))
    )  # fmt: skip
    cells = answer(store, hunt, "status", "hunt")["cells"]
    assert [(cell["arm"], cell["standing"]) for cell in cells] == [("trial-000", "finished"), ("trial-001", "pruned")]
    assert "pruned" in heats("study", "status", "hunt", store=store, cwd=tmp_path).stdout
    written = answer(store, hunt, "report", "hunt")
    assert "trial-001" in Path(written["markdown"]).read_text()


@pytest.mark.parametrize("ascii_only", [False, True])
def test_fifty_seeds_fit_80_columns(store: Store, tmp_path: Path, ascii_only: bool) -> None:
    (tmp_path / "experiments").mkdir()
    many = write_study(tmp_path / "experiments", "many", seeds=list(range(50)))
    for cell in expand(many)[:4]:
        finish(store, many, cell, 1.5)
    words = (*(["--ascii"] if ascii_only else []), "study", "status", "many")
    lines = heats(*words, store=store, cwd=tmp_path, environment={"COLUMNS": "80"}).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    done, missing = ("+", ".") if ascii_only else ("\u2714", "\u00b7")
    (row,) = [line for line in lines if line.startswith("small")]
    assert row.split()[:3] == ["small", "1.5", done * 2 + missing * 8]
    assert sum(line.count(missing * 8) for line in lines) == 10
    wide = heats(*words, store=store, cwd=tmp_path).stdout  # in a pipe nothing is left out
    assert "seed 49" in wide


def test_stop_takes_what_waits_out_of_the_queue(store: Store, study: Study) -> None:
    heats("study", "run", "study", store=store, cwd=study.file.parent.parent)
    assert len(answer(store, study, "stop", "study")["dequeued"]) == 2
    assert answer(store, study, "status", "study")["cells_by_standing"] == {"missing": 2}


def test_stop_names_the_runs_of_other_studies_that_go_on(store: Store, study: Study) -> None:
    place = study.file.parent
    rates = {"slow": {"optim.lr": 0.001}, "fast": {"optim.lr": 0.01}}
    write_study(place, "rates", arms=rates, hypothesis=None, metric="val/loss", seeds=[0])
    write_study(place, "wants", seeds=[0], needs={"optim.lr": "rates#best"})
    heats("study", "run", "wants", store=store, cwd=place.parent)
    done = heats("study", "stop", "wants", store=store, cwd=place.parent)
    assert "2 runs that it waits for go on: `heats study stop rates`" in done.stderr
    heats("study", "stop", "rates", store=store, cwd=place.parent)
    assert "waits for" not in heats("study", "stop", "wants", store=store, cwd=place.parent).stderr


def test_verdict_and_its_record(store: Store, study: Study) -> None:
    finish(store, study, expand(study)[0], 1.0)
    found = answer(store, study, "verdict", "study")
    assert found["verdicts"][0]["word"] == "inconclusive"
    assert Path(found["recorded"]).exists()
    assert answer(store, study, "verdict", "study")["recorded"] == found["recorded"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "stud"), "did you mean `study`?"),
        (("run", "study", "--redo", "larg"), "`larg` is no cell of the study"),
        (("status", "study", "--preset", "smoky"), "did you mean `smoke`?"),
    ],
)
def test_a_mistake_is_one_sentence(store: Store, study: Study, words: tuple[str, ...], said: str) -> None:
    done = heats("study", *words, store=store, cwd=study.file.parent.parent)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert store.run_ids() == []
