"""Whole trainings: what changes no bit, what is counted, what a resume restores, and what a leak looks like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.errors import HeatsError
from engine.store.checkpoints import scan
from engine.store.compare import checkpoint_differences, metric_differences
from engine.store.metrics import RunHistory
from engine.store.paths import RunPaths
from engine.study.conclude import identical
from engine.tasks.conditional.task import Conditional
from engine.tasks.text.corpus import load_corpus
from engine.tasks.text.tokenizer import own_tokenizer, read_tokenizer
from engine.train.loader import IndexLoader
from engine.train.task import StepContext
from tests.engine.tasks.conditional.made import config_of, make_run, model_of, train_run, trained
from tests.support import look

CPU = torch.device("cpu")


def series(run: RunPaths, name: str) -> list[float]:
    history = RunHistory(run)
    history.refresh()
    return list(history.series[name].values)


def differences(first: RunPaths, second: RunPaths) -> list[str]:
    newest = [scan(run)[-1].folder for run in (first, second)]
    return checkpoint_differences(newest[0], newest[1]) + metric_differences(first, second)


def test_neither_detaching_nor_the_place_of_augmentation_changes_a_bit(store_root: Path) -> None:
    """Every loss, every batch's digest and every final weight: the hypothesis of the detached augmentation is wrong."""
    plain = trained(store_root)
    others: list[dict[str, Any]] = [
        {"augment.detach": True},
        {"augment.where": "external"},
        {"augment.where": "external", "data.num_workers": 2},
    ]
    for values in others:
        other = trained(store_root, values)
        assert differences(plain, other) == []
        assert identical(plain, other)
    assert len(set(series(plain, "data/digest"))) == 5
    assert not identical(plain, trained(store_root, {"augment.mask": "leaky"}))


