"""Factor transfer is one run of two phases: resumed from anywhere to the last bit, its paraphrasers kept and reused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import HeatsError
from engine.store.checkpoints import Checkpoint, scan
from engine.store.compare import checkpoint_differences, metric_differences
from engine.store.paths import RunPaths
from engine.tasks.distillation.losses import factors
from tests.engine.tasks.distillation.made import config_of, made, make_run, series, train_run


def options(teacher: RunPaths, **values: Any) -> dict[str, Any]:
    return {"loss.method": "factor_transfer", "teacher.from_run": str(teacher.folder), **values}


def at(run: RunPaths, step: int) -> Checkpoint:
    return next(item for item in scan(run) if item.step == step)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, teacher: RunPaths) -> RunPaths:
    """An undisturbed run."""
    return made(tmp_path_factory.mktemp("straight") / "runs", options(teacher))


@pytest.mark.parametrize("cuts", [(4,), (10,), (11,), (17,), (3, 10, 20)], ids=str)
def test_a_resume_is_bit_exact_wherever_the_cut_lies(
    store_root: Path, teacher: RunPaths, straight: RunPaths, cuts: tuple[int, ...]
) -> None:
    """Phase 1 has the steps 1 to 10."""
    run = make_run(store_root, options(teacher))
    for stop_at in (*cuts, None):
        train_run(run, options(teacher), stop_at=stop_at)
    assert checkpoint_differences(at(straight, 24).folder, at(run, 24).folder) == []
    assert metric_differences(straight, run) == []


def test_each_phase_trains_what_is_its_own(straight: RunPaths) -> None:
    first, last = (load_file(at(straight, step).folder / "model.safetensors") for step in (10, 24))
    same = {name for name, value in first.items() if torch.equal(value, last[name])}
    taught = {name for name in first if name.startswith(("method.paraphrasers", "method.decoders"))}
    assert same == taught  # the norms' running statistics included


def test_progress_and_curves_cover_both_phases(straight: RunPaths) -> None:
    logged = series(straight)
    rates = logged["train/lr"].values
    assert len(rates) == 24
    assert rates[0] == pytest.approx(0.01)
    assert rates[10] == pytest.approx(0.05)
    assert rates[9] < 0.001 > rates[23]  # each phase has the whole shape of the schedule
    assert list(logged["train/factor"].steps) == list(range(11, 25))
    assert 10 not in logged["val/accuracy"].steps


def test_the_end_of_phase_1_is_kept_whatever_else_goes(store_root: Path, teacher: RunPaths) -> None:
    values = options(teacher, **{"train.save_every": 2, "checkpoint.keep_last": 1, "checkpoint.keep_best": 0})
    run = made(store_root, values)
    assert [(item.step, item.reason) for item in scan(run)] == [(10, "phase"), (24, "final")]


def test_paraphrasers_are_reused(store_root: Path, teacher: RunPaths, straight: RunPaths) -> None:
    values = options(teacher, **{"factor.from_run": str(straight.folder)})
    assert config_of(values).first_phase_steps == 0
    run = made(store_root, values)
    theirs, ours = (load_file(at(found, 24).folder / "model.safetensors") for found in (straight, run))
    named = [name for name in ours if name.startswith("method.paraphrasers")]
    assert len(named) == 3 * 8
    assert all(torch.equal(theirs[name], ours[name]) for name in named)
    assert "train/reconstruction" not in series(run)


def test_paraphrasers_of_another_teacher_are_refused(store_root: Path, straight: RunPaths) -> None:
    other = made(store_root, {"model.network": "resnet14", "seed": 1})
    values = options(other, **{"factor.from_run": str(straight.folder)})
    with pytest.raises(HeatsError, match="were trained on another teacher"):
        made(store_root, values)
    values = options(other, **{"factor.from_run": str(other.folder)})
    with pytest.raises(HeatsError, match="has no checkpoint of the end of its phase 1"):
        made(store_root, values)


def test_the_student_needs_steps_of_its_own() -> None:
    with pytest.raises(HeatsError, match=r"factor.steps \(24\) leaves nothing of train.max_steps \(24\)"):
        config_of({"loss.method": "factor_transfer", "factor.steps": 24})


def test_the_phase_is_an_event(straight: RunPaths) -> None:
    lines = (straight.folder / "attempts/001/events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [(event["step"], event["phase"]) for event in events if event["event"] == "phase"] == [(10, "student")]


def test_the_terms_of_both_phases_are_looked_at_before_the_first_step(
    store_root: Path, teacher: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(student: list[torch.Tensor], teacher: list[torch.Tensor]) -> torch.Tensor:
        return (student[0] * 0).sqrt().sum()  # 0, with a gradient of infinity times 0

    monkeypatch.setattr(factors, "factor_loss", broken)
    with pytest.raises(HeatsError, match="before the first step the gradient of the loss term `factor` is not finite"):
        made(store_root, options(teacher))
