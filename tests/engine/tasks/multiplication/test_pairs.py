from __future__ import annotations

import numpy as np
import pytest

from engine.config.resolve import resolve
from engine.errors import HeatsError
from engine.tasks.multiplication.config import Config, count_pairs
from engine.tasks.multiplication.pairs import Pairs, pairs_by_number, shuffled_numbers, split_pairs


def as_set(pairs: Pairs) -> set[tuple[int, int]]:
    return set(zip(pairs.smaller.tolist(), pairs.larger.tolist(), strict=True))


def split(seed: int = 0, **data: int) -> tuple[set[tuple[int, int]], ...]:
    config = resolve(Config, {f"data.{key}": value for key, value in data.items()})
    splits = split_pairs(config.data, seed)
    return as_set(splits.train), as_set(splits.val), as_set(splits.test)


def test_every_unordered_pair_is_in_exactly_one_split() -> None:
    train, val, test = split()
    everything = {(a, b) for a in range(1, 100) for b in range(a, 100)}
    assert train | val | test == everything
    assert len(train) + len(val) + len(test) == len(everything) == 4950
    assert (len(val), len(test)) == (495, 495)


def test_each_split_has_all_lengths_in_about_their_share() -> None:
    for pairs in split():
        two_by_two = sum(a >= 10 for a, _ in pairs) / len(pairs)
        assert 0.75 < two_by_two < 0.9  # 4095 of 4950


def test_the_seed_alone_decides_and_the_deal_never_changes() -> None:
    assert split(seed=3) == split(seed=3)
    assert split(seed=3)[1] != split(seed=4)[1]
    # Written down, so that a held-out set stays held out for every later version.
    splits = split_pairs(resolve(Config, {}).data, seed=0)
    head = list(zip(splits.val.smaller[:4].tolist(), splits.val.larger[:4].tolist(), strict=True))
    assert head == [(41, 92), (36, 46), (7, 73), (53, 63)]


def test_a_huge_range_is_sampled_without_replacement() -> None:
    train, val, test = split(min_digits=9, max_digits=9, max_pairs=5000)
    assert (len(train), len(val), len(test)) == (4000, 500, 500)
    assert len(train | val | test) == 5000
    for a, b in train:
        assert 10**8 <= a <= b < 10**9
    assert np.mean([b for _, b in train]) == pytest.approx(7e8, rel=0.02)  # of uniform pairs the larger has mean 2/3


@pytest.mark.parametrize("total", [1, 2, 45, 64, 100, 1000])
def test_shuffled_numbers_are_a_permutation(total: int) -> None:
    numbers = shuffled_numbers(total, total, seed=1)
    assert sorted(numbers.tolist()) == list(range(total))


def test_pairs_by_number_is_exact_up_to_the_last_pair_of_nine_digits() -> None:
    total = count_pairs(1, 9)
    starts_of_rows = [n * (n + 1) // 2 for n in (94_906_265, 94_906_267, 700_000_001, 999_999_998)]
    numbers = sorted({0, 1, total - 1, *starts_of_rows, *(start - 1 for start in starts_of_rows)})
    pairs = pairs_by_number(np.array(numbers), lowest=1)
    for number, a, b in zip(numbers, pairs.smaller.tolist(), pairs.larger.tolist(), strict=True):
        assert (b - 1) * b // 2 + (a - 1) == number
        assert 1 <= a <= b
    assert pairs.larger[-1] == pairs.smaller[-1] == 10**9 - 1


@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 2), (2, 2), (1, 3), (2, 3), (3, 3)])
def test_count_pairs(low: int, high: int) -> None:
    operands = range(10 ** (low - 1), 10**high)
    assert count_pairs(low, high) == len(operands) * (len(operands) + 1) // 2


def test_a_range_too_small_to_hold_pairs_out_is_refused_when_launched() -> None:
    with pytest.raises(HeatsError) as caught:
        resolve(Config, {"data.min_digits": "1", "data.max_digits": "1"})
    text = str(caught.value)
    assert "data.min_digits" in text
    assert "raise data.max_digits" in text
    assert "45 unordered pairs" in text


def test_min_above_max_is_refused() -> None:
    with pytest.raises(HeatsError, match=r"data\.min_digits \(3\) is above data\.max_digits \(2\)"):
        resolve(Config, {"data.min_digits": "3"})


def test_too_few_sampled_pairs_are_refused() -> None:
    with pytest.raises(HeatsError, match=r"data\.max_pairs \(99\)"):
        resolve(Config, {"data.max_pairs": "99"})
