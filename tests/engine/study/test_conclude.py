"""From runs to a verdict: what bars one, what is identical, and that no record is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.store.paths import Store, create_store
from engine.study.conclude import Conclusion, conclude, record
from engine.study.expand import expand
from engine.study.run import begin
from engine.study.spec import Study
from engine.study.verdict import Word
from tests.engine.study.studies import finish, log_training, set_commit, wait_for_standings, write_study
from tests.support import TINY
from tests.tui.cli.stores import log_event, make_store

FIGURES = {"small": [3.0, 3.1, 3.2], "large": [1.0, 1.2, 1.1]}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path)


def trained(store: Store, folder: Path, *, but: str = "", last: str = "", **changes: Any) -> Study:
    """A study whose cells have finished, but one, which ended in another way."""
    study = write_study(folder, **changes)
    for cell in expand(study):
        if cell.name != but:
            set_commit(finish(store, study, cell, FIGURES[cell.arm][cell.seed]), "a" * 40)
        elif last == "suspect":
            run = log_training(store, study, cell, {40: 1.0})
            log_event(run.attempts()[-1], "suspect", 40, message="no better than chance")
            log_event(run.attempts()[-1], "finished", 40, metrics={"val/loss": 1.0})
            set_commit(run, "a" * 40)
        elif last == "commits":
            set_commit(finish(store, study, cell, FIGURES[cell.arm][cell.seed]), "b" * 40)
        elif last:
            set_commit(log_training(store, study, cell, {20: 5.0}, last), "a" * 40)
    return study


def word_and_why(conclusion: Conclusion) -> tuple[Word, str]:
    (item,) = conclusion.comparisons
    return item.word, item.why


def test_a_clear_difference_is_confirmed(store: Store, tmp_path: Path) -> None:
    assert conclude(store, trained(store, tmp_path)).comparisons[0].word is Word.CONFIRMED


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ("failed", "failed: large/1"),
        ("suspect", "suspect: large/1"),
        ("stopped", "unfinished: large/1 (stopped)"),
        ("", "unfinished: large/1 (missing)"),
        ("commits", "trained by different commits: aaaaaaaaaa, bbbbbbbbbb"),
    ],
)
def test_a_cell_that_cannot_be_counted_is_named_and_bars_the_verdict(
    store: Store, tmp_path: Path, last: str, said: str
) -> None:
    word, why = word_and_why(conclude(store, trained(store, tmp_path, but="large/1", last=last)))
    assert word is Word.INCONCLUSIVE
    assert said in why


@pytest.mark.parametrize("last", ["suspect", "commits"])
def test_a_study_may_allow_them(store: Store, tmp_path: Path, last: str) -> None:
    study = trained(store, tmp_path, but="large/1", last=last, allow=[last])
    (item,) = conclude(store, study).comparisons
    assert item.word is Word.CONFIRMED
    assert item.seeds == (0, 1, 2)


def test_a_failed_run_that_is_allowed_is_left_out_and_that_is_said(store: Store, tmp_path: Path) -> None:
    (item,) = conclude(store, trained(store, tmp_path, but="large/1", last="failed", allow=["failed"])).comparisons
    assert item.seeds == (0, 2)
    assert item.word is Word.INCONCLUSIVE  # two pairs are too few
    assert any("seeds 1" in note for note in item.notes)


def test_a_run_resumed_with_other_code_bars_the_verdict(store: Store, tmp_path: Path) -> None:
    from engine.store.records import read_launch, write_launch

    study = trained(store, tmp_path)
    run = store.run(store.run_ids()[0])
    launch = read_launch(run.attempts()[0].launch)
    assert launch is not None
    write_launch(run.attempts()[0], type(launch)(**(launch.__dict__ | {"git_commit": "c" * 40})))
    word, why = word_and_why(conclude(store, study))
    assert word is Word.INCONCLUSIVE
    assert "aaaaaaaaaa+cccccccccc" in why


def test_a_record_is_never_overwritten_and_never_repeats_itself(store: Store, tmp_path: Path) -> None:
    study = trained(store, tmp_path, but="large/2", last="failed")
    first = record(store, conclude(store, study))
    content = first.read_bytes()
    assert record(store, conclude(store, study)) == first
    finish(store, study, next(cell for cell in expand(study) if cell.name == "large/2"), 1.0)
    second = record(store, conclude(store, study))  # most likely within the same second
    assert second != first
    assert first.read_bytes() == content
    assert json.loads(content)["verdicts"][0]["word"] == "inconclusive"
    assert len(list(first.parent.iterdir())) == 2


@pytest.mark.slow
def test_a_factor_without_effect_is_identical(
    store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEATS_SLOTS", "2")
    arms = {"small": {"data.prefetch_factor": 2}, "large": {"data.prefetch_factor": 4}}
    study = write_study(tmp_path, arms=arms, seeds=[0], base=TINY | {"train.max_steps": 20}, allow=["commits"])
    begin(store_root, study)
    store = create_store(store_root)
    wait_for_standings(store, study, "finished")
    word, why = word_and_why(conclude(store, study))
    assert word is Word.IDENTICAL, why
