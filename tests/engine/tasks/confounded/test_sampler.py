"""Batches hold what the sampler says, in the number it says, and it alone says which samples are corrected."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.config.resolve import resolve
from engine.tasks.confounded.config import ConfoundedDataSection
from engine.tasks.confounded.sampler import MixedBatchSampler


def sampler(confounded: int, pool: int, batch: int = 64, steps: int = 100, **options: Any) -> MixedBatchSampler:
    return MixedBatchSampler(confounded, pool, batch, resolve(ConfoundedDataSection, options), steps, seed=3)


def test_by_default_60_confounded_samples_are_followed_by_4_corrected_ones() -> None:
    found = sampler(1000, 100)
    for index in range(found.batches_per_epoch):
        places, flags = found.batch(0, index)
        assert flags.tolist() == [0] * 60 + [1] * 4
        assert int(places[:60].max()) < 1000
        assert int(places[60:].max()) < 100


@pytest.mark.parametrize("corrected", [0, 1, 63])
def test_an_epoch_shows_each_confounded_sample_once(corrected: int) -> None:
    found = sampler(640, 50, corrected_per_batch=corrected)
    batches = [found.batch(2, index) for index in range(found.batches_per_epoch)]
    seen = torch.cat([places[flags == 0] for places, flags in batches])
    assert len(set(seen.tolist())) == len(seen) == 640 // (64 - corrected) * (64 - corrected)
    assert all(int(flags.sum()) == corrected and flags.shape == (64,) for _, flags in batches)
    assert not torch.equal(found.batch(0, 0), found.batch(1, 0))


def test_without_corrected_samples_none_is_flagged() -> None:
    for found in (sampler(100, 50, corrected_per_batch=0), sampler(100, 0, corrected_per_batch=4)):
        assert not any(int(found.batch(0, index)[1].sum()) for index in range(found.batches_per_epoch))


def test_a_batch_can_be_corrected_samples_only() -> None:
    found = sampler(1000, 130, corrected_per_batch=64)
    assert found.batches_per_epoch == 2
    places, flags = found.batch(0, 1)
    assert int(flags.sum()) == 64
    assert len(set(places.tolist())) == 64


def test_the_pool_goes_round_across_epochs_and_no_sample_comes_twice_in_a_round() -> None:
    found = sampler(120, 10)
    drawn = torch.cat([found.batch(*divmod(at, found.batches_per_epoch))[0][60:] for at in range(10)])
    for start in range(0, 40, 10):
        assert sorted(drawn[start : start + 10].tolist()) == list(range(10))
    assert drawn[:10].tolist() != drawn[10:20].tolist()


def test_a_pool_smaller_than_its_share_of_a_batch_is_repeated() -> None:
    places, flags = sampler(100, 3, corrected_per_batch=8).batch(0, 0)
    assert int(flags.sum()) == 8
    assert int(places[flags == 1].bincount().max()) <= 3


def test_their_number_follows_the_schedule_and_epochs_still_repeat_no_sample() -> None:
    found = sampler(1000, 30, 16, 200, corrected_schedule="linear", corrected_first=1, corrected_per_batch=8)
    counts = [int(found.batch(*divmod(at, found.batches_per_epoch))[1].sum()) for at in range(220)]
    assert counts[0] == 1
    assert counts[199] == counts[219] == 8
    assert counts == sorted(counts)
    drawn = torch.cat([
        places[flags == 1] for places, flags in (found.batch(*divmod(at, found.batches_per_epoch)) for at in range(220))
    ])  # fmt: skip
    assert sorted(drawn[:30].tolist()) == sorted(drawn[30:60].tolist()) == list(range(30))
    for epoch in range(2):
        batches = [found.batch(epoch, index) for index in range(found.batches_per_epoch)]
        seen = torch.cat([places[flags == 0] for places, flags in batches])
        assert len(set(seen.tolist())) == len(seen)


def test_fewer_samples_than_a_batch_holds_make_a_smaller_batch() -> None:
    places, flags = sampler(20, 100).batch(5, 0)
    assert len(places) == 24
    assert flags.tolist() == [0] * 20 + [1] * 4
