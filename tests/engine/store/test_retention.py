"""Which old checkpoints may go."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.store.checkpoints import (
    MANIFEST,
    Checkpoint,
    best,
    folder_name,
    scan,
)
from engine.store.paths import RunPaths
from engine.store.retention import plan_retention
from tests.engine.store.made import (
    add_attempt,
    write_checkpoint,
    write_measured,
)


def leaving(run: RunPaths, **options: Any) -> list[int]:
    given: dict[str, Any] = {"keep_last": 1, "keep_best": 0, "keep_every": 0, "best_mode": "min"} | options
    return [item.step for item in plan_retention(scan(run), **given)]


def test_the_newest_the_best_and_every_nth_stay(run: RunPaths) -> None:
    write_measured(run, {10: 0.1, 20: 0.5, 30: 0.2, 40: 0.9, 50: math.nan, 60: None, 70: 0.8})
    assert leaving(run) == [10, 20, 30, 40, 50, 60]
    assert leaving(run, keep_last=3) == [10, 20, 30, 40]
    assert leaving(run, keep_best=2) == [20, 40, 50, 60]
    assert leaving(run, keep_best=2, best_mode="max") == [10, 20, 30, 50, 60]
    assert leaving(run, keep_every=20) == [10, 30, 50]
    assert leaving(run, keep_last=2, keep_best=1, keep_every=40) == [20, 30, 50]
    assert leaving(run, keep_last=100) == []


def test_what_a_run_resumed_from_stays(run: RunPaths) -> None:
    write_measured(run, {10: None, 20: None, 30: None})
    assert leaving(run, protected_steps=frozenset({10})) == [20]


def test_a_damaged_newest_does_not_push_out_the_newest_valid_one(run: RunPaths) -> None:
    write_measured(run, {10: None, 20: None, 30: None})
    (run.checkpoints / folder_name(30) / MANIFEST).unlink()
    assert leaving(run) == [10]


def test_emergency_and_abandoned_ones_are_not_retentions_business(run: RunPaths) -> None:
    write_measured(run, {10: None, 20: None})
    write_checkpoint(run, 5, emergency=True)
    write_checkpoint(run, 30)
    add_attempt(run, resumed_from_step=20)
    write_checkpoint(run, 25, attempt=2)
    assert leaving(run) == [10, 20]


@given(
    metrics=st.lists(st.none() | st.floats(), max_size=8),
    options=st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(0, 4), st.sampled_from(["min", "max"])),
)
@settings(max_examples=100)
def test_whatever_the_options_the_newest_and_the_best_kept_stay(
    metrics: list[float | None], options: tuple[int, int, int, str]
) -> None:
    found = [Checkpoint(Path(f"step-{step}"), step, metric=metric) for step, metric in enumerate(metrics, start=1)]
    keep_last, keep_best, keep_every, mode = options
    gone = plan_retention(found, keep_last=keep_last, keep_best=keep_best, keep_every=keep_every, best_mode=mode)
    assert not {item.step for item in gone} & {item.step for item in found[-keep_last:]}
    chosen = best(found, mode)
    if keep_best and chosen is not None:
        assert chosen not in gone
