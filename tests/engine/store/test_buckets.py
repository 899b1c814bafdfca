"""Min/max buckets against a plain loop, with and without a pyramid."""

from __future__ import annotations

import time

import numpy as np
import pytest

from engine.store.buckets import PYRAMID_FROM, Curve, GrowingCurve, curve, reduce_columns


def _random(length: int, seed: int = 0) -> Curve:
    rng = np.random.default_rng(seed)
    steps = np.cumsum(rng.integers(1, 4, length))
    values = rng.normal(size=length)
    values[rng.integers(0, length, length // 50)] = np.nan
    values[rng.integers(0, length, length // 100)] = np.inf
    return curve(steps, values)


@pytest.mark.parametrize("length", [1, 7, 500, PYRAMID_FROM + 12_345])
@pytest.mark.parametrize("count", [1, 3, 97])
def test_equals_a_plain_loop(length: int, count: int) -> None:
    found = _random(length)
    first, last = float(found.steps[0]), float(found.steps[-1])
    for start, stop in ((first, last), (first + (last - first) / 3, last / 2 + 1), (-5.0, last * 1.4)):
        if stop <= start:
            continue
        buckets = found.buckets(start, stop, count)
        edges = np.linspace(start, stop, count + 1)
        for index in range(count):
            upper = found.steps <= stop if index == count - 1 else found.steps < edges[index + 1]
            inside = found.values[(found.steps >= edges[index]) & upper]
            finite = inside[np.isfinite(inside)]
            assert buckets.broken[index] == (len(finite) < len(inside))
            if len(finite):
                assert (buckets.low[index], buckets.high[index]) == (finite.min(), finite.max())
            else:
                assert np.isnan(buckets.low[index])
                assert np.isnan(buckets.high[index])


def test_pyramid_and_direct_reduction_agree() -> None:
    found = _random(PYRAMID_FROM * 2 + 3)
    assert found.levels
    last = float(found.steps[-1])
    by_levels, direct = found.buckets(0, last, 240), reduce_columns(found.steps, found.values, 0, last, 240)
    np.testing.assert_array_equal(by_levels.low, direct.low)
    np.testing.assert_array_equal(by_levels.high, direct.high)
    np.testing.assert_array_equal(by_levels.broken, direct.broken)


def test_every_one_step_spike_is_kept() -> None:
    values = np.random.default_rng(1).normal(1, 0.1, 1_000_000)
    places = np.linspace(1234, 990_000, 20).astype(int)
    values[places] = 50.0
    buckets = curve(np.arange(1_000_000), values).buckets(0, 999_999, 240)
    assert np.count_nonzero(buckets.high == 50.0) == 20


def test_growing_piece_by_piece_equals_at_once() -> None:
    whole = _random(PYRAMID_FROM + 50_000)
    growing = GrowingCurve()
    for begin in range(0, len(whole), 33_333):
        piece = slice(begin, begin + 33_333)
        growing.extend(whole.steps[piece], whole.values[piece], whole.times[piece])
    found = growing.snapshot()
    np.testing.assert_array_equal(found.values, whole.values)
    assert len(found.levels) == len(whole.levels)
    np.testing.assert_array_equal(found.levels[-1][1], whole.levels[-1][1])


def test_a_snapshot_never_changes() -> None:
    growing = GrowingCurve()
    growing.extend(np.arange(10), np.ones(10), np.zeros(10))
    before = growing.snapshot()
    growing.extend(np.arange(10, 5000), np.full(4990, 7.0), np.zeros(4990))
    assert len(before) == 10
    assert before.last == 1.0
    assert growing.snapshot().last == 7.0


def test_nothing_at_all() -> None:
    empty = curve([], [])
    assert empty.last is None
    buckets = empty.buckets(0, 10, 5)
    assert np.isnan(buckets.low).all()
    assert not buckets.broken.any()


def test_a_million_points_are_reduced_in_milliseconds() -> None:
    found = _random(1_000_000)
    best = 1.0
    for _ in range(5):
        begin = time.process_time()
        found.buckets(0, float(found.steps[-1]), 240)
        best = min(best, time.process_time() - begin)
    assert best < 0.015
