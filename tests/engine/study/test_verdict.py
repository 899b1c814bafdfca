"""The four words, and when they are refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from engine.study.verdict import Comparison, Evidence, Hypothesis, Word, judge


def evidence(differences: list[float], by: float = 0.0, mode: Any = "max", **facts: Any) -> Evidence:
    """Two arms whose values differ so, for the better where positive."""
    sign = 1.0 if mode == "max" else -1.0
    than = {seed: 0.5 + 0.01 * seed for seed in range(len(differences))}
    better = {seed: than[seed] + sign * difference for seed, difference in enumerate(differences)}
    return Evidence(Hypothesis("new", "old", "val/score", mode, by), better, than, **facts)


def verdict(*words: Any, **facts: Any) -> Comparison:
    return judge([evidence(*words, **facts)])[0]


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_clear_gain_is_confirmed(mode: str) -> None:
    found = verdict([0.10, 0.12, 0.11, 0.09, 0.10], mode=mode)
    assert found.word is Word.CONFIRMED
    assert found.mean == pytest.approx(0.104)
    assert found.interval is not None
    assert found.interval.lower > 0


def test_a_gain_below_the_margin_is_rejected_though_it_is_real() -> None:
    found = verdict([0.010, 0.012, 0.011, 0.009, 0.010], by=0.05)
    assert found.word is Word.REJECTED


def test_a_clear_loss_is_rejected() -> None:
    assert verdict([-0.10, -0.12, -0.11, -0.09, -0.10]).word is Word.REJECTED


def test_equivalence_within_the_margin_is_rejected() -> None:
    found = verdict([0.03, -0.02, 0.02, -0.03, 0.03], by=0.04)
    assert found.interval is not None
    assert found.interval.upper > 0.04  # the 95 % interval alone would not say so
    assert found.word is Word.REJECTED
    assert "within plus or minus 0.04" in found.why


def test_an_interval_that_holds_the_margin_is_inconclusive_and_says_how_many_seeds_more() -> None:
    found = verdict([0.10, -0.02, 0.06, -0.04, 0.08])
    assert found.word is Word.INCONCLUSIVE
    assert found.seeds_needed is not None
    assert f"about {found.seeds_needed} seeds" in found.why


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_pairs_are_never_better_than_inconclusive(count: int) -> None:
    found = verdict([0.5] * count)
    assert found.word is Word.INCONCLUSIVE
    assert "3 are the least" in found.why


def test_bits_that_are_equal_in_every_pair_need_no_statistics() -> None:
    found = verdict([0.0], identical_seeds=frozenset({0}))
    assert found.word is Word.IDENTICAL


def test_bits_that_are_equal_in_some_pairs_only_are_not_identical() -> None:
    assert verdict([0.0, 0.0, 0.1], identical_seeds=frozenset({0, 1})).word is Word.INCONCLUSIVE


def test_equal_values_of_runs_that_differ_are_not_identical() -> None:
    found = verdict([0.0, 0.0, 0.0], by=0.01)
    assert found.word is Word.REJECTED  # equivalent, which is weaker


def test_what_stands_in_the_way_bars_every_word() -> None:
    found = verdict([0.10, 0.12, 0.11], obstacles=("failed: new/3",))
    assert found.word is Word.INCONCLUSIVE
    assert "failed: new/3" in found.why
    assert "failed: new/3" in found.notes


def test_a_seed_without_a_finite_value_on_both_sides_is_named() -> None:
    item = evidence([0.1, 0.11, 0.12, 0.1])
    better = dict(item.better) | {1: math.nan}
    found = judge([Evidence(item.hypothesis, better, item.than)])[0]
    assert found.seeds == (0, 2, 3)
    assert any("seeds 1" in note for note in found.notes)


def test_several_comparisons_are_corrected_together() -> None:
    alone = verdict([0.10, 0.02, 0.09, 0.03, 0.12])
    assert alone.word is Word.CONFIRMED
    noise = [evidence([0.1, -0.1, 0.05, -0.06, 0.01]) for _ in range(9)]
    among = judge([evidence([0.10, 0.02, 0.09, 0.03, 0.12]), *noise])[0]
    assert among.p is not None
    assert alone.p is not None
    assert among.p == pytest.approx(10 * alone.p)
    assert among.word is Word.INCONCLUSIVE
    assert any("10 comparisons" in note for note in among.notes)


def test_the_claim_reads_as_a_sentence() -> None:
    assert Hypothesis("a", "b", "val/loss", "min", 0.1).sentence() == "a has a lower val/loss than b by at least 0.1"


def test_one_claim_over_several_arms_is_corrected_and_judged_arm_by_arm() -> None:
    clear, weak = [0.30, 0.31, 0.29, 0.30, 0.32], [0.10, 0.02, 0.09, 0.03, 0.12]
    noise = [0.1, -0.1, 0.05, -0.06, 0.01]
    found = judge([evidence(clear), evidence(weak), evidence(noise)])
    assert [item.word for item in found] == [Word.CONFIRMED, Word.CONFIRMED, Word.INCONCLUSIVE]
    alone = [judge([evidence(values)])[0].p for values in (clear, weak, noise)]
    assert all(p is not None for p in alone)
    assert [item.p for item in found] == pytest.approx([3 * alone[0], 2 * alone[1], alone[2]])  # type: ignore[operator]


def test_a_comparison_with_too_few_pairs_takes_no_part_in_the_correction() -> None:
    both = judge([evidence([0.10, 0.02, 0.09, 0.03, 0.12]), evidence([0.1, 0.2])])
    assert [item.word for item in both] == [Word.CONFIRMED, Word.INCONCLUSIVE]
    assert both[0].p == judge([evidence([0.10, 0.02, 0.09, 0.03, 0.12])])[0].p
    assert both[1].p is None


def test_an_arm_with_two_seeds_only_bars_its_claim_and_unequal_seeds_are_named() -> None:
    item = evidence([0.10, 0.12, 0.11, 0.09, 0.10])
    few = Evidence(item.hypothesis, {seed: item.better[seed] for seed in (0, 1)}, item.than)
    found = judge([few])[0]
    assert found.word is Word.INCONCLUSIVE
    assert "too few: 2 pairs of runs" in found.why
    assert "without a pair of values: seeds 2, 3, 4" in found.notes
    assert len(found.than.values) == 5  # each arm's own figures are told in full
    four = Evidence(item.hypothesis, {seed: item.better[seed] for seed in (0, 1, 2, 4)}, item.than)
    assert (judge([four])[0].word, judge([four])[0].seeds) == (Word.CONFIRMED, (0, 1, 2, 4))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_not_finite_counts_in_no_mean(bad: float) -> None:
    item = evidence([0.10, 0.12, 0.11, 0.09])
    found = judge([Evidence(item.hypothesis, dict(item.better) | {0: bad}, item.than)])[0]
    assert found.seeds == (1, 2, 3)
    assert all(math.isfinite(value) for value in (found.better.mean, found.mean or 0.0))
    assert found.word is Word.CONFIRMED
    assert any("seeds 0" in note for note in found.notes)


def test_ties_without_a_margin_settle_nothing_but_all_equal_gains_do() -> None:
    assert verdict([0.0, 0.0, 0.0, 0.0]).word is Word.INCONCLUSIVE
    gains = judge(
        [Evidence(Hypothesis("a", "b", "m", "max"), dict.fromkeys(range(3), 1.5), dict.fromkeys(range(3), 1.0))]
    )
    assert gains[0].word is Word.CONFIRMED
    exact = Evidence(Hypothesis("a", "b", "m", "max", 0.5), dict.fromkeys(range(3), 1.5), dict.fromkeys(range(3), 1.0))
    assert judge([exact])[0].word is Word.INCONCLUSIVE  # right on the margin is neither beyond nor short of it
    some = verdict([0.0, 0.0, 0.1, 0.0])
    assert some.word is Word.INCONCLUSIVE
    assert some.sign_flip is not None
    assert some.sign_flip.p == 1.0


def test_identical_runs_need_every_pair_and_no_obstacle() -> None:
    same = frozenset({0, 1, 2})
    assert verdict([0.0, 0.0, 0.0], identical_seeds=same).word is Word.IDENTICAL
    barred = verdict([0.0, 0.0, 0.0], identical_seeds=same, obstacles=("unfinished: new/3 (live)",))
    assert barred.word is Word.INCONCLUSIVE
