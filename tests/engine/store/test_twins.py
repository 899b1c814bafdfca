"""Twins: runs whose options differ while their figures don't, found among many, and no others."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.store.files import encode_number
from engine.store.paths import RunPaths, Store
from engine.store.twins import find_twins, is_neutral
from tests.engine.store.made import add_attempt, log_event, make_run, make_store


@pytest.fixture
def store(store_root: Path) -> Store:
    return make_store(store_root)


def trained(
    store: Store, losses: Sequence[float], *, options: str = "", evaluated: Sequence[float] = (), **facts: Any
) -> RunPaths:
    """A run with these losses; each text of options is another config."""
    run = make_run(store)
    run.config.write_text(f"seed: 0\n{options}\n")
    record = json.loads(run.record.read_text())
    run.record.write_text(json.dumps(record | {"config_hash": options.strip() or "plain"} | facts))
    attempt = add_attempt(run)
    with attempt.metrics.open("w") as file:
        for step, loss in enumerate(losses, start=1):
            figures = {"train/loss": encode_number(loss), "train/lr": 0.1}
            file.write(json.dumps({"step": step, "time": 1.7e9 + step, **figures}) + "\n")
        for number, value in enumerate(evaluated, start=1):
            step = len(losses) + number
            file.write(json.dumps({"step": step, "time": 1.7e9 + step, "val/accuracy": value}) + "\n")
            log_event(attempt, "evaluated", step, metrics={"val/accuracy": value})
    return run


def curve(seed: int, length: int = 30) -> list[float]:
    noise = random.Random(seed)
    return [noise.random() for _ in range(length)]


def pairs(*runs: RunPaths, **options: Any) -> set[frozenset[str]]:
    return {frozenset((twins.first, twins.second)) for twins in find_twins([(run, ()) for run in runs], **options)}


def test_an_option_without_effect_is_found_and_named(store: Store) -> None:
    first = trained(store, curve(1), options="loss: {alpha: 0.5}")
    second = trained(store, curve(1, 25), options="loss: {alpha: 0.9}")
    other = trained(store, curve(2), options="loss: {alpha: 0.1}")
    (twins,) = find_twins([(first, ()), (other, ()), (second, ())])
    assert (twins.first, twins.second, twins.metric) == (first.id, second.id, "train/loss")
    assert twins.differing == ("loss.alpha",)
    assert twins.points == 25, "as far as both go"


def test_one_bit_apart_is_no_twin(store: Store) -> None:
    losses = curve(1)
    nearly = [*losses[:-1], math.nextafter(losses[-1], 2.0)]
    assert pairs(trained(store, losses), trained(store, nearly, options="model: {d_model: 9}")) == set()


def test_equal_evaluations_are_enough(store: Store) -> None:
    """As in the run whose weights never moved: its losses were weighted differently, its accuracies were the same."""
    accuracies = [0.01, 0.0125, 0.011, 0.0131, 0.0127, 0.0119]
    first = trained(store, curve(1), evaluated=accuracies)
    second = trained(store, curve(2), evaluated=accuracies, options="loss: {alpha: 0.9}")
    assert pairs(first, second) == {frozenset((first.id, second.id))}


def test_what_hardly_varies_or_is_short_tells_nothing(store: Store) -> None:
    for number, losses in enumerate(([0.5] * 40, [0.0, 1.0] * 20, curve(1, 19), [math.nan] * 40)):
        one = trained(store, losses, options=f"model: {{d_model: {number + 9}}}")
        two = trained(store, losses, options=f"model: {{d_model: {number + 99}}}")
        assert pairs(one, two) == set()
    flat = [trained(store, curve(n), evaluated=[0.25] * 9, options=f"model: {{d_model: {n}}}") for n in (5, 6)]
    assert pairs(*flat) == set()


def test_not_a_number_equals_itself_in_a_series_that_varies(store: Store) -> None:
    losses = [*curve(1), math.nan, math.inf]
    one, two = trained(store, losses), trained(store, losses, options="model: {d_model: 9}")
    assert pairs(one, two) == {frozenset((one.id, two.id))}


def test_runs_of_one_config_and_runs_that_differ_only_in_how_are_no_twins(store: Store) -> None:
    runs = [trained(store, curve(1)), trained(store, curve(1))]
    runs += [trained(store, curve(1), options="train: {save_every: 7, max_steps: 99}\nevaluation: {every: 3}")]
    assert pairs(*runs) == set()
    assert is_neutral("checkpoint.keep_last")
    assert not is_neutral("optim.lr")
    assert not is_neutral("seed")


def test_what_is_compared_for_identity_is_exempt(store: Store) -> None:
    arms = [
        trained(store, curve(1), options=f"model: {{cache: {cached}}}", study="cached", arm=cached)
        for cached in ("true", "false")
    ]
    assert len(pairs(*arms)) == 1
    assert pairs(*arms, exempt_studies=frozenset({"cached"})) == set()
    assert find_twins([(arms[0], ("identical",)), (arms[1], ())]) == []


def test_damage_in_any_file_is_passed_over(store: Store) -> None:
    good = trained(store, curve(1))
    twin = trained(store, curve(1), options="model: {d_model: 9}")
    broken = [trained(store, curve(1), options=f"model: {{d_model: {n}}}") for n in range(10, 13)]
    broken[0].record.write_text("{")
    broken[1].attempt(1).metrics.write_bytes(b"\xff\n[1]\n{}\n" * 30)
    broken[2].attempt(1).metrics.unlink()
    assert pairs(good, *broken, twin) == {frozenset((good.id, twin.id))}
    twin.config.write_text("a: [")
    (found,) = find_twins([(good, ()), (twin, ())])
    assert found.differing == ()
