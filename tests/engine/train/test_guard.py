"""A step with a non-finite loss or gradient changes nothing; too many of them end the run with the reason."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from engine.config.sections import GuardSection, OptimSection
from engine.store.metrics import RunHistory
from engine.store.records import read_events
from engine.train.figures import Row
from engine.train.guard import Guard, GuardStopped, skip_on_device, step_unless
from engine.train.optim import build_optimizer, decay_groups
from tests.engine.train.toy import make_run, train_toy

CPU = torch.device("cpu")


def _trained(name: str, fused: bool) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    options = OptimSection(name=name, fused=fused)  # type: ignore[arg-type]
    optimizer = build_optimizer(options, decay_groups(model, 0.1), CPU)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.ones(2, 4)).square().mean().backward()
        optimizer.step()
    return model, optimizer


def _snapshot(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[bytes]:
    tensors = [*model.parameters(), *(v for state in optimizer.state.values() for v in state.values() if v is not None)]
    return [tensor.detach().numpy().tobytes() for tensor in tensors]


@pytest.mark.parametrize("name", ["adamw", "sgd"])
@pytest.mark.parametrize("fused", [True, False])
def test_a_bad_step_leaves_weights_moments_and_counters_as_they_were(name: str, fused: bool) -> None:
    model, optimizer = _trained(name, fused)
    before = _snapshot(model, optimizer)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, math.nan)
    step_unless(optimizer, torch.tensor(True))
    assert _snapshot(model, optimizer) == before


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_the_skip_on_the_device_leaves_everything_and_a_good_step_is_a_plain_one(name: str) -> None:
    model, optimizer = _trained(name, fused=True)
    before = _snapshot(model, optimizer)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, math.nan)
    skip_on_device(optimizer, torch.tensor(True))
    assert _snapshot(model, optimizer) == before
    plain_model, plain = _trained(name, fused=True)
    for parameters in (model.parameters(), plain_model.parameters()):
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
    skip_on_device(optimizer, torch.tensor(False))
    plain.step()
    assert _snapshot(model, optimizer) == _snapshot(plain_model, plain)


def _guards(**options: Any) -> tuple[Guard, Guard]:
    """One on the host, and one with the accelerator's arithmetic on a CPU."""
    section = GuardSection.model_validate(options)
    return Guard(section, CPU), Guard(section, torch.device("meta"))


def _row(step: int, loss: float = 1.0, norm: float = 1.0, skipped: bool = False) -> Row:
    return Row(step, 0.0, {"train/loss": loss, "train/grad_norm": norm, "train/skipped": float(skipped)})


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf, 1.0])
@pytest.mark.parametrize("norm", [math.nan, math.inf, 1.0])
def test_only_finite_loss_and_norm_are_good(loss: float, norm: float) -> None:
    for guard in _guards():
        bad = guard.judge(torch.tensor(loss), torch.tensor(norm))
        assert bool(bad) == (not (math.isfinite(loss) and math.isfinite(norm)))


def test_a_streak_ends_the_run_with_the_reason(store_root: Path) -> None:
    run = make_run(store_root)
    values = {"toy.poison_from": 4, "toy.poison_to": 24, "guard.max_skipped": 6}
    with pytest.raises(GuardStopped, match=r"\d+ optimizer steps in a row were skipped"):
        train_toy(run, values)
    events, _ = read_events(run.attempt(1).events)
    alerts = [event for event in events if event.name == "alert"]
    assert alerts[0].facts["cause"] == "non_finite"
    assert alerts[0].step == 8  # the first reading after step 4


def test_skipped_steps_are_logged_and_nan_is_not_hidden(store_root: Path) -> None:
    run = make_run(store_root)
    train_toy(run, {"toy.poison_from": 4, "toy.poison_to": 6})
    history = RunHistory(run)
    history.refresh()
    assert list(history.series["train/skipped"].values[3:7]) == [0, 1, 1, 0]
    assert math.isnan(history.series["train/loss"].values[4])
    assert math.isfinite(history.series["train/loss"].values[6])
    assert len(history.series["train/loss"]) == 24


def test_updates_above_a_level_are_dropped_on_the_host_and_on_the_device_alike() -> None:
    for guard in _guards(explosion="skip", norm_outlier="skip", window=20):
        guard.take([_row(step, 2.0 + 0.01 * (step % 7), 1.0 + 0.1 * (step % 5)) for step in range(1, 21)])
        guard.decide(20, str)
        for loss, norm, bad in [(2.0, 1.0, False), (50.0, 1.0, True), (2.0, 500.0, True), (-50.0, 1.0, False)]:
            assert bool(guard.judge(torch.tensor(loss), torch.tensor(norm))) is bad, (loss, norm)


def test_without_the_policy_nothing_finite_is_dropped() -> None:
    for guard in _guards():
        guard.take([_row(step) for step in range(1, 31)])
        guard.decide(30, str)
        assert not bool(guard.judge(torch.tensor(1e30), torch.tensor(1e30)))


def test_all_state_survives_a_round_trip() -> None:
    guard, other = _guards(moved_every=10)
    guard.begin(5, lambda: "before")
    guard.take([_row(step, loss=math.nan if step in (3, 4) else 1.0, skipped=step in (3, 4)) for step in range(1, 21)])
    guard.decide(20, lambda: "after")
    guard.anchor(20)
    guard.take([_row(21), _row(22, loss=math.inf, skipped=True)])
    state = json.loads(json.dumps(guard.state_dict()))
    assert (state["streak"], state["total"], state["anchors"], state["fingerprint"]) == (0, 2, [20], "after")
    assert len(state["pending"]) == 2
    other.load_state_dict(state)
    assert json.loads(json.dumps(other.state_dict())) == state
    assert guard.decide(22, str) == other.decide(22, str)
