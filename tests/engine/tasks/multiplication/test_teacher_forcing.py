from __future__ import annotations

from typing import Literal

import pytest
import torch

from engine.tasks.multiplication.teacher_forcing import Schedule, draw, probability


@pytest.mark.parametrize("schedule", ["none", "linear", "cosine", "step"])
def test_always_forced_before_the_start(schedule: Schedule) -> None:
    assert [probability(schedule, step, 500, 1000) for step in (0, 1, 499)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("none", [1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [1.0, 0.75, 0.5, 0.25, 0.0]),
        ("cosine", [1.0, 0.8535533905932737, 0.5, 0.14644660940672627, 0.0]),
        ("step", [1.0, 0.75, 0.5, 0.25, 0.0]),
    ],
)
def test_quarters_of_the_way(schedule: Schedule, expected: list[float]) -> None:
    assert [probability(schedule, step, 500, 1000) for step in (500, 625, 750, 875, 1000)] == pytest.approx(expected)


def test_step_falls_exactly_at_fifths() -> None:
    got = [probability("step", step, 100, 600) for step in (199, 200, 299, 300, 399, 400, 499, 500, 599)]
    assert got == [1.0, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25, 0.0, 0.0]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "step"])
def test_never_rises_and_stays_in_range(schedule: Literal["linear", "cosine", "step"]) -> None:
    values = [probability(schedule, step, 37, 211) for step in range(220)]
    assert values == sorted(values, reverse=True)
    assert values[0] == 1.0
    assert values[211:] == [0.0] * 9


def test_a_start_at_or_after_the_end_leaves_the_run_teacher_forced() -> None:
    assert {probability("linear", step, 5000, 1000) for step in range(1000)} == {1.0}
    assert {probability("linear", step, 1000, 1000) for step in range(1000)} == {1.0}


def test_the_coin_draws_one_number_whatever_the_probability() -> None:
    states = []
    for forcing in (0.0, 0.3, 1.0):
        generator = torch.Generator().manual_seed(7)
        for _ in range(5):
            draw(forcing, generator)
        states.append(generator.get_state())
    assert all(torch.equal(states[0], state) for state in states)


def test_the_coin_goes_on_where_a_saved_state_was() -> None:
    generator = torch.Generator().manual_seed(1)
    [draw(0.5, generator) for _ in range(10)]
    saved = generator.get_state()
    rest = [draw(0.5, generator) for _ in range(20)]
    resumed = torch.Generator()
    resumed.set_state(saved)
    assert [draw(0.5, resumed) for _ in range(20)] == rest
    assert {True, False} == set(rest)


def test_the_coin_is_never_wrong_at_the_ends_and_fair_between() -> None:
    generator = torch.Generator().manual_seed(0)
    assert all(draw(1.0, generator) for _ in range(1000))
    assert not any(draw(0.0, generator) for _ in range(1000))
    assert 0.2 < sum(draw(0.25, generator) for _ in range(2000)) / 2000 < 0.3
