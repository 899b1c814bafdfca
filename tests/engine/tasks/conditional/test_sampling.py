"""X_c and X_e: disjoint, of the share that was asked for, evenly placed; and the old sampler as it was."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from engine.tasks.conditional.sampling import Split, SplitRules, boundary_split, given_counts, split

RULES = SplitRules(0.0, 0.4)


def drawn(rules: SplitRules, rows: int, length: int, valid: Tensor | None = None, seed: int = 0) -> Split:
    draws = rules.draws(rows, length, torch.Generator().manual_seed(seed))
    return split(draws, torch.ones(rows, length, dtype=torch.bool) if valid is None else valid, rules)


def block_count(positions: Tensor) -> Tensor:
    return (positions & ~functional.pad(positions[:, :-1], (1, 0))).sum(1)


def pieces(rows: int, length: int, seed: int = 0) -> Tensor:
    """Valid positions in pieces of about a hundred, as documents leave them when their ends are taken for padding."""
    return torch.rand(rows, length, generator=torch.Generator().manual_seed(seed)) > 1 / 101


@pytest.mark.parametrize("length", [7, 64, 1023])
@pytest.mark.parametrize(("low", "high"), [(0.0, 0.4), (0.2, 0.4), (0.6, 0.8), (0.3, 0.3)])
def test_the_realised_share_is_the_configured_one(length: int, low: float, high: float) -> None:
    rules = SplitRules(low, high)
    chance = torch.rand(100_000, 3, generator=torch.Generator().manual_seed(0))
    counts = given_counts(chance, torch.full((100_000,), length), rules)
    assert float(counts.double().mean() / length) == pytest.approx((low + high) / 2, rel=0.01)
    assert int(counts.min()) >= int(low * length)
    assert int(counts.max()) <= -int(-high * length // 1)
    draws = rules.draws(200, length, torch.Generator().manual_seed(1))
    found = split(draws, torch.ones(200, length, dtype=torch.bool), rules)
    assert torch.equal(found.given.sum(1), given_counts(draws, torch.full((200,), length), rules))
    assert torch.equal(found.scored, ~found.given)


def test_a_part_of_the_rest_is_scored() -> None:
    found = drawn(SplitRules(0.2, 0.4, 0.2, 0.4), 1500, 256)
    assert not (found.given & found.scored).any()
    rest = (~found.given).sum(1)
    assert float((found.scored.sum(1) / rest).mean()) == pytest.approx(0.3, rel=0.01)
    assert int(found.scored.sum(1).min()) >= 1


def test_splits_fit_into_what_is_valid_and_lose_nothing() -> None:
    valid = pieces(600, 512)
    for rules in (RULES, SplitRules(0.2, 0.4, 0.2, 0.4), SplitRules(0.0, 1.0)):
        found = drawn(rules, 600, 512, valid)
        assert not ((found.given | found.scored) & ~valid).any()
        assert not (found.given & found.scored).any()
        assert int(found.scored.sum(1).min()) >= 1
    share = drawn(RULES, 600, 512, valid).given.sum() / valid.sum()
    assert float(share) == pytest.approx(0.2, rel=0.05)


def test_places_have_no_direction_and_gaps_are_alike() -> None:
    found = drawn(SplitRules(0.3, 0.3), 40_000, 20).given
    shares = found.float().mean(0)
    assert float((shares - shares.flip(0)).abs().max()) < 0.02
    before = (~found).long().cumprod(1).sum(1).float().mean()
    behind = (~found).flip(1).long().cumprod(1).sum(1).float().mean()
    between = ((~found).sum(1) / (block_count(found) + 1)).mean()  # at most: blocks may touch
    assert float(before) == pytest.approx(float(behind), rel=0.03)
    assert float(before) <= float(between)


def test_a_single_block_stands_anywhere_alike() -> None:
    found = drawn(SplitRules(0.25, 0.25, max_blocks=1), 40_000, 16).given
    starts = torch.bincount(found.long().argmax(1), minlength=16)
    assert int(starts[13:].sum()) == 0
    assert float(((starts[:13] / 40_000) - 1 / 13).abs().max()) < 0.006


def test_the_number_of_blocks_is_bounded_where_that_is_asked_for() -> None:
    found = drawn(dataclasses.replace(RULES, max_blocks=3), 2000, 256)
    assert int(block_count(found.given).max()) == 3
    assert float(found.given.float().mean()) == pytest.approx(0.2, rel=0.03)
    single = drawn(dataclasses.replace(RULES, max_blocks=1), 500, 256)
    assert int(block_count(single.given).max()) == 1


def test_nothing_may_be_given_and_one_is_always_left() -> None:
    assert not drawn(SplitRules(0.0, 0.0), 50, 16).given.any()
    assert bool((drawn(SplitRules(1.0, 1.0), 50, 16).scored.sum(1) == 1).all())


def test_the_old_sampler_starves_and_pieces_feed_it() -> None:
    """What 190 given positions became: about 6 in one piece, about 36 where ends of documents cut it into a dozen."""
    old = dataclasses.replace(RULES, keep_leftovers=False)
    whole, cut = drawn(old, 2000, 1023).given, drawn(old, 2000, 1023, pieces(2000, 1023)).given
    assert int(block_count(whole).max()) <= 1
    assert 5 < float(whole.sum(1).float().mean()) < 7
    assert float(whole.sum(1).float().median()) == 2
    assert 30 < float(cut.sum(1).float().mean()) < 42
    assert 9 < float(block_count(cut).float().mean()) < 12


def test_the_same_numbers_give_the_same_split() -> None:
    for rules in (RULES, SplitRules(0.2, 0.4, 0.2, 0.4, keep_leftovers=False)):
        assert all(map(torch.equal, drawn(rules, 8, 64), drawn(rules, 8, 64)))
        assert not torch.equal(drawn(rules, 8, 64).given, drawn(rules, 8, 64, seed=1).given)


@pytest.mark.parametrize("length", [3, 1023])
def test_the_boundary_is_a_start_and_an_end(length: int) -> None:
    found = boundary_split(3000, length, 0.1, 0.3, torch.Generator().manual_seed(0))
    assert torch.equal(found.scored, ~found.given)
    assert bool((block_count(found.scored) == 1).all())
    assert bool((found.given[:, 0] & found.given[:, -1]).all())
    assert bool(found.scored.any(1).all())
    if length == 1023:
        total = found.given.sum(1)
        assert (int(total.min()), int(total.max())) == pytest.approx((102, 306), abs=2)
        assert float(total.float().mean()) == pytest.approx(0.2 * length, rel=0.01)
        start = found.given.long().cumprod(1).sum(1) / total
        assert float(start.min()) >= 0.19
        assert float(start.max()) <= 0.8
