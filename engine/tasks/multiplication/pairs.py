"""Which products there are: unordered pairs by number, put in a fixed random order, and split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.tasks.multiplication.config import HELD_OUT_SHARE, MultiplicationDataSection, count_pairs

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

_ROUNDS = 8


@dataclass(frozen=True)
class Pairs:
    """Unordered pairs, the smaller operand first: two int64 arrays of shape (N,)."""

    smaller: Ints
    larger: Ints

    def __len__(self) -> int:
        return len(self.smaller)

    def __getitem__(self, which: slice) -> Pairs:
        return Pairs(self.smaller[which], self.larger[which])


@dataclass(frozen=True)
class Splits:
    """The pairs to learn from and those held out; no unordered pair is in two of them."""

    train: Pairs
    val: Pairs
    test: Pairs


def split_pairs(data: MultiplicationDataSection, seed: int) -> Splits:
    """Deal all unordered pairs, or `data.max_pairs` of them, to training (80 %), validation and test (10 % each).

    A pure function of the range, `max_pairs` and the seed, whatever the versions of NumPy and torch. Memory grows with
    the pairs dealt, not with those there are.
    """
    total = count_pairs(data.min_digits, data.max_digits)
    dealt = min(total, data.max_pairs)
    pairs = pairs_by_number(shuffled_numbers(dealt, total, seed), lowest=10 ** (data.min_digits - 1))
    held_out = dealt // HELD_OUT_SHARE
    return Splits(val=pairs[:held_out], test=pairs[held_out : 2 * held_out], train=pairs[2 * held_out :])


def pairs_by_number(numbers: Ints, lowest: int) -> Pairs:
    """The unordered pairs of operands from `lowest` up that have these numbers.

    Pair number l (l + 1) / 2 + s is (lowest + s, lowest + l), 0 <= s <= l: the numbers up to n (n + 1) / 2 cover the
    pairs of n operands exactly once.
    """
    large = ((np.sqrt(8.0 * numbers + 1.0) - 1.0) / 2.0).astype(np.int64)
    # One rounding to 53 bits under the root: it may come out one too large just before a new row, never too small.
    large -= large * (large + 1) // 2 > numbers
    small = numbers - large * (large + 1) // 2
    return Pairs(smaller=small + lowest, larger=large + lowest)


def shuffled_numbers(count: int, total: int, seed: int) -> Ints:
    """The first `count` numbers of a pseudo-random order of 0 .. total - 1: distinct, int64, shape (count,).

    A keyed permutation (a Feistel network on the next power of four, walked along its cycles until it lands inside the
    range; Black and Rogaway, CT-RSA 2002), so sampling without replacement needs no list of all numbers.
    """
    half_bits = max(1, ((total - 1).bit_length() + 1) // 2)
    keys = _mix(np.arange(1, _ROUNDS + 1, dtype=np.uint64) + _mix(np.array([seed], dtype=np.uint64)))
    numbers = _feistel(np.arange(count, dtype=np.uint64), keys, half_bits)
    outside = np.flatnonzero(numbers >= total)
    while outside.size:
        numbers[outside] = _feistel(numbers[outside], keys, half_bits)
        outside = outside[numbers[outside] >= total]
    return numbers.astype(np.int64)


def _feistel(words: Words, keys: Words, half_bits: int) -> Words:
    """A permutation of the numbers of 2 * half_bits bits."""
    mask = np.uint64((1 << half_bits) - 1)
    left, right = words >> np.uint64(half_bits), words & mask
    for key in keys:
        left, right = right, left ^ (_mix(right + key) & mask)
    return (left << np.uint64(half_bits)) | right


def _mix(words: Words) -> Words:
    """Scatter 64-bit words (the finaliser of SplitMix64; Steele, Lea and Flood, OOPSLA 2014)."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
