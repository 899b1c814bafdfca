"""Each cause, provoked in a real run: what is said, when, and only once."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from engine.store.metrics import RunHistory
from engine.train.guard import GuardStopped
from engine.train.shares import gradient_shares
from engine.train.task import LossTerms
from tests.engine.train.told import alerts, causes, events, series
from tests.engine.train.toy import make_run, train_toy

LONG: dict[str, Any] = {"train.max_steps": 80, "train.save_every": 20, "evaluation.every": 0}


def test_a_healthy_run_raises_no_alert(store_root: Path) -> None:
    run = make_run(store_root)
    train_toy(run, LONG | {"guard.share_every": 5, "guard.share_limit": 1.0, "guard.moved_every": 10})
    assert causes(run) == []


def test_a_nan_batch_is_told_at_the_next_reading_once_and_when_it_is_over(store_root: Path) -> None:
    run = make_run(store_root)
    train_toy(run, LONG | {"toy.nan_batches": (20, 23), "guard.cooldown_steps": 16})
    (alert,) = alerts(run, "non_finite")
    assert alert.step == 24  # batches 20 to 22 are steps 21 to 23
    assert alert.facts["first_step"] == 21
    assert alert.facts["policy"] == "skip"
    assert alert.facts["value"] == "NaN"
    (over,) = events(run, "alert_over")
    assert over.step == 40
    assert over.facts["until"] == 24


def test_an_exploding_loss_is_told_with_its_value_and_level(store_root: Path) -> None:
    run = make_run(store_root)
    train_toy(run, LONG | {"toy.wild_batches": (41, 43)})
    (alert,) = alerts(run, "explosion")
    assert alert.step == 44
    assert alert.facts["first_step"] == 42
    losses = series(run, "train/loss")
    assert alert.facts["value"] == max(losses[42], losses[43]) > alert.facts["level"]
    assert alert.facts["level"] < 10 * losses[41]
    (norm,) = alerts(run, "norm_outlier")
    assert norm.step == 44


def test_a_rate_a_thousand_times_too_high_is_told_within_the_first_steps(store_root: Path) -> None:
    run = make_run(store_root)
    train_toy(run, {"optim.lr": 10.0, "schedule.warmup_steps": 0})
    assert alerts(run, "explosion")[0].step == 4


def test_dropped_explosions_leave_the_weights_alone(store_root: Path) -> None:
    run = make_run(store_root)
    train_toy(run, LONG | {"toy.wild_batches": (41, 43), "guard.explosion": "skip"})
    skipped = series(run, "train/skipped")
    assert [step for step, value in skipped.items() if value] == [42, 43]
    assert "2 updates were dropped" in alerts(run, "explosion")[0].facts["message"]


def test_a_lasting_change_is_not_dropped_forever(store_root: Path) -> None:
    run = make_run(store_root)
    with pytest.raises(GuardStopped, match="23 optimizer steps in a row were skipped"):
        train_toy(run, LONG | {"toy.wild_batches": (41, 1000), "guard.explosion": "skip"})
    assert alerts(run, "skipped")[0].step == 64  # the first decision after the twentieth, step 61


def test_skipped_steps_in_a_row_may_be_only_told(store_root: Path) -> None:
    run = make_run(store_root)
    values = LONG | {"toy.nan_batches": (2, 100), "guard.skipped": "alert"}
    outcome, _ = train_toy(run, values)
    assert outcome.word == "finished"
    (alert,) = alerts(run, "skipped")
    assert alert.step == 24
    assert alert.facts["first_step"] == 3
    assert alert.facts["value"] == 22


def test_the_fp16_defect_of_distances_is_told_as_skips_dead_scale_and_still_weights(store_root: Path) -> None:
    values = LONG | {
        "precision.dtype": "fp16", "toy.distance": "naive", "guard.preflight": False, "guard.skipped": "alert",
        "guard.moved_every": 20,
    }  # fmt: skip
    run = make_run(store_root)
    train_toy(run, values)
    assert min(series(run, "train/skipped").values()) == 1
    assert alerts(run, "skipped")[0].step == 20
    assert alerts(run, "dead_scale")[0].step == 20  # 2^16 is halved below 1 at step 17
    assert alerts(run, "no_weight_moved")[0].step == 20
    assert alerts(run, "non_finite") == []  # the loss is fine, and fp16's overflows are the scaler's business
    assert len(causes(run)) == 3
    repaired = make_run(store_root)
    train_toy(repaired, values | {"toy.distance": "repaired"})
    assert causes(repaired) == []


def test_weights_that_do_not_move_are_told(store_root: Path) -> None:
    run = make_run(store_root)
    train_toy(run, LONG | {"optim.name": "sgd", "optim.lr": 1e-30})  # an epoch of 4 steps is too short to tell
    (alert,) = alerts(run, "no_weight_moved")
    assert alert.step == 20
    assert alert.facts["level"] == 20


def test_a_term_that_drowns_the_others_is_told_and_its_share_is_shown(store_root: Path) -> None:
    run = make_run(store_root)
    values = LONG | {"toy.distance": "repaired", "toy.distance_weight": 1e6, "guard.share_every": 10}
    train_toy(run, values)
    (alert,) = alerts(run, "share")
    assert alert.step == 4
    assert "`distance` has 99." in alert.facts["message"] or "`distance` has 100" in alert.facts["message"]
    assert series(run, "share/distance")[1] > 0.99


def test_a_term_whose_gradient_is_nan_is_named_and_the_others_keep_their_shares() -> None:
    weight = nn.Parameter(torch.ones(1))
    model = nn.Module()
    model.register_parameter("weight", weight)
    terms: LossTerms = {
        "fine": (1.0, weight.sum()), "broken": (1.0, (weight - 1).sqrt().sum() * 0), "twice": (3.0, weight.sum())
    }  # fmt: skip
    found = {name: float(value) for name, value in gradient_shares(terms, model).items()}
    assert math.isnan(found.pop("share/broken"))
    assert found == {"share/fine": 0.25, "share/twice": 0.75}


def test_a_classifier_worse_than_guessing_is_told_after_three_epochs(store_root: Path) -> None:
    run = make_run(store_root)
    values = LONG | {"evaluation.every": 4, "toy.classes": 10, "toy.val_cross_entropy": 3.0, "toy.val_accuracy": 0.11}
    train_toy(run, values)
    (alert,) = alerts(run, "worse_than_chance")
    assert alert.step == 12
    assert alert.facts["level"] == math.log(10)
    (suspect,) = events(run, "suspect")
    assert suspect.facts["value"] == 0.11
    assert suspect.facts["level"] == pytest.approx(0.3)


def test_a_good_classifier_is_not_suspect(store_root: Path) -> None:
    run = make_run(store_root)
    train_toy(run, {"toy.classes": 10})
    assert events(run, "suspect", "alert") == []


def test_ignored_causes_are_not_told(store_root: Path) -> None:
    run = make_run(store_root)
    quiet = {"guard.explosion": "ignore", "guard.norm_outlier": "ignore"}
    train_toy(run, LONG | {"toy.wild_batches": (41, 43)} | quiet)
    assert causes(run) == []


def test_figures_are_the_same_whatever_is_watched(store_root: Path) -> None:
    watched, unwatched = make_run(store_root), make_run(store_root)
    train_toy(watched, {"guard.moved_every": 2})
    off = dict.fromkeys(("explosion", "norm_outlier", "dead_scale", "no_weight_moved", "stall", "disk"), "ignore")
    train_toy(unwatched, {f"guard.{cause}": policy for cause, policy in off.items()})
    histories = [RunHistory(run) for run in (watched, unwatched)]
    for history in histories:
        history.refresh()
    assert histories[0].last_values() == histories[1].last_values()
