"""Same to the last bit, or where two runs part."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.store.checkpoints import MODEL, STATE
from engine.store.compare import checkpoint_differences, metric_differences
from engine.store.paths import RunPaths, Store
from tests.engine.store.made import (
    add_attempt,
    flip_bit,
    log_steps,
    make_run,
    make_store,
    safetensors,
    write_checkpoint,
)

WEIGHT = ((2,), b"\0" * 8)


@pytest.fixture
def store(store_root: Path) -> Store:
    return make_store(store_root)


@pytest.fixture
def pair(store: Store) -> tuple[Path, Path]:
    return write_checkpoint(make_run(store), 5), write_checkpoint(make_run(store), 5)


def curve(store: Store, steps: range, *, name: str = "train/loss", loss: float | None = None) -> RunPaths:
    run = make_run(store)
    log_steps(add_attempt(run), steps, loss)
    return run


def test_equal_checkpoints_have_no_differences(pair: tuple[Path, Path]) -> None:
    assert checkpoint_differences(*pair) == []


def test_one_flipped_bit_names_its_tensor(pair: tuple[Path, Path]) -> None:
    flip_bit(pair[1] / MODEL, -1)
    assert checkpoint_differences(*pair) == [f"{MODEL}: bias"]
    flip_bit(pair[1] / MODEL, (pair[1] / MODEL).stat().st_size - 10)
    assert checkpoint_differences(*pair) == [f"{MODEL}: weight", f"{MODEL}: bias"]


def test_a_tensor_that_only_one_has_or_of_another_shape_is_named(pair: tuple[Path, Path]) -> None:
    (pair[0] / MODEL).write_bytes(safetensors({"a": WEIGHT, "b": WEIGHT}))
    (pair[1] / MODEL).write_bytes(safetensors({"a": ((2, 1), WEIGHT[1]), "c": WEIGHT}))
    found = checkpoint_differences(*pair)
    assert f"{MODEL}: only one has b" in found
    assert f"{MODEL}: only one has c" in found
    assert any(line.startswith(f"{MODEL}: a is ") for line in found)


def test_tensors_in_another_order_are_the_same_tensors(pair: tuple[Path, Path]) -> None:
    (pair[0] / MODEL).write_bytes(safetensors({"a": ((1,), b"1234"), "b": ((1,), b"5678")}))
    (pair[1] / MODEL).write_bytes(safetensors({"b": ((1,), b"5678"), "a": ((1,), b"1234")}))
    assert checkpoint_differences(*pair) == []


def test_a_key_of_the_state_that_differs_is_named_by_its_path(store: Store) -> None:
    states = (
        {"step": 5, "guard": {"streak": 0, "total": 3}, "gone": None},
        {"step": 5, "guard": {"streak": 1, "total": 3}},
    )
    first, second = (write_checkpoint(make_run(store), 5, state=state) for state in states)
    assert checkpoint_differences(first, second) == [f"{STATE}: gone", f"{STATE}: guard.streak"]


def test_numbers_of_the_state_are_compared_exactly(store: Store) -> None:
    states = ({"a": math.nan, "b": 0.0, "c": 1, "d": [math.nan]}, {"a": math.nan, "b": -0.0, "c": 1.0, "d": [math.nan]})
    first, second = (write_checkpoint(make_run(store), 5, state=state) for state in states)
    assert checkpoint_differences(first, second) == [f"{STATE}: b", f"{STATE}: c"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]"])
def test_two_damaged_states_are_never_called_identical(pair: tuple[Path, Path], content: bytes) -> None:
    for folder in pair:
        (folder / STATE).write_bytes(content)
    with pytest.raises(HeatsError, match=r"state\.json"):
        checkpoint_differences(*pair)


def test_what_is_no_checkpoint_is_refused_by_name(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(HeatsError, match=r"model\.safetensors"):
        checkpoint_differences(pair[0], tmp_path)
    (pair[1] / MODEL).write_bytes(b'\x28\0\0\0\0\0\0\0{"weight":{"dtype":"F32","shape":[2,2]}}')
    with pytest.raises(HeatsError, match=r"model\.safetensors"):
        checkpoint_differences(*pair)
    shutil.rmtree(pair[1])
    with pytest.raises(HeatsError):
        checkpoint_differences(*pair)


def test_equal_curves_have_no_differences_and_nan_equals_nan(store: Store) -> None:
    assert metric_differences(curve(store, range(1, 6)), curve(store, range(1, 6))) == []
    nan = math.nan
    assert metric_differences(curve(store, range(1, 6), loss=nan), curve(store, range(1, 6), loss=nan)) == []


def test_the_last_bit_of_one_value_is_found_by_its_step(store: Store) -> None:
    first, second = curve(store, range(1, 11)), curve(store, range(1, 6))
    attempt = second.attempts()[0]
    log_steps(attempt, [6], math.nextafter(1.006, 2))
    log_steps(attempt, range(7, 11))
    assert metric_differences(first, second) == ["train/loss from step 6"]


def test_a_negative_zero_is_not_zero(store: Store) -> None:
    first, second = curve(store, range(3, 4), loss=0.0), curve(store, range(3, 4), loss=-0.0)
    assert metric_differences(first, second) == ["train/loss from step 3"]


def test_a_curve_that_goes_on_parts_at_the_first_step_that_only_one_has(store: Store) -> None:
    # Steps, not numbers of points: these curves have a point every hundred steps.
    first, second = curve(store, range(100, 600, 100)), curve(store, range(100, 900, 100))
    assert metric_differences(first, second) == ["train/loss from step 600"]
    assert metric_differences(second, first) == ["train/loss from step 600"]


def test_a_step_that_one_left_out_is_where_they_part(store: Store) -> None:
    first, second = curve(store, range(1, 6)), make_run(store)
    log_steps(add_attempt(second), [1, 2, 4, 5])
    assert metric_differences(first, second) == ["train/loss from step 3"]
    assert metric_differences(second, first) == ["train/loss from step 3"]


def test_a_metric_that_only_one_has_parts_at_its_first_step(store: Store) -> None:
    first, second = curve(store, range(1, 6)), curve(store, range(1, 6))
    log_steps(second.attempts()[0], [7], **{"val/loss": 1.0})
    assert "val/loss from step 7" in metric_differences(first, second)


def test_only_what_lies_past_a_step_is_compared_if_wanted(store: Store) -> None:
    first, second = curve(store, range(1, 4), loss=1.0), curve(store, range(1, 4), loss=2.0)
    for run in (first, second):
        log_steps(run.attempts()[0], range(4, 8))
    assert metric_differences(first, second, after_step=3) == []
    assert metric_differences(first, second) == ["train/loss from step 1"]


def test_a_resumed_run_equals_one_that_went_straight_on(store: Store) -> None:
    straight, resumed = curve(store, range(1, 11), loss=1.0), curve(store, range(1, 8), loss=1.0)
    log_steps(add_attempt(resumed, resumed_from_step=5), range(6, 11), loss=1.0)
    assert metric_differences(straight, resumed) == []
