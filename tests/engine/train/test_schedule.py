"""The rate is a pure function of the step."""

from __future__ import annotations

import pytest

from engine.config.sections import OptimSection, ScheduleSection, TaskConfig, TrainSection
from engine.train.schedule import learning_rate


def _config(kind: str, warmup: int = 10, total: int = 200) -> TaskConfig:
    return TaskConfig(
        train=TrainSection(max_steps=total),
        optim=OptimSection(lr=1.0, min_lr_ratio=0.1),
        schedule=ScheduleSection(kind=kind, warmup_steps=warmup),  # type: ignore[arg-type]
    )


def test_warm_up_reaches_the_peak_and_never_starts_at_zero() -> None:
    rates = [learning_rate(_config("cosine"), step) for step in range(11)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates == sorted(rates)


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_the_end_is_the_lowest_share(kind: str) -> None:
    config = _config(kind)
    assert learning_rate(config, 200) == pytest.approx(0.1)
    assert learning_rate(config, 105) == pytest.approx(0.55)  # half-way both shapes meet
    assert learning_rate(config, 10_000) == pytest.approx(0.1)


def test_constant_stays_and_warm_up_is_at_most_a_tenth() -> None:
    config = _config("constant", warmup=5000)
    assert learning_rate(config, 20) == 1.0
    assert learning_rate(config, 19) == 1.0
    assert learning_rate(config, 9) == pytest.approx(0.5)


def test_multistep_falls_at_shares_of_the_run() -> None:
    config = _config("multistep", warmup=0, total=240)
    rates = [learning_rate(config, step) for step in range(240)]
    falls = [step for step in range(1, 240) if rates[step] < rates[step - 1]]
    assert falls == [150, 180, 210]
    assert [rates[step] for step in (0, 150, 180, 210)] == pytest.approx([1, 0.1, 0.01, 0.001])
