"""Checks within and across options: each message names the keys as a user types them."""

from __future__ import annotations

import pytest

from engine.config.resolve import resolve
from engine.errors import HeatsError
from engine.tasks.multiplication.config import Config, count_pairs


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"data.min_digits": 3, "data.max_digits": 2}, ["data.min_digits (3)", "data.max_digits (2)", "swap them"]),
        ({"data.max_digits": 1}, ["data.min_digits (1)", "data.max_digits (1)", "45 unordered pairs", "raise"]),
        ({"data.max_digits": 10}, ["data.max_digits (10)", "above 9"]),
        ({"data.max_pairs": 99}, ["data.max_pairs (99)", "at least 100"]),
        ({"model.num_heads": 7}, ["model.num_heads (7)", "model.d_model (384)"]),
        ({"clip.lower": 6.0}, ["clip.lower (6)", "clip.upper (5)"]),
    ],
)
def test_values_that_do_not_fit_together_are_refused_by_their_keys(values: dict[str, object], words: list[str]) -> None:
    with pytest.raises(HeatsError) as caught:
        resolve(Config, values)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.batch_size", 0),
        ("train.max_steps", -1),
        ("optim.lr", 0),
        ("optim.lr", "nan"),
        ("optim.lr", "inf"),
        ("model.dropout", 1.5),
        ("model.dropout", "nan"),
        ("train.save_every", -1),
        ("seed", -1),
        ("guard.max_skipped", 0),
    ],
)
def test_values_out_of_range_are_refused(key: str, value: object) -> None:
    with pytest.raises(HeatsError, match=rf"`{key}` = "):
        resolve(Config, {key: value})


@pytest.mark.parametrize(("least", "most", "pairs"), [(1, 1, 45), (1, 2, 4950), (2, 2, 4095), (2, 3, 490545)])
def test_pairs_are_counted_right(least: int, most: int, pairs: int) -> None:
    operands = range(10 ** (least - 1), 10**most)
    assert count_pairs(least, most) == pairs == len(operands) * (len(operands) + 1) // 2


def test_the_slug_names_what_matters_of_the_model() -> None:
    assert resolve(Config, {}).slug() == "latent-d384-l4-n8"
    assert resolve(Config, {"model.kind": "simple", "model.d_model": 16}).slug() == "simple-d16-l4"
