"""What the task makes of its options: terms and their weights, pairing, the three sets, and figures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.errors import HeatsError
from engine.store.checkpoints import scan
from engine.store.paths import RunPaths
from engine.store.summary import summarize
from engine.tasks.distillation.lessons import term_weights
from engine.tasks.distillation.task import Distillation, _sums
from engine.train.task import BatchKey, LossTerms, StepContext
from tests.engine.tasks.distillation.made import config_of, made, make_run, train_run

METHODS = (
    "logit", "logit_std", "dkd", "attention_transfer", "fitnets", "factor_transfer", "rkd", "similarity", "nst", "crd",
)  # fmt: skip


def terms_of(values: dict[str, Any], step: int = 0) -> tuple[LossTerms, StepContext]:
    """The terms of the first batch."""
    task = Distillation(config_of(values))
    data = task.build_data()
    torch.manual_seed(0)
    model = task.build_model()
    context = StepContext(step, 24, torch.device("cpu"), torch.Generator().manual_seed(1))
    return task.loss(model, data.gather(torch.arange(16), BatchKey(0, 0, 0)), context), context


@pytest.mark.parametrize("method", METHODS)
def test_a_method_adds_its_terms_to_the_cross_entropy(teacher: RunPaths, method: str) -> None:
    values: dict[str, Any] = {"loss.method": method, "teacher.from_run": str(teacher.folder)}
    terms, context = terms_of(values, step=12)
    weights = {name: weight for name, (weight, _) in terms.items()}
    assert weights.pop("cross_entropy") == 1.0
    assert weights == term_weights(config_of(values), 0)
    assert all(math.isfinite(value.item()) for _, value in terms.values())
    assert 0 <= float(context.figures["train/accuracy"]) <= 1


def test_published_weights() -> None:
    def weights(method: str, epoch: int = 99, /, **values: Any) -> dict[str, float]:
        return term_weights(config_of({"loss.method": method, **values}), epoch)

    assert weights("rkd") == {"rkd_distance": 25, "rkd_angle": 50}
    assert weights("rkd", 99, **{"loss.mix": "alpha"}) == {"rkd_distance": 1, "rkd_angle": 2}
    assert weights("dkd") == {"dkd_target": 1, "dkd_others": 8}
    assert weights("dkd", 4) == {"dkd_target": 0.25, "dkd_others": 2}  # the fifth of twenty
    assert weights("attention_transfer") == {"attention": 1000}
    assert weights("attention_transfer", 99, **{"loss.mix": "alpha"}) == {"attention": 1}
    assert weights("crd", 99, **{"loss.weight": 0.3}) == {"crd": 0.3}


def test_alpha_mixing_takes_from_the_cross_entropy_what_it_gives_the_method(teacher: RunPaths) -> None:
    values = {"loss.method": "logit", "teacher.from_run": str(teacher.folder), "loss.mix": "alpha", "loss.alpha": 0.9}
    terms, _ = terms_of(values)
    assert terms["cross_entropy"][0] == pytest.approx(0.1)
    assert terms["logit"][0] == pytest.approx(0.9)


def test_a_classifier_that_nothing_would_train_is_refused() -> None:
    with pytest.raises(HeatsError, match="leaves nothing to train the classifier by: rkd says"):
        config_of({"loss.method": "rkd", "loss.mix": "alpha", "loss.alpha": 1})
    assert config_of({"loss.method": "logit", "loss.mix": "alpha", "loss.alpha": 1}).loss.alpha == 1


def test_memories_of_several_processes_are_refused_before_anything_is_made() -> None:
    with pytest.raises(HeatsError, match="crd remembers every sample"):
        config_of({"loss.method": "crd", "parallel.procs": 2})


def test_labels_are_smoothed_only_without_a_teacher(teacher: RunPaths) -> None:
    taught = {"loss.method": "logit", "teacher.from_run": str(teacher.folder)}
    plain, smoothed, other = (
        terms_of(values)[0]["cross_entropy"][1].item()
        for values in ({"loss.label_smoothing": 0.0}, {}, taught | {"loss.label_smoothing": 0.5})
    )
    assert smoothed != plain
    assert other == plain  # and so all methods begin with the same student, and see the same batch


def test_a_method_without_a_teacher_is_refused() -> None:
    with pytest.raises(HeatsError, match=r"the method rkd needs a teacher.*teacher.from_run=RUN"):
        terms_of({"loss.method": "rkd"})


def test_among_many_classes_the_first_five_count_as_well() -> None:
    logits = torch.zeros(3, 20)
    logits[:, :6] = torch.tensor([6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    figures = _sums(logits, torch.tensor([0, 4, 5]))
    assert {name: float(figures[name]) for name in ("accuracy", "top5_accuracy")} == {"accuracy": 1, "top5_accuracy": 2}


def test_negatives_are_of_other_classes_and_drawn_evenly() -> None:
    task = Distillation(config_of({"crd.negatives": 4000}))
    task.build_data()
    every = task._read_splits().train.labels
    context = StepContext(0, 9, torch.device("cpu"), torch.Generator().manual_seed(5))
    drawn = task._negatives(every[:16], context)
    assert drawn.shape == (16, 4000)
    assert not (every[drawn] == every[:16].unsqueeze(1)).any()
    for row, label in zip(drawn, every[:16], strict=True):
        assert set(row.tolist()) == set((every != label).nonzero().squeeze(1).tolist())


def test_channels_last_gives_the_same_figures_to_rounding(store_root: Path) -> None:
    plain, last = made(store_root), made(store_root, {"train.channels_last": True})
    figures = [summarize(run) for run in (plain, last)]
    losses = [found.metrics["train/loss"] for found in figures if found is not None]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


def test_a_resume_under_another_memory_format_is_refused(store_root: Path) -> None:
    run = make_run(store_root)
    train_run(run, stop_at=6)
    with pytest.raises(HeatsError, match="channels_last False -> True"):
        train_run(run, {"train.channels_last": True})


def test_a_resume_of_channels_last_is_bit_exact(store_root: Path) -> None:
    values = {"train.channels_last": True, "train.save_every": 0}
    straight, cut = make_run(store_root, values), make_run(store_root, values)
    train_run(straight, values)
    train_run(cut, values, stop_at=10)
    train_run(cut, values)
    assert weights(straight) == weights(cut)


def weights(run: RunPaths) -> tuple[str, str]:
    """The digests of the last checkpoint."""
    last = scan(run)[-1]
    return last.digests["model"], last.digests["optimizer"]


@pytest.mark.parametrize("method", ["crd", "fitnets", "rkd"])
def test_a_resume_is_bit_exact_with_what_the_method_learns_and_remembers(
    store_root: Path, teacher: RunPaths, method: str
) -> None:
    values: dict[str, Any] = {"loss.method": method, "teacher.from_run": str(teacher.folder)}
    straight, cut = make_run(store_root, values), make_run(store_root, values)
    train_run(straight, values)
    train_run(cut, values, stop_at=10)
    train_run(cut, values)
    assert weights(straight) == weights(cut)


def test_the_test_set_is_looked_at_once_with_the_best_weights(store_root: Path) -> None:
    values = {"train.max_steps": 45, "checkpoint.keep_best": 1, "checkpoint.keep_last": 1}
    run = made(store_root, values)
    lines = [json.loads(line) for line in (run.folder / "attempts/001/events.jsonl").read_text().splitlines()]
    looks = [line for line in lines if line["event"] == "tested"]
    assert len(looks) == 1
    evaluations = {line["step"]: line["metrics"]["val/accuracy"] for line in lines if line["event"] == "evaluated"}
    best = max(evaluations.values())
    assert evaluations[looks[0]["checkpoint"]] == best
    summary = summarize(run)
    assert summary is not None
    assert summary.metrics["test/accuracy"] == looks[0]["metrics"]["test/accuracy"]
    assert 0.1 < summary.metrics["test/accuracy"] <= 1
    assert "val/top5_accuracy" not in summary.metrics  # there are but ten classes
