"""Which checkpoint to resume from, and which one is best."""

from __future__ import annotations

import math
import os

import pytest

from engine.errors import HeatsError
from engine.store.checkpoints import (
    MANIFEST,
    MODEL,
    OPTIMIZER,
    STATE,
    best,
    choose,
    folder_name,
    scan,
)
from engine.store.files import write_json
from engine.store.paths import RunPaths
from tests.engine.store.made import (
    add_attempt,
    flip_bit,
    write_checkpoint,
    write_measured,
)


def test_latest_is_the_newest(run: RunPaths) -> None:
    for step in (10, 20, 30):
        write_checkpoint(run, step)
    choice = choose(run)
    assert choice.checkpoint is not None
    assert choice.checkpoint.step == 30
    assert choice.passed_over == ()


def test_latest_passes_over_damaged_ones_and_says_why(run: RunPaths) -> None:
    folders = {step: write_checkpoint(run, step) for step in (10, 20, 30, 40)}
    (folders[40] / MANIFEST).unlink()
    os.truncate(folders[30] / MODEL, 3)
    flip_bit(folders[20] / OPTIMIZER, 40)
    choice = choose(run)
    assert choice.checkpoint is not None
    assert choice.checkpoint.step == 10
    assert [line.partition(":")[0] for line in choice.passed_over] == ["step 40", "step 30", "step 20"]
    assert "no manifest" in choice.passed_over[0]
    assert "bytes" in choice.passed_over[1]
    assert "hash differs" in choice.passed_over[2]


def test_a_run_with_only_damaged_checkpoints_starts_anew_and_says_why(run: RunPaths) -> None:
    (write_checkpoint(run, 10) / MANIFEST).unlink()
    choice = choose(run)
    assert choice.checkpoint is None
    assert len(choice.passed_over) == 1


def test_emergency_checkpoints_are_never_chosen(run: RunPaths) -> None:
    write_checkpoint(run, 10, metric=0.9)
    write_checkpoint(run, 20, metric=0.1, emergency=True)
    for wanted in ("latest", "best"):
        choice = choose(run, wanted)
        assert choice.checkpoint is not None
        assert choice.checkpoint.step == 10
    with pytest.raises(HeatsError, match="no checkpoint of step 20 is there; there are steps 10"):
        choose(run, "20")


def test_checkpoints_of_an_abandoned_stretch_are_never_chosen(run: RunPaths) -> None:
    write_checkpoint(run, 10, metric=0.5)
    write_checkpoint(run, 20, metric=0.1)
    add_attempt(run, resumed_from_step=10)
    write_checkpoint(run, 15, attempt=2, metric=0.4)
    found = {item.step: item for item in scan(run)}
    assert (found[10].shadowed, found[20].shadowed, found[15].shadowed) == (False, True, False)
    for wanted in ("latest", "best"):
        choice = choose(run, wanted)
        assert choice.checkpoint is not None
        assert choice.checkpoint.step == 15


def test_a_later_resume_does_not_shadow_what_it_resumed_from(run: RunPaths) -> None:
    write_checkpoint(run, 10)
    add_attempt(run, resumed_from_step=10)
    assert [item.usable for item in scan(run)] == [True]


def test_a_resume_point_set_back_hides_what_lies_past_it(run: RunPaths) -> None:
    for step in (10, 20, 30):
        write_checkpoint(run, step)
    write_json(run.resume, {"schema": 1, "resume_from": 20})
    choice = choose(run)
    assert choice.checkpoint is not None
    assert choice.checkpoint.step == 20
    for damage in ("{", "[]", '{"resume_from": "x"}'):
        run.resume.write_text(damage)
        choice = choose(run)
        assert choice.checkpoint is not None
        assert choice.checkpoint.step == 30, "the pointers are only hints"


def test_a_step_is_chosen_exactly_and_refused_if_damaged(run: RunPaths) -> None:
    for step in (10, 20):
        write_checkpoint(run, step)
    choice = choose(run, "10")
    assert choice.checkpoint is not None
    assert choice.checkpoint.step == 10
    flip_bit(run.checkpoints / folder_name(10) / STATE, 3)
    with pytest.raises(HeatsError, match="the checkpoint of step 10 can't be used"):
        choose(run, "10")


@pytest.mark.parametrize("wanted", ["newest", "", "-1", "1.5", "²"])
def test_a_word_that_is_no_checkpoint_says_what_to_give(run: RunPaths, wanted: str) -> None:
    write_checkpoint(run, 10)
    with pytest.raises(HeatsError, match="give latest, best or a step"):
        choose(run, wanted)


def test_a_step_that_is_not_there_lists_those_that_are(run: RunPaths) -> None:
    with pytest.raises(HeatsError, match="there are no checkpoints"):
        choose(run, "5")
    write_checkpoint(run, 10)
    with pytest.raises(HeatsError, match="there are steps 10"):
        choose(run, "5")


@pytest.mark.parametrize(("mode", "step"), [("min", 30), ("max", 20)])
def test_best_is_by_the_metric_in_the_wanted_direction(run: RunPaths, mode: str, step: int) -> None:
    write_measured(run, {10: 0.5, 20: 0.9, 30: 0.1, 40: None, 50: math.nan})
    chosen = best(scan(run), mode)
    assert chosen is not None
    assert chosen.step == step
    picked = choose(run, "best", mode).checkpoint
    assert picked == chosen


@pytest.mark.parametrize("mode", ["min", "max"])
def test_of_equally_good_ones_the_earliest_is_best(run: RunPaths, mode: str) -> None:
    write_measured(run, {10: 0.5, 20: 0.5})
    chosen = best(scan(run), mode)
    assert chosen is not None
    assert chosen.step == 10


def test_without_an_evaluation_there_is_no_best(run: RunPaths) -> None:
    write_measured(run, {10: None, 20: math.nan})
    assert best(scan(run), "min") is None
    with pytest.raises(HeatsError, match="no evaluated checkpoint is there; choose latest or a step"):
        choose(run, "best")