VARIANTS: dict[str, dict[str, Any]] = {
    "internal": {},
    "external, two workers": {"augment.where": "external", "data.num_workers": 2, "augment.pad_is_eos": True},
    "sigma in random order": {"model.kind": "sigma", "sigma.ordering": "random", "model.position": "rope"},
    "baseline": {"model.kind": "baseline"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_resume_is_bit_exact(store_root: Path, variant: str) -> None:
    values = VARIANTS[variant]
    straight, cut = trained(store_root, values), make_run(store_root, values)
    outcome, _ = train_run(cut, values, stop_at=3)
    assert (outcome.word, outcome.step) == ("stopped", 3)
    train_run(cut, values)
    assert differences(straight, cut) == []


def test_a_run_ends_with_its_epochs_and_logs_what_it_should(store_root: Path) -> None:
    run = make_run(store_root, {"train.num_epochs": 1.0})
    outcome, task = train_run(run, {"train.num_epochs": 1.0})
    assert (outcome.word, outcome.step, task.config.train.max_steps) == ("finished", 10, 10)
    assert look(run).total_steps == 10
    history = RunHistory(run)
    history.refresh()
    names = set(history.series)
    assert {f"val/mode{mode}_loss" for mode in range(1, 6)} | {"val/gain_2_4", "val/gain_3_5", "val/loss"} <= names
    assert {"train/scored_share", "train/given_share", "data/digest"} <= names
    assert sum(series(run, "train/scored_share")) / 10 == pytest.approx(0.8, abs=0.1)
    assert len(list((run.folder / "splits").iterdir())) == 1


def gradients(values: dict[str, Any]) -> tuple[float, list[torch.Tensor]]:
    """The loss of the first optimizer step, and its gradients, as the loop sums them."""
    config = config_of({"model.dropout": 0.0, "data.log_digests": False} | values)
    task = Conditional(config)
    loader = IndexLoader(task.build_data(), config.train.batch_size, 0, config.data)
    model, total = model_of(), 0.0
    batches = loader.batches(0)
    for _ in range(config.train.accumulation):
        context = StepContext(0, 10, CPU, torch.Generator())
        ((weight, loss),) = task.loss(model, next(batches), context).values()
        (weight * loss / config.train.accumulation).backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach()) / config.train.accumulation
    return total, [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def test_an_accumulated_step_counts_each_scored_token_alike() -> None:
    """Batches score different numbers of tokens: a mean of their means would count those of the smaller ones more."""
    values = {"augment.cond_pct_max": 0.9, "train.batch_size": 1, "train.accumulation": 4}
    config = config_of(values | {"model.dropout": 0.0, "data.log_digests": False})
    task = Conditional(config)
    batches = IndexLoader(task.build_data(), 1, 0, config.data).batches(0)
    model, sums, counts = model_of(), 0.0, 0
    from engine.tasks.conditional.data import model_inputs
    from engine.tasks.conditional.model import token_losses

    with torch.no_grad():
        for _ in range(4):
            losses, counted = token_losses(model, model_inputs(next(batches), task.layout, detach=False), 12)
            sums, counts = sums + float(losses.sum()), counts + int(counted.sum())
    assert gradients(values)[0] == pytest.approx(sums / counts, rel=1e-5)


def test_a_run_starts_from_another_ones_weights(store_root: Path) -> None:
    source = trained(store_root)
    task = Conditional(config_of({"model.from_run": str(source.folder)}))
    task.store = store_root
    model = task.build_model()
    task.warm_start(model)
    again = Conditional(config_of({"model.position": "rope", "model.from_run": str(source.folder)}))
    again.store = store_root
    with pytest.raises(HeatsError, match="don't fit this run's model"):
        again.warm_start(again.build_model())
    with torch.no_grad():
        found = task.evaluate(model.eval(), "val", CPU)["loss"]
    assert found == pytest.approx(min(series(source, "val/loss")), abs=1e-6)


def test_what_weights_start_from_brings_its_tokenizer(tmp_path: Path) -> None:
    """Two texts have tokenizers of one size and other tokens: the weights would fit, and mean nothing."""
    for name, word in (("first", "river"), ("second", "mountain")):
        (tmp_path / f"{name}.txt").write_text("".join(f"The {word} {number * 7} is near.\n" for number in range(300)))
    text = {"data.random_symbols": 0, "data.vocabulary": 300, "train.num_epochs": 0.05}
    of = {name: text | {"data.corpus": str(tmp_path / f"{name}.txt")} for name in ("first", "second")}
    source = trained(tmp_path / "runs", of["first"])
    (tmp_path / "first.txt").unlink()
    values = of["second"] | {"model.from_run": source.id}
    run = make_run(tmp_path / "runs", values)
    _, task = train_run(run, values)
    theirs, kept = read_tokenizer(source.model), read_tokenizer(run.model)
    assert theirs is not None
    assert kept is not None
    assert kept.digest == theirs.digest
    assert torch.equal(task.text.symbols(), torch.arange(4, 300))
    own = own_tokenizer(load_corpus(str(tmp_path / "second.txt")), 300, tmp_path / "cache")
    assert own.digest != theirs.digest
    tokens = task.text.streams["validation"].tolist()
    assert "The mountain" in theirs.decode(tokens)
    assert "The mountain" not in own.decode(tokens)


def test_a_held_out_part_that_is_too_small_is_found_before_training() -> None:
    with pytest.raises(HeatsError, match="the validation part of the text has 5 tokens, less than one block of 12"):
        Conditional(config_of({"data.random_tokens": 50})).build_data()


def test_floors_are_of_the_tokens_that_count(store_root: Path) -> None:
    figures = {}
    for ends in (True, False):
        values = {"data.random_rows": 4, "evaluation.modes": [0, 1], "evaluation.score_ends": ends}
        task = Conditional(config_of(values))
        with torch.no_grad():
            figures[ends] = task.evaluate(task.build_model().eval(), "val", CPU)
    # Every symbol is as frequent as another, and an end more frequent than any of them.
    assert figures[False]["mode0_unigram_perplexity"] > figures[True]["mode0_unigram_perplexity"]


def test_a_mode_that_there_isnt_is_refused() -> None:
    task = Conditional(config_of({"model.kind": "baseline"}))
    with pytest.raises(HeatsError, match=r"model.kind = baseline has no mode 2; it has 0, 1, 4"):
        task.choose_modes((1, 2))


@pytest.mark.slow
def test_on_random_tokens_a_leak_beats_what_nobody_can(store_root: Path) -> None:
    """The canary: four symbols drawn evenly can't be guessed with a perplexity below 4 but by seeing them."""
    values: dict[str, Any] = {
        "data.random_symbols": 4, "data.random_tokens": 200_000, "data.block_size": 8, "data.log_digests": False,
        "model.dropout": 0.0, "model.position": "rope", "train.batch_size": 64, "train.accumulation": 1,
        "train.num_epochs": 0, "train.max_steps": 240, "optim.lr": 1e-3, "optim.min_lr_ratio": 1.0,
        "schedule.warmup_steps": 20, "evaluation.every": 0, "evaluation.blocks": 400, "evaluation.batch_size": 200,
        "evaluation.modes": [0, 3], "augment.cond_pct_min": 0.5, "augment.cond_pct_max": 0.5,
    }  # fmt: skip
    found = {}
    for mask in ("sealed", "leaky"):
        run = trained(store_root, values | {"augment.mask": mask})
        found[mask] = {name: series(run, f"val/{name}")[-1] for name in ("mode3_perplexity", "mode0_leak")}
    assert found["sealed"]["mode3_perplexity"] > 3.97
    assert found["leaky"]["mode3_perplexity"] < 3.8
    assert (found["sealed"]["mode0_leak"], found["leaky"]["mode0_leak"]) == (0.0, 1.0)
