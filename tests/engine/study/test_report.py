"""Reports of studies that were written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.store import create
from engine.study.conclude import look
from engine.study.report import explain, write
from engine.study.verdict import Evidence, Hypothesis, judge
from tests.engine.study.made import CLAIM, made_store, make_runs, make_study


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


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_rejected_claim_names_the_arm_that_was_better(mode: str) -> None:
    sign = 1 if mode == "max" else -1
    than = {0: 1.0, 1: 1.1, 2: 1.2}
    better = {seed: value - sign * (0.5 + 0.01 * seed) for seed, value in than.items()}
    item = judge([Evidence(Hypothesis("new", "old", "m", mode, 0.1), better, than)])[0]  # type: ignore[arg-type]
    way = "higher" if mode == "max" else "lower"
    assert f"old had a m that was {way} than that of new by 0.51" in explain(item)
