"""Cuts, rollbacks and stops: what they do to training, what readers see of them, and where they end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config.resolve import resolve
from engine.config.sections import GuardSection, TaskConfig
from engine.errors import HeatsError
from engine.store.checkpoints import choose, scan
from engine.store.metrics import RunHistory
from engine.store.summary import summarize
from engine.train import checkpoint
from engine.train.guard import GuardStopped
from engine.train.guard_policy import Finding, PolicyMachine
from engine.train.schedule import learning_rate
from tests.engine.train.told import alerts, events, series
from tests.engine.train.toy import BASE, ToyConfig, make_run, train_toy

CUT: dict[str, Any] = {"toy.nan_batches": (9, 10), "guard.non_finite": "cut_lr", "guard.recover_steps": 8}
BACK: dict[str, Any] = {"toy.nan_batches": (14, 15), "guard.non_finite": "rollback"}
AGAIN = Finding("explosion", "the loss is much", 1, 9.0, 1.0)


def _machine(**options: Any) -> PolicyMachine:
    return PolicyMachine(GuardSection.model_validate({"explosion": "cut_lr", "recover_steps": 100} | options))


def test_a_cut_survives_the_next_scheduler_step_and_a_resume_and_recovers(store_root: Path) -> None:
    run = make_run(store_root)
    train_toy(run, CUT, stop_at=15)
    train_toy(run, CUT)
    config = resolve(ToyConfig, BASE | CUT)
    rates = series(run, "train/lr")
    shares = {step: rate / learning_rate(config, step - 1) for step, rate in rates.items()}
    assert [shares[step] for step in (10, 11, 12)] == [1.0] * 3  # decided at step 12
    expected = [0.5 ** (1 - passed / 8) for passed in range(8)]
    assert [shares[step] for step in range(13, 21)] == pytest.approx(expected)
    assert [shares[step] for step in range(21, 25)] == [1.0] * 4
    (cut,) = events(run, "lr_cut")
    assert cut.step == 12


def test_a_cut_without_recovery_stays() -> None:
    machine = _machine(recover_steps=0)
    machine.decide(10, {"explosion": AGAIN})
    assert machine.lr_multiplier(10) == machine.lr_multiplier(10**6) == 0.5


def test_an_action_is_repeated_after_the_cool_down_only_and_bounded() -> None:
    machine = _machine(cooldown_steps=20, max_cuts=2)
    decisions = [machine.decide(step, {"explosion": AGAIN}) for step in range(0, 50, 10)]
    assert [decision.action for decision in decisions] == ["cut_lr", "none", "cut_lr", "none", "stop"]
    assert sum(len(decision.notes) for decision in decisions) == 1
    assert "cut 2 times already (guard.max_cuts)" in decisions[-1].reason
    assert machine.lr_multiplier(20) == 0.5 * 0.5**0.8


def test_after_a_long_quiet_stretch_cuts_are_forgotten() -> None:
    machine = _machine(max_cuts=1)
    assert machine.decide(10, {"explosion": AGAIN}).action == "cut_lr"
    machine.decide(70, {"explosion": None})
    assert machine.decide(110, {"explosion": AGAIN}).action == "cut_lr"


def test_the_gravest_action_wins() -> None:
    machine = _machine(skipped="stop")
    both: dict[str, Finding | None] = {"explosion": AGAIN, "skipped": Finding("skipped", "20 in a row", 1, 20, 20)}
    decision = machine.decide(10, both)
    assert decision.action == "stop"
    assert decision.reason == "20 in a row"
    assert len(decision.notes) == 2


def test_a_rollback_goes_back_and_on_with_the_batches_that_follow(store_root: Path) -> None:
    run = make_run(store_root)
    outcome, _ = train_toy(run, BACK)
    assert outcome.word == "finished"
    (event,) = events(run, "rolled_back")
    assert event.step == 12
    assert (event.facts["from_step"], event.facts["batches"]) == (16, 4)
    assert (scan(run)[-1].step, outcome.step) == (24, 24)
    skipped = series(run, "train/skipped")
    assert list(skipped) == list(range(1, 25))
    assert not any(skipped.values())  # the bad batch is behind, and the step that it made is shadowed
    emergency = [item for item in scan(run) if item.emergency]
    assert [item.step for item in emergency] == [16]
    assert choose(run).checkpoint == scan(run)[-1]


def test_readers_see_one_curve_after_a_rollback(store_root: Path) -> None:
    run = make_run(store_root)
    values = BACK | {"evaluation.every": 1, "train.max_steps": 24}
    train_toy(run, values, stop_at=15)
    live = RunHistory(run)
    live.refresh()
    assert live.last_step == 15
    train_toy(run, values, stop_at=14)  # up to 16, back to 15's best checkpoint or an older one, and stopped there
    live.refresh()
    fresh = RunHistory(run)
    fresh.refresh()
    assert live.last_step == fresh.last_step
    assert {name: list(found.steps) for name, found in live.series.items()} == {
        name: list(found.steps) for name, found in fresh.series.items()
    }
    assert live.generation > 0


def test_a_summary_right_after_a_rollback_stands_at_the_step_gone_back_to(store_root: Path) -> None:
    run = make_run(store_root)
    values = BACK | {"guard.keep_emergency": 0}
    train_toy(run, values, stop_at=13)  # never reached again: 13 comes once before the rollback
    summary = summarize(run)
    assert summary is not None
    assert summary.step == 13
    train_toy(run, values | {"train.max_steps": 18})
    summary = summarize(run)
    assert summary is not None
    assert summary.step == 18
    assert any("nan at step 15" in alert for alert in summary.alerts)  # why it was rolled back is still told


def test_tensorboard_purges_what_was_rolled_back(store_root: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = make_run(store_root)
    train_toy(run, BACK)
    accumulator = EventAccumulator(str(run.tensorboard))
    accumulator.Reload()
    assert [point.step for point in accumulator.Scalars("train/loss")] == [4, 8, 12, 16, 20, 24]
    assert [point.step for point in accumulator.Scalars("val/score")] == [5, 10, 15, 20, 24]


def test_a_run_that_keeps_exploding_is_rolled_back_so_often_and_then_fails(store_root: Path) -> None:
    run = make_run(store_root)
    values = BACK | {"toy.nan_batches": (14, 1000), "guard.max_rollbacks": 2}
    with pytest.raises(GuardStopped, match=r"rolled back 2 times already \(guard.max_rollbacks\)"):
        train_toy(run, values)
    assert [event.step for event in events(run, "rolled_back")] == [12, 6]
    summary = summarize(run)
    assert summary is not None
    assert "rolled back 2 times" in summary.reason
    assert len(alerts(run, "non_finite")) == 3
    assert len([item for item in scan(run) if item.emergency]) == 2


def test_without_a_good_checkpoint_a_rollback_is_a_failure_with_the_reason(store_root: Path) -> None:
    run = make_run(store_root)
    with pytest.raises(GuardStopped, match="no good checkpoint from before step 2"):
        train_toy(run, BACK | {"toy.nan_batches": (1, 2)})


def test_a_damaged_checkpoint_is_passed_over_by_a_rollback(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(store_root)
    train_toy(run, BACK, stop_at=13)
    weights = run.checkpoints / "step-00000012" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    train_toy(run, BACK)
    assert [event.step for event in events(run, "rolled_back")] == [6]


def test_a_stop_fails_with_the_reason_and_keeps_the_state_apart(store_root: Path) -> None:
    run = make_run(store_root)
    values = {"toy.nan_batches": (14, 15), "guard.non_finite": "stop"}
    with pytest.raises(GuardStopped, match="the loss was nan at step 15"):
        train_toy(run, values)
    newest = choose(run).checkpoint
    assert newest is not None
    assert newest.step == 12  # nothing resumes from an emergency checkpoint unasked
    kept = choose(run, "emergency").checkpoint
    assert kept is not None
    assert (kept.step, kept.reason) == (16, "emergency")
    assert choose(run, "emergency-16").checkpoint == kept
    with pytest.raises(HeatsError, match="no emergency checkpoint of step 3"):
        choose(run, "emergency-3")


def test_an_emergency_checkpoint_is_resumed_from_only_if_finite(
    store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(store_root)
    values = {"toy.nan_batches": (14, 15), "guard.non_finite": "stop"}
    with pytest.raises(GuardStopped):
        train_toy(run, values)
    original = checkpoint.Loaded.__init__

    def broken(self: checkpoint.Loaded, found: Any) -> None:
        original(self, found)
        self.model["1.bias"] = torch.full_like(self.model["1.bias"], torch.nan)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.Loaded, "__init__", broken)
        with pytest.raises(HeatsError, match=r"`1.bias` is not finite"):
            train_toy(run, values, wanted="emergency")
    outcome, _ = train_toy(run, values, wanted="emergency")
    assert outcome.step == 24


@pytest.mark.parametrize(
    ("key", "value"),
    [("non_finite", "ignore"), ("skipped", "skip"), ("disk", "rollback"), ("share", "cut_lr"), ("dead_scale", "skip")],
)
def test_policies_that_make_no_sense_are_refused_in_one_sentence(key: str, value: str) -> None:
    with pytest.raises(HeatsError, match=rf"`guard.{key}` = '{value}': is no choice; choose one of"):
        resolve(TaskConfig, {f"guard.{key}": value})


def test_a_rollback_needs_checkpoints() -> None:
    with pytest.raises(HeatsError, match=r"guard.explosion = rollback needs checkpoints"):
        resolve(TaskConfig, {"guard.explosion": "rollback", "train.save_every": 0})
