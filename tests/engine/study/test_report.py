"""Reports of studies that were written by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.store import create
from engine.study.conclude import look
from engine.study.expand import Cell
from engine.study.report import explain, write
from engine.study.verdict import Evidence, Hypothesis, judge
from tests.engine.study.made import CLAIM, made_store, make_runs, make_study
from tests.engine.study.studies import trained_by


def test_the_page_holds_everything_escaped_and_loads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(create, "environment", lambda: {"schema": 1})
    arms = {"<b>simple": {"model.kind": "simple"}, "Latent|x": {"model.kind": "latent"}}
    study = make_study(tmp_path, arms=arms, hypothesis=CLAIM | {"better": "Latent|x", "than": "<b>simple"})
    store = made_store(tmp_path)
    runs = make_runs(store, study, lambda cell: 0.5 + 0.01 * cell.seed + (0.2 if "L" in cell.arm else 0))
    page, text = write(store, look(store, study), tmp_path / "out")
    html = page.read_text()
    assert "<b>simple" not in html
    assert "&lt;b&gt;simple" in html
    assert 'src="http' not in html
    assert all(run.id in html for run in runs)
    assert 'class="verdict confirmed"' in html
    tables = [line for line in text.read_text().splitlines() if line.startswith("| Latent\\|x")]
    assert tables


def test_floors_are_drawn_beside_the_arms_and_grids_from_what_runs_log(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"references": {"chance": "val/digit_accuracy"}, "maps": ["val/exact_match_*x*"]}
    study = make_study(tmp_path, hypothesis=CLAIM, **facts)
    store = made_store(tmp_path)
    for run in make_runs(store, study, lambda cell: 0.5 + 0.01 * cell.seed):
        events = run.attempts()[-1].events
        more = '"val/digit_accuracy":0.125,"val/exact_match_1x1":0.75,"val/exact_match_2x1":0.25'
        events.write_text(events.read_text().replace('"metrics":{', f'"metrics":{{{more},'))
    page, text = write(store, look(store, study), tmp_path / "out")
    assert "Chance: val/digit_accuracy = 0.125" in page.read_text()
    assert "Chance: val/digit_accuracy = 0.125" in text.read_text()
    assert "chance (0.125)" in (tmp_path / "out" / "arms.svg").read_text()
    grid = (tmp_path / "out" / "map-val_exact_match_xxx-simple.svg").read_text()
    assert "0.75" in grid
    assert "0.25" in grid


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_rejected_claim_names_the_arm_that_was_better(mode: str) -> None:
    sign = 1 if mode == "max" else -1
    than = {0: 1.0, 1: 1.1, 2: 1.2}
    better = {seed: value - sign * (0.5 + 0.01 * seed) for seed, value in than.items()}
    item = judge([Evidence(Hypothesis("new", "old", "m", mode, 0.1), better, than)])[0]  # type: ignore[arg-type]
    way = "higher" if mode == "max" else "lower"
    assert f"old had a m that was {way} than that of new by 0.51" in explain(item)


def report_of(
    folder: Path, value: Callable[[Cell], float | None], end: str = "finished", **facts: Any
) -> tuple[str, str]:
    """The page and the Markdown of a study whose runs were written by hand."""
    study = make_study(folder, **facts)
    store = made_store(folder)
    make_runs(store, study, value, end=end)
    page, text = write(store, look(store, study), folder / "out")
    return page.read_text(), text.read_text()


def test_what_it_takes_to_reach_the_target_names_those_that_never_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(create, "environment", lambda: {"schema": 1})
    goal: dict[str, Any] = {"hypothesis": CLAIM, "target": 0.8}
    # exact match rises in a line to its last value at step 40, in evaluations 5 steps apart; batches of 16
    html, text = report_of(tmp_path, lambda cell: 0.3 if cell.arm == "simple" else (0.8, 1.0, 0.7)[cell.seed], **goal)
    assert "| simple | never (0 of 3) | – | – | – | – |" in text
    assert "| latent | 2 of 3 | 37.5 (35 to 40) | 19 s | 600 | 3.14 M |" in text
    for part in ("never (0 of 3)", "37.5 (35 to 40)", "of at least 0.8"):
        assert part in html


def test_a_study_without_a_claim_names_its_best_arm_and_draws_its_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(create, "environment", lambda: {"schema": 1})
    rates: dict[str, Any] = {
        "factors": {"optim.lr": [0.001, 0.01]},
        "metric": "val/exact_match",
        "mode": "max",
        "seeds": [0, 1],
    }
    html, text = report_of(tmp_path, lambda cell: 10 * trained_by(cell).optim.lr, **rates)
    for found in (html, text):
        assert "This study only looks" in found
        assert "the best mean val/exact_match is lr=0.01 with 0.1" in found
    assert "(sweep-optim.lr.svg)" in text
    assert (tmp_path / "out" / "sweep-optim.lr.svg").read_text().startswith("<svg")


def test_a_study_whose_runs_all_failed_says_why_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(create, "environment", lambda: {"schema": 1})
    html, text = report_of(tmp_path, lambda cell: 0.1, "failed", hypothesis=CLAIM, target=0.8)
    for found in (html, text):
        assert "6 runs: failed at step 40: the loss was NaN" in found
        assert "There is no pair of runs to compare yet" in found
        assert "none of which finished" in found
    assert "What it takes" not in text


@pytest.mark.parametrize("runs", [0, 1])
def test_one_cell_or_none_at_all_is_a_report_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: int) -> None:
    monkeypatch.setattr(create, "environment", lambda: {"schema": 1})
    alone: dict[str, Any] = {
        "arms": {"only": {"model.kind": "simple"}},
        "metric": "val/exact_match",
        "mode": "max",
        "seeds": [0],
    }
    html, text = report_of(tmp_path, lambda cell: 0.9 if runs else None, target=0.8, **alone)
    assert ("The arm with the best mean val/exact_match is only with 0.9." in text) == bool(runs)
    assert ("There is no figure yet: 1 arm, 1 seed: 1 run, none of which finished" in html) == (not runs)


def test_of_many_arms_the_best_and_those_of_the_claim_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(create, "environment", lambda: {"schema": 1})
    arms = {f"arm-{index:02d}": {"model.num_latent": index + 1} for index in range(20)}
    claim = CLAIM | {"better": "arm-03", "than": "arm-00"}
    html, text = report_of(tmp_path, lambda cell: int(cell.arm[-2:]) / 20, arms=arms, hypothesis=claim, seeds=[0])
    assert "8 of 20 arms are drawn: those with the best means and those of the claims" in text
    curves = (tmp_path / "out" / "metric-by-step.svg").read_text()
    assert all(f">{name}<" in curves for name in ("arm-00", "arm-03", "arm-19"))
    assert ">arm-05<" not in curves
    assert all(name in html for name in arms)
