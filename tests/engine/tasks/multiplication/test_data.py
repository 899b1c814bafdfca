from __future__ import annotations

import numpy as np
import torch

from engine.config.resolve import resolve
from engine.tasks.multiplication.config import Config
from engine.tasks.multiplication.data import (
    BOS,
    EOS,
    PAD,
    TIMES,
    HeldOut,
    Layout,
    ProductData,
    write_column_sums,
    write_problems,
    write_products,
)
from engine.tasks.multiplication.pairs import Pairs, split_pairs
from engine.train.task import BatchKey
from tests.engine.tasks.multiplication.conftest import write

PLAIN = Layout(max_digits=2, reverse=True, pad_operands=False)


def numbers(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, dtype=np.int64)


def test_special_tokens_are_no_digits_and_all_differ() -> None:
    assert len({*range(10), TIMES, PAD, BOS, EOS}) == 14


def test_problems_as_written() -> None:
    assert write_problems(numbers(12, 3, 7), numbers(3, 40, 8), PLAIN).tolist() == [
        write("12*3"),
        write("3*40"),
        write("7*8"),
    ]


def test_padded_operands_line_up() -> None:
    layout = Layout(max_digits=3, reverse=True, pad_operands=True)
    assert write_problems(numbers(12, 3), numbers(3, 400), layout).tolist() == [write("012*003"), write("003*400")]


def test_products_end_in_eos_and_are_reversed_when_asked() -> None:
    first, second = numbers(12, 99, 2), numbers(30, 99, 3)
    assert write_products(first, second, PLAIN).tolist() == [write("063$"), write("1089$"), write("6$")]
    forward = Layout(max_digits=2, reverse=False, pad_operands=False)
    assert write_products(first, second, forward).tolist() == [write("360$"), write("9801$"), write("6$")]


def test_zeros_are_seen() -> None:
    problems = write_problems(numbers(10, 1), numbers(20, 2), PLAIN).tolist()
    products = write_products(numbers(10, 1), numbers(20, 2), PLAIN).tolist()
    assert problems[0] != problems[1]
    assert products == [write("002$"), write("2$")]
    assert PAD not in problems[0]


def test_nine_digits_fit() -> None:
    layout = Layout(max_digits=9, reverse=False, pad_operands=False)
    largest = numbers(999_999_999)
    assert write_products(largest, largest, layout).tolist() == [write("999999998000000001$", 19)]
    assert write_problems(largest, largest, layout).tolist() == [write("999999999*999999999", 19)]


def test_column_sums_end_in_the_digits_of_the_product() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(1, 1000, 200), rng.integers(1, 1000, 200)
    for reverse in (True, False):
        layout = Layout(max_digits=3, reverse=reverse, pad_operands=False)
        sums, products = write_column_sums(first, second, layout), write_products(first, second, layout)
        is_digit = products < TIMES
        assert (sums[is_digit] % 10 == products[is_digit]).all()
        assert (sums[~is_digit] == 0).all()
    # 12 * 34: units 2*4 = 8; tens 1*4 + 2*3 = 10; hundreds 1*3 + 1 carried = 4
    assert write_column_sums(numbers(12), numbers(34), PLAIN).tolist() == [[8, 10, 4, 0, 0]]


def split_data() -> ProductData:
    splits = split_pairs(resolve(Config, {}).data, seed=0)
    return ProductData(splits.train, PLAIN, column_sums=True)


def test_a_batch_depends_on_its_indices_and_its_key_alone() -> None:
    data, indices = split_data(), torch.arange(64)
    state = torch.get_rng_state()
    first, again = (data.gather(indices, BatchKey(0, 1, 2)) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = data.gather(indices, BatchKey(0, 1, 3))
    assert not torch.equal(first["source"], other["source"])
    assert torch.equal(first["target"], other["target"])
    assert torch.equal(torch.get_rng_state(), state)


def test_both_orders_of_a_pair_are_seen() -> None:
    data = ProductData(Pairs(numbers(3), numbers(40)), PLAIN, column_sums=False)
    seen = {tuple(data.gather(torch.tensor([0]), BatchKey(0, 0, i))["source"][0].tolist()) for i in range(32)}
    assert seen == {tuple(write("3*40")), tuple(write("40*3"))}


def test_batches_hold_the_right_products() -> None:
    data = split_data()
    batch = data.gather(torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:500], BatchKey(0, 0, 0))
    for source, target in zip(batch["source"].tolist(), batch["target"].tolist(), strict=True):
        text = "".join("0123456789*."[token] for token in source).rstrip(".")
        a, b = map(int, text.split("*"))
        assert target == write(f"{str(a * b)[::-1]}$")


def test_held_out_problems_are_both_orders_and_squares_once() -> None:
    held_out = HeldOut.of(Pairs(numbers(3, 5, 12), numbers(40, 5, 13)), PLAIN)
    assert sorted(held_out.source.tolist()) == sorted(map(write, ["3*40", "40*3", "5*5", "12*13", "13*12"]))
    kinds = {
        tuple(source): held_out.digits[kind]
        for source, kind in zip(held_out.source.tolist(), held_out.combination.tolist(), strict=True)
    }
    assert kinds[tuple(write("40*3"))] == kinds[tuple(write("3*40"))] == (1, 2)
    assert kinds[tuple(write("5*5"))] == (1, 1)
