"""From paired values to a word: confirmed, rejected, inconclusive or identical. Pure; the runs are read elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from engine.study import statistics
from engine.study.statistics import Interval, Sample, SignFlip

LEAST_SEEDS = 3
"""By chance alone "all of B beat all of A" happens in 1 of 6 studies with two seeds, in 1 of 20 with three."""

NOT_COUNTED = "not all runs can be counted"
"""How the reason of a verdict begins that is barred."""


class Word(StrEnum):
    """What a study's data says of its hypothesis."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"
    IDENTICAL = "identical"


@dataclass(frozen=True)
class Hypothesis:
    """`better` beats `than` in a metric by at least `by` (in the metric's own unit)."""

    better: str
    than: str
    metric: str
    mode: Literal["min", "max"]
    by: float = 0.0

    def sentence(self) -> str:
        """The claim in words."""
        margin = f" by at least {self.by:g}" if self.by else ""
        direction = "higher" if self.mode == "max" else "lower"
        return f"{self.better} has a {direction} {self.metric} than {self.than}{margin}"


@dataclass(frozen=True)
class Evidence:
    """What is known for one hypothesis: each arm's values by seed, and what stands in the way of a verdict."""

    hypothesis: Hypothesis
    better: Mapping[int, float]
    than: Mapping[int, float]
    identical_seeds: frozenset[int] = frozenset()
    """Seeds whose two runs are equal to the last bit in all metric series and final weights."""
    obstacles: tuple[str, ...] = ()
    """Failed, suspect or unfinished cells, or cells of different commits: each bars a verdict unless allowed."""


@dataclass(frozen=True)
class Comparison:
    """The verdict on one hypothesis, and everything that it rests on. Differences: positive is for the hypothesis."""

    hypothesis: Hypothesis
    word: Word
    why: str
    better: Sample
    than: Sample
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    mean: float | None = None
    interval: Interval | None = None
    p: float | None = None
    """Two-sided, of the t test against the margin; adjusted by Holm where there are several comparisons."""
    equivalence_p: float | None = None
    sign_flip: SignFlip | None = None
    bootstrap: Interval | None = None
    effect_size: float | None = None
    seeds_needed: int | None = None
    notes: tuple[str, ...] = ()


def judge(
    evidence: Sequence[Evidence], confidence: float = statistics.CONFIDENCE, *, look_ahead: bool = True
) -> list[Comparison]:
    """The verdicts of a study's hypotheses, corrected together (Holm).

    The paired t interval decides: beyond the margin is confirmed; all of it short of the margin, or a difference shown
    to lie within plus or minus the margin, is rejected. Runs equal to the last bit in every pair are identical,
    which needs no statistics.

    Args:
        evidence: one item a hypothesis.
        confidence: of the intervals; 1 less this is the level of the tests.
        look_ahead: also say how many seeds would likely settle what is open, which takes some milliseconds.
    """
    differences = [_differences(item) for item in evidence]
    testable = [index for index, found in enumerate(differences) if len(found) >= LEAST_SEEDS]
    margins = statistics.holm([statistics.t_test(differences[i], evidence[i].hypothesis.by) for i in testable])
    equals = statistics.holm([statistics.equivalence_p(differences[i], evidence[i].hypothesis.by) for i in testable])
    p_values = dict(zip(testable, margins, strict=True))
    equal_values = dict(zip(testable, equals, strict=True))
    return [
        _compare(item, differences[i], p_values.get(i), equal_values.get(i), len(testable), confidence, look_ahead)
        for i, item in enumerate(evidence)
    ]


def _differences(item: Evidence) -> list[float]:
    sign = 1.0 if item.hypothesis.mode == "max" else -1.0
    return [sign * (item.better[seed] - item.than[seed]) for seed in _paired(item)]


def _paired(item: Evidence) -> list[int]:
    """Seeds with a finite value on both sides."""
    both = sorted(item.better.keys() & item.than.keys())
    return [seed for seed in both if math.isfinite(item.better[seed]) and math.isfinite(item.than[seed])]


