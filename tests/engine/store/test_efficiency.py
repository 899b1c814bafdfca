"""Efficiency from records: time without pauses, targets reached or not, and who has what best."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.store.efficiency import Figure, Goal, choose_goal, compare, count_parameters, measure, training_clock
from engine.store.files import encode_number
from engine.store.metrics import RunHistory
from engine.store.paths import AttemptPaths, RunPaths, Store
from tests.engine.store.made import add_attempt, log_event, log_steps, make_run, make_store, write_checkpoint


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "runs")


def _log(attempt: AttemptPaths, points: dict[int, tuple[float, float]]) -> None:
    """By step: when, and the exact match."""
    with attempt.metrics.open("a") as file:
        for step, (moment, value) in points.items():
            record = {"step": step, "time": moment, "val/exact_match": encode_number(value)}
            file.write(json.dumps(record) + "\n")


def _history(run: RunPaths) -> RunHistory:
    history = RunHistory(run)
    history.refresh()
    return history


def _run(store: Store, values: list[float], parameters: int, seconds_a_step: float = 1.0) -> RunHistory:
    run = make_run(store)
    attempt = add_attempt(run)
    log_event(attempt, "training", 0, time=1e9, parameters=parameters)
    _log(attempt, {step: (1e9 + step * seconds_a_step, value) for step, value in enumerate(values, start=1)})
    return _history(run)


def _by_name(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures}


def test_pauses_between_attempts_and_shadowed_steps_take_no_time(store: Store) -> None:
    run = make_run(store)
    first = add_attempt(run)
    log_event(first, "training", 0, time=1000.0)
    _log(first, {step: (1000.0 + step, 0.1) for step in range(1, 11)})
    second = add_attempt(run, resumed_from_step=6)
    log_event(second, "training", 6, time=90_000.0)
    _log(second, {step: (90_000.0 + 2 * (step - 6), 0.2) for step in range(7, 10)})
    clock = training_clock(run)
    assert [clock.seconds_at(step) for step in (1, 6, 7, 9)] == [1.0, 6.0, 8.0, 12.0]


def test_without_times_the_seconds_are_unknown(store: Store) -> None:
    run = make_run(store)
    add_attempt(run).metrics.write_text('{"step": 1, "val/exact_match": 1}\n')
    assert training_clock(run).seconds_at(1) is None


def test_the_smaller_run_and_the_quicker_one(store: Store) -> None:
    small, quick = _run(store, [0.1, 0.2, 0.4, 0.5], 1_000_000), _run(store, [0.3, 0.6], 4_000_000, 10.0)
    goal = choose_goal([small, quick])
    assert goal == Goal("val/exact_match", "max", 0.5)
    figures = _by_name(compare([measure(small, goal), measure(quick, goal)], goal))
    assert (figures["parameters"].best, figures["parameters"].factor) == (0, 4.0)
    match = figures["exact match"]
    assert match.best == 1
    assert match.factor == pytest.approx(1.2)
    density = figures["exact match per million parameters"]
    assert density.best == 0
    assert density.factor == pytest.approx(0.5 / 0.15)
    assert list(figures["steps to exact match 0.5"].values) == [4, 2]
    seconds = figures["seconds to exact match 0.5"]
    assert list(seconds.values) == [4.0, 20.0]
    assert seconds.best == 0


def test_a_run_that_never_reaches_the_target_has_no_steps_to_it(store: Store) -> None:
    good, poor = _run(store, [0.1, 0.9], 10), _run(store, [0.1, math.nan], 10)
    goal = choose_goal([good, poor], target=0.8)
    assert [measure(history, goal).steps for history in (good, poor)] == [2, None]
    figure = _by_name(compare([measure(good, goal), measure(poor, goal)], goal))["steps to exact match 0.8"]
    assert (figure.values, figure.best) == ((2, None), None)


def test_an_accuracy_of_zero_is_nothing_that_anybody_reached(store: Store) -> None:
    good, poor = _run(store, [0.0, 0.9], 10), _run(store, [0.0, 0.0], 10)
    assert choose_goal([good, poor]).target is None


def test_less_is_better_for_a_loss(store: Store) -> None:
    runs = []
    for loss in (0.5, 0.25):
        run = make_run(store)
        log_steps(add_attempt(run), range(1, 4), loss=loss)
        runs.append(_history(run))
    goal = choose_goal(runs)
    assert goal == Goal("train/loss", "min", 0.5)
    assert choose_goal(runs, mode="max").mode == "max"
    assert [measure(history, goal).steps for history in runs] == [1, 1]
    with pytest.raises(HeatsError, match="did you mean `train/loss`"):
        choose_goal(runs, "train/los")


def test_what_the_options_say_of_the_metric_counts(store: Store) -> None:
    history = _run(store, [0.5], 10)
    history.run.config.write_text("evaluation:\n  best_metric: val/exact_match\n  best_mode: min\n")
    assert choose_goal([history]).mode == "min"


def test_parameters_come_from_the_checkpoint_where_the_run_does_not_say(store: Store) -> None:
    run = make_run(store)
    add_attempt(run)
    assert count_parameters(run) is None
    write_checkpoint(run, 10)
    assert count_parameters(run) == 5


def test_a_tie_and_values_below_zero_have_no_factor(store: Store) -> None:
    goal = Goal("val/score", "max")
    runs = [_run(store, [0.5], 10) for _ in range(2)]
    figures = _by_name(compare([measure(history, goal) for history in runs], goal))
    assert (figures["parameters"].best, figures["parameters"].factor) == (None, None)
    assert "score" not in figures
