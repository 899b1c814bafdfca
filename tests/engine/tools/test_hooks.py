"""`python -m engine.tools.hooks` and `evaluate --set`: looking into a checkpoint without touching the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.store.paths import RunPaths
from engine.store.records import read_events
from engine.tools import evaluate, hooks
from tests.engine.tasks.finetune.made import trained


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """One whose attention was uniform in its second layer, in training and evaluation."""
    values = {"ablation.kind": "uniform", "ablation.layers": [1], "train.max_steps": 6}
    return trained(tmp_path_factory.mktemp("hooks"), values)[0]


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is installed, the task is this checkout's."""
    from engine.config import tasks

    monkeypatch.setattr(tasks, "task_packages", lambda: {"finetune": "engine.tasks.finetune"})


def _said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_the_hooks_of_the_run_are_listed_and_its_modules_recorded(
    run: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    assert hooks.main([str(run.folder), "--gradients", "--batches", "3", "--module", "transformer.h.1.attn.c_*"]) == 0
    found = _said(capsys)
    own = [row for row in found["hooks"] if "uniform" in row["purpose"]]
    assert [(row["module"], row["changes"]) for row in own] == [("transformer.h.1.attn.c_attn", "what comes out")] * 2
    assert all(row["calls"] == 3 for row in found["hooks"] if row["purpose"] == "record")
    (queries,) = (
        row for row in found["recorded"]
        if row["module"] == "transformer.h.1.attn.c_attn" and row["what"] == "activation"
    )  # fmt: skip
    assert queries["zero_share"] == pytest.approx(1 / 3), "it is recorded as the model went on with it"
    assert queries["shape"] == [4, 16, 192]
    gradient = next(row for row in found["recorded"] if row["what"] == "gradient")
    assert gradient["rms"] > 0
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


def test_an_evaluation_can_be_looked_into_and_modules_listed(run: RunPaths, capsys: pytest.CaptureFixture[str]) -> None:
    assert hooks.main([str(run.folder), "--on", "val"]) == 0
    recorded = _said(capsys)["recorded"]
    assert [row["module"] for row in recorded] == [f"transformer.h.{n}.{m}" for n in (0, 1) for m in ("attn", "mlp")]
    assert hooks.main([str(run.folder), "--list"]) == 0
    assert {"module": "transformer.h.0.attn.c_attn", "type": "Conv1D"} in _said(capsys)["modules"]
    assert hooks.main([str(run.folder), "--module", "nothing.*"]) == 2
    assert "the model has no module `nothing.*`" in capsys.readouterr().err


def test_what_a_task_measures_on_its_way_is_not_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The means that an evaluation needs, and its map, are other passes than those that were asked about."""
    plain, _ = trained(tmp_path, {"train.max_steps": 3})
    shown = ["--on", "val", "--module", "transformer.wte"]

    def calls(run: RunPaths) -> list[int]:
        assert hooks.main([str(run.folder), *shown]) == 0
        return [row["calls"] for row in _said(capsys)["recorded"]]

    values = {"train.max_steps": 3, "ablation.kind": "mean", "ablation.when": "eval", "ablation.map": True}
    assert calls(trained(tmp_path, values)[0]) == calls(plain)


def test_means_that_a_run_trained_with_are_kept_where_they_are_those_that_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"ablation.kind": "mean", "ablation.layers": [0], "train.max_steps": 3}
    of_mean, _ = trained(tmp_path, values)
    measured, _ = trained(tmp_path, {"train.max_steps": 3})

    def loss(run: RunPaths, *words: str) -> float:
        assert evaluate.main([str(run.folder), *(part for word in words for part in ("--set", word))]) == 0
        return float(_said(capsys)["metrics"]["val/loss"])

    assert loss(of_mean) != loss(of_mean, "ablation.layers=[]") != loss(of_mean, "ablation.layers=[1]")
    # Of heads the mean of other figures is taken, so what was kept doesn't serve: as good as measured now.
    heads = ("ablation.heads=[0]", "ablation.layers=[0]")
    assert loss(of_mean, *heads) == loss(of_mean, *heads, "ablation.when=eval")
    assert loss(measured, "ablation.kind=mean") > 0


def test_a_checkpoint_is_evaluated_with_another_ablation(run: RunPaths, capsys: pytest.CaptureFixture[str]) -> None:
    def figures(*words: str) -> dict[str, float]:
        assert evaluate.main([str(run.folder), *(part for word in words for part in ("--set", word))]) == 0
        found: dict[str, float] = _said(capsys)["metrics"]
        return found

    own, plain = figures(), figures("ablation.kind=none")
    deleted = figures("ablation.kind=delete", "ablation.layers=[]")
    assert len({own["val/loss"], plain["val/loss"], deleted["val/loss"]}) == 3
    assert own["val/bigram_perplexity"] == deleted["val/bigram_perplexity"]
    assert evaluate.main([str(run.folder), "--set", "ablation.kynd=delete"]) == 2
    said = capsys.readouterr().err
    assert said == "heats: unknown key `ablation.kynd`; did you mean `ablation.kind`?\n", "nobody typed --set"
    assert evaluate.main([str(run.folder), "--set", "ablation.layers=[9]"]) == 2
    assert "there is no layer 9" in capsys.readouterr().err


def test_what_a_task_keeps_of_its_own_is_evaluated_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {"ablation.kind": "mean", "train.max_steps": 6, "optim.lr": 0.05}
    found, _ = trained(tmp_path, values)
    assert evaluate.main([str(found.folder), "--checkpoint", "latest"]) == 0
    events, _ = read_events(found.attempts()[-1].events)
    assert _said(capsys)["metrics"]["val/loss"] == events[-1].facts["metrics"]["val/loss"]


def test_a_folder_that_is_no_run_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hooks.main([str(tmp_path)]) == 2
    assert "its run.json is missing or damaged" in capsys.readouterr().err
