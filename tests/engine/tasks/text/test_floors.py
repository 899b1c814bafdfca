"""Floors: what counting alone achieves, checked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.tasks.text.floors import Counts


def test_unigram_and_bigram_probabilities_are_those_of_the_formula() -> None:
    train = np.array([0, 1, 0, 1, 0, 2, 0, 1], dtype=np.uint16)
    counts = Counts(train, 4)
    unigram = (np.array([4, 3, 1, 0]) + 1) / 12
    targets, before = np.array([1, 2, 3]), np.array([0, 0, 3])
    assert np.allclose(np.exp(-counts.unigram_nats(targets)), unigram[targets])
    strength = counts.strength
    expected = [(3 + strength * unigram[1]) / (4 + strength), (1 + strength * unigram[2]) / (4 + strength), unigram[3]]
    assert np.allclose(np.exp(-counts.bigram_nats(before, targets)), expected)


def test_bigram_probabilities_add_up_to_one_after_each_token() -> None:
    train = np.random.default_rng(0).integers(0, 9, 200)
    counts = Counts(train, 10)
    every = np.arange(10)
    for before in range(10):
        assert math.isclose(np.exp(-counts.bigram_nats(np.full(10, before), every)).sum(), 1.0)


def test_where_order_matters_the_bigram_is_the_lower_floor_and_where_it_does_not_it_does_no_harm() -> None:
    ordered = np.tile(np.arange(8), 200)
    floors = Counts(ordered, 8).floors(ordered[:-1], ordered[1:])
    assert floors.unigram == pytest.approx(8, rel=0.01)
    assert floors.bigram < 1.2
    train, held_out = np.random.default_rng(1).integers(0, 8, (2, 4000))
    floors = Counts(train, 8).floors(held_out[:-1], held_out[1:])
    assert floors.bigram == pytest.approx(floors.unigram, rel=0.01)
