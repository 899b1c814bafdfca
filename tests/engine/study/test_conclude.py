"""From runs to a verdict: what bars one, what is identical, and that no record is lost."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from engine.store.checkpoints import MANIFEST
from engine.store.paths import Store, create_store
from engine.study.conclude import Conclusion, conclude, record
from engine.study.expand import Cell, expand
from engine.study.run import begin
from engine.study.spec import Study
from engine.study.verdict import Word
from tests.engine.study.made import CLAIM, make_runs, make_study
from tests.engine.study.studies import finish, log_training, set_commit, wait_for_standings, write_study
from tests.support import TINY
from tests.tui.cli.stores import add_checkpoint, log_event, make_store

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


def equal_runs(store: Store, folder: Path, *, weights: str = "same", figure: float = 1.0) -> Study:
    """Two arms whose runs have these weights' digests and equal figures, but for the last one's."""
    study = write_study(folder, seeds=[0])
    small, large = expand(study)
    for cell, digest, value in ((small, "same", 1.0), (large, weights, figure)):
        run = finish(store, study, cell, value)
        set_commit(run, "a" * 40)
        manifest = add_checkpoint(run, 40) / MANIFEST
        content = json.loads(manifest.read_text())
        manifest.write_text(json.dumps(content | ({"digests": {"model": digest}} if digest else {})))
    return study


def test_equal_weights_and_equal_series_are_identical(store: Store, tmp_path: Path) -> None:
    word, why = word_and_why(conclude(store, equal_runs(store, tmp_path)))
    assert word is Word.IDENTICAL
    assert "in 1 pair every metric series and all final weights are equal" in why


@pytest.mark.parametrize(
    "other",
    [{"weights": "others"}, {"weights": ""}, {"figure": 1.0 + 2**-52}],
    ids=["other weights", "weights unknown", "a series apart in its last bit"],
)
def test_less_than_all_bits_is_not_identical(store: Store, tmp_path: Path, other: Any) -> None:
    word, why = word_and_why(conclude(store, equal_runs(store, tmp_path, **other)))
    assert word is Word.INCONCLUSIVE
    assert "too few" in why


def test_a_final_figure_that_is_nan_is_named_and_its_pair_left_out(store: Store, tmp_path: Path) -> None:
    study = make_study(tmp_path, hypothesis=CLAIM, seeds=[0, 1, 2, 3])

    def value(cell: Cell) -> float:
        return math.nan if cell.name == "latent/2" else 0.2 + 0.01 * cell.seed + 0.5 * (cell.arm == "latent")

    make_runs(store, study, value)
    (item,) = conclude(store, study).comparisons
    assert item.seeds == (0, 1, 3)
    assert item.word is Word.CONFIRMED
    assert "without a pair of values: seeds 2" in item.notes


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
