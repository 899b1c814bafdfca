"""Searches: what is tried next, rebuilt from the runs alone, and what is ended early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.config.resolve import flatten
from engine.store.paths import Store, create_store
from engine.store.records import read_notes
from engine.store.status import State
from engine.study.cells import find_cells
from engine.study.expand import Cell
from engine.study.run import begin, is_over
from engine.study.search import worse_than_median
from engine.study.spec import Study
from engine.study.trials import new_trials, prune
from tests.engine.study.studies import finish, log_training, standings, write_study
from tests.support import ENDLESS, look, wait_for_step, wait_until
from tests.tui.cli.stores import make_store

RATES = {"optim.lr": {"low": 1e-4, "high": 1e-1, "log": True}}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path)


def hunt(folder: Path, method: str, *, trials: int = 4, space: Any = None, **changes: Any) -> Study:
    search = {"method": method, "trials": trials, "space": space or RATES} | changes.pop("search", {})
    facts = {"arms": None, "hypothesis": None, "metric": "val/loss", "seeds": [0], "search": search}
    return write_study(folder, "hunt", **(facts | changes))


def next_trials(store: Store, study: Study) -> list[Cell]:
    return new_trials(store, study, find_cells(store, study))


def tried(cells: list[Cell]) -> list[Any]:
    return [flatten(cell.config.model_dump())["optim.lr"] for cell in cells]


def test_a_grid_tries_every_value_once_and_is_over(store: Store, tmp_path: Path) -> None:
    study = hunt(tmp_path, "grid", trials=9, space={"optim.lr": {"values": [0.1, 0.01, 0.001]}})
    found: list[Any] = []
    while cells := next_trials(store, study):
        assert len(cells) <= 2  # the budget's most at once
        found += tried(cells)
        for cell in cells:
            finish(store, study, cell, 1.0)
    assert found == [0.1, 0.01, 0.001]
    assert is_over(store, study, find_cells(store, study))


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_a_search_asked_again_draws_the_same_and_ends_after_its_trials(
    store: Store, tmp_path: Path, method: str
) -> None:
    study = hunt(tmp_path, method, trials=6)
    values: list[Any] = []
    for number in range(3):
        cells = next_trials(store, study)
        assert tried(cells) == tried(next_trials(store, study))  # nothing is kept but the runs
        values += tried(cells)
        for cell in cells:
            finish(store, study, cell, 1.0 + number)
    assert len(set(values)) == 6
    assert all(1e-4 <= value <= 1e-1 for value in values)
    assert next_trials(store, study) == []
    assert is_over(store, study, find_cells(store, study))


def test_a_small_space_is_used_up_before_anything_is_tried_twice(store: Store, tmp_path: Path) -> None:
    study = hunt(tmp_path, "random", trials=4, space={"optim.lr": {"values": [0.1, 0.01, 0.001]}})
    values: list[Any] = []
    while cells := next_trials(store, study):
        values += tried(cells)
        for cell in cells:
            finish(store, study, cell, 1.0)
    assert len(values) == 4
    assert set(values[:3]) == {0.1, 0.01, 0.001}
    assert set(standings(store, study).values()) == {"finished"}  # two trials of one setting, each with its own run


def test_trials_outside_a_space_that_was_narrowed_since_are_passed_over(store: Store, tmp_path: Path) -> None:
    study = hunt(tmp_path, "tpe")
    for cell in next_trials(store, study):
        finish(store, study, cell, 1.0)
    narrowed = hunt(tmp_path, "tpe", space={"optim.lr": {"low": 0.2, "high": 0.3}})
    assert all(0.2 <= value <= 0.3 for value in tried(next_trials(store, narrowed)))


def test_a_trial_under_way_counts_against_what_may_run_at_once(store: Store, tmp_path: Path) -> None:
    study = hunt(tmp_path, "random")
    first, _ = next_trials(store, study)
    log_training(store, study, first, {20: 1.0})
    assert [cell.arm for cell in next_trials(store, study)] == ["trial-001"]


@pytest.mark.parametrize(
    ("points", "expected"),
    [({10: 5.0}, 10), ({10: 1.0}, None), ({10: 3.0}, None), ({5: 9.0}, None), ({10: float("nan")}, 10)],
    ids=["worse", "better", "equal", "no rivals there", "not a number"],
)
def test_the_median_rule(points: dict[int, float], expected: int | None) -> None:
    others = [{10: 2.0}, {10: 3.0}, {10: 4.0}]
    assert worse_than_median(points, others, "min", 0) == expected
    assert worse_than_median(points, others[:2], "min", 0) is None
    assert worse_than_median(points, others, "min", 11) is None


@pytest.mark.slow
def test_a_trial_that_does_badly_is_ended_and_marked_with_nobody_watching(
    store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEATS_SLOTS", "1")
    base = ENDLESS | {"evaluation.every": 20}
    changes: dict[str, Any] = {"base": base, "search": {"prune": "median"}, "budget": {"max_parallel": 1}}
    study = hunt(tmp_path, "grid", trials=4, space={"optim.lr": {"values": [0.1, 0.2, 0.3, 0.01]}}, **changes)
    store = create_store(store_root)
    for _ in range(3):  # three trials that did better than anything can
        (cell,) = new_trials(store, study, find_cells(store, study))
        log_training(store, study, cell, dict.fromkeys(range(20, 2000, 20), 0.0), "finished")
    (run,) = begin(store_root, study).started
    wait_for_step(run, 20)
    wait_until(lambda: look(run).status is State.STOPPED, 120, "its supervisor lets the search look at it")
    assert "pruned" in read_notes(run.notes).tags
    assert standings(store, study)["trial-003/0"] == "pruned"
    assert prune(store, study) == []
    wait_until(lambda: (store.root / ".studies" / "hunt" / "report.html").exists(), 60, "the report at the end")
