"""Which stretch of a run is trained again, and which are refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.store.paths import RunPaths
from engine.store.stretch import plan_stretch
from tests.engine.store.made import (
    add_attempt,
    flip_bit,
    log_event,
    log_steps,
    make_run,
    make_store,
    write_checkpoint,
)


@pytest.fixture
def run(store_root: Path) -> RunPaths:
    """40 steps in one attempt, saved every 10."""
    made = make_run(make_store(store_root))
    log_steps(add_attempt(made), range(1, 41))
    for step in (10, 20, 30, 40):
        write_checkpoint(made, step)
    return made


def span(run: RunPaths, first: int | None = None, last: int | None = None) -> tuple[int, int]:
    stretch = plan_stretch(run, first, last)
    return stretch.first_step, stretch.last_step


def test_the_last_two_checkpoints_bound_it_unless_told_otherwise(run: RunPaths) -> None:
    assert span(run) == (30, 40)
    assert span(run, last=20) == (10, 20)
    assert span(run, last=10) == (0, 10)
    assert span(run, first=10) == (10, 40)
    assert span(run, 0, 30) == (0, 30)


def test_a_single_checkpoint_is_reached_from_the_start(store_root: Path) -> None:
    made = make_run(make_store(store_root))
    with pytest.raises(HeatsError, match="no checkpoint that can be used yet"):
        plan_stretch(made)
    write_checkpoint(made, 10)
    assert span(made) == (0, 10)


def test_steps_without_a_checkpoint_are_refused_with_those_there(run: RunPaths) -> None:
    with pytest.raises(HeatsError, match=r"step 15 is there \(--from\); there: 10, 20, 30, 40"):
        plan_stretch(run, 15)
    with pytest.raises(HeatsError, match="--to"):
        plan_stretch(run, None, 50)
    with pytest.raises(HeatsError, match="nothing between step 20 and step 20"):
        plan_stretch(run, 20, 20)


def test_damaged_emergency_and_shadowed_checkpoints_bound_nothing(run: RunPaths) -> None:
    write_checkpoint(run, 35, emergency=True)
    with pytest.raises(HeatsError, match="no usable checkpoint of step 35"):
        plan_stretch(run, 35)
    flip_bit(run.checkpoints / "step-00000030" / "model.safetensors", 200)
    with pytest.raises(HeatsError, match=r"step 30 can't be used: .*hash"):
        plan_stretch(run)
    add_attempt(run, resumed_from_step=20)
    assert span(run) == (10, 20)


def test_a_stretch_over_a_plain_resume_is_fine(run: RunPaths) -> None:
    add_attempt(run, resumed_from_step=40)
    write_checkpoint(run, 50, attempt=2)
    stretch = plan_stretch(run, 30)
    assert stretch.launch is not None
    assert stretch.launch.attempt == 2


def test_an_override_bounds_the_stretch_and_counts_past_it(run: RunPaths) -> None:
    add_attempt(run, resumed_from_step=40, overrides={"optim.lr": {"from": 0.001, "to": 0.5}})
    write_checkpoint(run, 50, attempt=2)
    with pytest.raises(HeatsError, match=r"`optim.lr` was changed at step 40.*--to 40, or begin there with --from 40"):
        plan_stretch(run, 30)
    assert plan_stretch(run).config.optim.lr == 0.5
    assert plan_stretch(run, 10, 40).config.optim.lr == 0.001


def test_an_override_that_a_later_resume_shadowed_is_no_obstacle(run: RunPaths) -> None:
    add_attempt(run, resumed_from_step=30, overrides={"optim.lr": {"from": 0.001, "to": 0.5}})
    back = {"optim.lr": {"from": 0.5, "to": 0.001}}
    add_attempt(run, resumed_from_step=20, overrides=back)
    write_checkpoint(run, 60, attempt=3)
    assert plan_stretch(run, 20).config.optim.lr == 0.001
    with pytest.raises(HeatsError, match="was changed at step 20"):
        plan_stretch(run, 10)


def test_a_rollback_within_is_refused(run: RunPaths) -> None:
    log_event(run.attempt(1), "rolled_back", 30)
    with pytest.raises(HeatsError, match=r"rolled back to step 30.*--to 30"):
        plan_stretch(run)
    assert span(run, last=30) == (20, 30)


def test_a_rollback_that_a_resume_shadowed_is_no_obstacle(run: RunPaths) -> None:
    log_event(run.attempt(1), "rolled_back", 30)
    add_attempt(run, resumed_from_step=20)
    write_checkpoint(run, 50, attempt=2)
    assert span(run, 10) == (10, 50)
