"""What the loop promises every task."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from engine.store.checkpoints import best, folder_name, scan
from engine.store.metrics import RunHistory
from engine.store.records import read_events
from engine.train.recompute import run_layer
from tests.engine.train.toy import make_run, train_toy


def _history(run: object) -> RunHistory:
    history = RunHistory(run)  # type: ignore[arg-type]
    history.refresh()
    return history


def test_every_step_is_recorded_with_each_term(store_root: Path) -> None:
    run = make_run(store_root)
    train_toy(run)
    series = _history(run).series
    for name in ("train/loss", "train/error", "train/size", "train/lr", "train/grad_norm", "train/clip_bound"):
        assert list(series[name].steps) == list(range(1, 25)), name
    assert list(series["val/score"].steps) == [5, 10, 15, 20, 24]


def test_accumulated_batches_give_the_gradient_of_one_large_batch(store_root: Path) -> None:
    # the toy without dropout and noise would be needed for equality; here: as many batches are consumed
    run = make_run(store_root)
    _, task = train_toy(run, {"train.accumulation": 3, "train.max_steps": 8})
    assert task.calls == 24


def test_early_stopping_says_so_and_keeps_the_best(store_root: Path) -> None:
    run = make_run(store_root)
    outcome, _ = train_toy(run, {"evaluation.patience": 2, "evaluation.every": 3})
    assert outcome.word == "finished"
    assert "no gain in 2 evaluations" in outcome.reason
    assert outcome.step == 9
    found = best(scan(run), "max")
    assert found is not None
    assert found.step == 3


def test_a_gain_below_min_gain_is_none(store_root: Path) -> None:
    run = make_run(store_root)
    values = {"toy.metric": "rising", "evaluation.min_gain": 1000.0, "evaluation.patience": 2, "evaluation.every": 2}
    outcome, _ = train_toy(run, values)
    assert outcome.step == 6


def test_retention_keeps_the_newest_and_the_best(store_root: Path) -> None:
    run = make_run(store_root)
    values = {"checkpoint.keep_last": 2, "train.save_every": 3, "toy.metric": "falling"}
    train_toy(run, values)
    assert [item.step for item in scan(run)] == [5, 21, 24]  # 5 has the best score


def test_the_checkpoint_that_a_run_resumed_from_is_never_deleted(store_root: Path) -> None:
    run = make_run(store_root)
    values = {"checkpoint.keep_last": 1, "checkpoint.keep_best": 0, "train.save_every": 2}
    train_toy(run, values, stop_at=7)
    train_toy(run, values)
    assert [item.step for item in scan(run)] == [7, 24]


def test_shares_of_the_gradient_sum_to_one(store_root: Path) -> None:
    run = make_run(store_root)
    train_toy(run, {"guard.share_every": 8})
    series = _history(run).series
    assert list(series["share/error"].steps) == [1, 9, 17]
    sums = [a + b for a, b in zip(series["share/error"].values, series["share/size"].values, strict=True)]
    assert sums == pytest.approx([1, 1, 1])


def test_measuring_shares_changes_no_bit(store_root: Path) -> None:
    from engine.store.compare import checkpoint_differences

    with_shares, without = make_run(store_root), make_run(store_root)
    train_toy(with_shares, {"guard.share_every": 2})
    train_toy(without)
    assert checkpoint_differences(*(run.checkpoints / folder_name(24) for run in (with_shares, without))) == []


def test_events_tell_the_story(store_root: Path) -> None:
    run = make_run(store_root)
    train_toy(run, stop_at=6)
    events, damaged = read_events(run.attempt(1).events)
    assert damaged == 0
    assert [event.name for event in events] == ["training", "evaluated", "checkpoint", "checkpoint", "stopped"]
    assert events[0].facts["settings"]["threads"] == 1
    assert events[-1].step == 6


def test_recomputation_is_on_and_changes_no_bit() -> None:
    calls = []

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.dropout = nn.Dropout(0.5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            calls.append(1)
            result: torch.Tensor = self.dropout(self.linear(x).tanh())
            return result

    gradients = []
    for recompute in (False, True):
        torch.manual_seed(0)
        layer = Layer()
        calls.clear()
        run_layer(layer, torch.ones(3, 4), recompute=recompute).sum().backward()  # type: ignore[no-untyped-call]
        gradients.append([parameter.grad for parameter in layer.parameters()])
        assert len(calls) == (2 if recompute else 1)
    for one, two in zip(*gradients, strict=True):
        assert one is not None
        assert two is not None
        assert torch.equal(one, two)
    with torch.no_grad():
        calls.clear()
        run_layer(layer, torch.ones(3, 4), recompute=True)
        assert len(calls) == 1


def test_bf16_computes_in_bf16_and_auto_is_fp32_on_a_cpu(store_root: Path) -> None:
    runs = {}
    for dtype in ("fp32", "auto", "bf16"):
        run = make_run(store_root)
        train_toy(run, {"precision.dtype": dtype, "train.max_steps": 3})
        runs[dtype] = list(_history(run).series["train/loss"].values)
    assert runs["fp32"] == runs["auto"]
    assert runs["bf16"] != runs["fp32"]
    assert runs["bf16"][0] == pytest.approx(runs["fp32"][0], rel=0.05)