def _compare(
    item: Evidence,
    differences: list[float],
    p: float | None,
    equal_p: float | None,
    comparisons: int,
    confidence: float,
    look_ahead: bool,
) -> Comparison:
    seeds = _paired(item)
    alpha = 1 - confidence
    hypothesis = item.hypothesis
    word, why = _word(item, seeds, differences, p, equal_p, alpha)
    several = len(differences) >= 2
    notes = list(item.obstacles)
    unpaired = sorted((item.better.keys() | item.than.keys()) - set(seeds))
    if unpaired:
        notes.append(f"without a pair of values: seeds {', '.join(map(str, unpaired))}")
    if comparisons > 1:
        notes.append(f"p values are corrected for {comparisons} comparisons (Holm)")
    ahead = look_ahead and word is Word.INCONCLUSIVE
    level = alpha / max(1, comparisons)  # the first step of Holm's correction: no fewer seeds than it may take
    needed = statistics.seeds_needed(differences, hypothesis.by, level) if ahead else None
    if needed is not None and needed > len(differences):
        why += f"; about {needed} seeds an arm would likely settle it ({needed - len(differences)} more)"
    elif ahead and len(differences) >= LEAST_SEEDS and needed is None:
        why += "; even 1,000 seeds would hardly settle it at this margin"
    return Comparison(
        hypothesis=hypothesis,
        word=word,
        why=why,
        better=statistics.describe([value for value in item.better.values() if math.isfinite(value)], confidence),
        than=statistics.describe([value for value in item.than.values() if math.isfinite(value)], confidence),
        seeds=tuple(seeds),
        differences=tuple(differences),
        mean=sum(differences) / len(differences) if differences else None,
        interval=statistics.t_interval(differences, confidence) if several else None,
        p=p,
        equivalence_p=equal_p if hypothesis.by > 0 else None,
        sign_flip=statistics.sign_flip_test(differences) if differences else None,
        bootstrap=statistics.bootstrap_interval(differences, confidence),
        effect_size=statistics.effect_size(differences),
        seeds_needed=needed,
        notes=tuple(notes),
    )


def _word(
    item: Evidence, seeds: list[int], differences: list[float], p: float | None, equal_p: float | None, alpha: float
) -> tuple[Word, str]:
    hypothesis = item.hypothesis
    if item.obstacles:
        return Word.INCONCLUSIVE, f"{NOT_COUNTED}: {item.obstacles[0]}"
    if seeds and item.identical_seeds.issuperset(seeds):
        return Word.IDENTICAL, (
            f"in {_pairs(len(seeds), 'all ')} every metric series and all final weights are equal to the last bit: "
            "the factor has no effect"
        )
    if len(differences) < LEAST_SEEDS:
        return (
            Word.INCONCLUSIVE,
            f"too few: {_pairs(len(differences))} of runs; {LEAST_SEEDS} are the least",
        )
    assert p is not None
    assert equal_p is not None
    mean = sum(differences) / len(differences)
    margin = f"the margin of {hypothesis.by:g}" if hypothesis.by else "zero"
    if p <= alpha and mean > hypothesis.by:
        return Word.CONFIRMED, f"the interval of the paired difference lies above {margin}"
    if p <= alpha and mean < hypothesis.by:
        return Word.REJECTED, f"the interval of the paired difference lies below {margin}"
    if hypothesis.by > 0 and equal_p <= alpha:
        return Word.REJECTED, f"the difference is shown to lie within plus or minus {hypothesis.by:g}"
    if statistics.t_test(differences, hypothesis.by) <= alpha:
        return Word.INCONCLUSIVE, (
            f"the interval of the paired difference leaves out {margin}, but among several comparisons that happens by "
            f"chance too often (p {p:.3g} after Holm's correction)"
        )
    return Word.INCONCLUSIVE, f"the interval of the paired difference holds {margin}"


def _pairs(count: int, several: str = "") -> str:
    return "1 pair" if count == 1 else f"{several}{count} pairs"
