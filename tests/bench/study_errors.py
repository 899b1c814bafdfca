"""How often are verdicts wrong? Simulated studies, no training: false alarms, power, coverage, identical always found.

`python -m tests.bench.study_errors [--draws 10000] [--seeds 5]` prints one line of JSON a figure.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from typing import Any

import numpy as np

from engine.study import statistics
from engine.study.verdict import Evidence, Hypothesis, Word, judge
from tests.bench.report import emit

_EFFECTS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
"""Of the paired difference, in its own standard deviations."""


def main(words: list[str] | None = None) -> int:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args(words)
    started = time.process_time()
    for margin in (0.0, 1.0):
        for effect in _EFFECTS:
            shares = simulate(effect, margin, arguments.seeds, arguments.draws)
            emit("study_confirmed", shares.pop("confirmed"), "share of studies", margin=margin, **shares)
    many = simulate_many(4, arguments.seeds, arguments.draws)
    emit("study_any_false_confirmed", many.pop("any_false_confirmed"), "share of studies", **many)
    same = simulate_identical(arguments.seeds, arguments.draws)
    emit("study_identical_found", same.pop("identical"), "share of studies", **same)
    emit("study_simulation", time.process_time() - started, "CPU s", draws=arguments.draws)
    return 0


def simulate(effect: float, margin: float, seeds: int, draws: int) -> dict[str, Any]:
    """Shares of the words, and how often the interval holds the truth, where the true difference is `effect`."""
    random = np.random.default_rng(round(1000 * effect) + round(10 * margin))
    hypothesis = Hypothesis("new", "old", "val/score", "max", margin)
    words = dict.fromkeys(Word, 0)
    covered = 0
    for _ in range(draws):
        found = judge([_study(hypothesis, random.normal(effect, 1.0, seeds))], look_ahead=False)[0]
        words[found.word] += 1
        assert found.interval is not None
        covered += found.interval.lower <= effect <= found.interval.upper
    shift = effect - margin
    return {
        "effect": effect, "seeds": seeds, "draws": draws,
        **{str(word): count / draws for word, count in words.items()},
        "coverage": covered / draws,
        "expected_power": round(statistics.t_power(shift, 1.0, seeds), 4) if shift > 0 else 0.0,
        "standard_error": round(math.sqrt(0.05 * 0.95 / draws), 4),
    }  # fmt: skip


def simulate_many(comparisons: int, seeds: int, draws: int) -> dict[str, Any]:
    """The chance of even one false `confirmed` among several comparisons with a common rival, none with an effect."""
    random = np.random.default_rng(7)
    alarms = 0
    for _ in range(draws):
        rival = random.normal(0.0, 1.0, seeds)
        items = [
            _study(Hypothesis(f"new{index}", "old", "val/score", "max"), random.normal(0.0, 1.0, seeds) - rival)
            for index in range(comparisons)
        ]
        alarms += any(found.word is Word.CONFIRMED for found in judge(items, look_ahead=False))
    return {"comparisons": comparisons, "seeds": seeds, "draws": draws, "any_false_confirmed": alarms / draws}


def simulate_identical(seeds: int, draws: int) -> dict[str, Any]:
    """Runs equal to the last bit are always found identical, whatever their number."""
    random = np.random.default_rng(8)
    hits = 0
    for _ in range(draws):
        count = int(random.integers(1, seeds + 1))
        values = dict(enumerate(random.normal(0.0, 1.0, count)))
        item = Evidence(Hypothesis("new", "old", "val/score", "max"), values, dict(values), frozenset(values))
        hits += judge([item], look_ahead=False)[0].word is Word.IDENTICAL
    return {"draws": draws, "identical": hits / draws}


def _study(hypothesis: Hypothesis, differences: np.ndarray) -> Evidence:
    than = dict.fromkeys(range(len(differences)), 0.0)
    return Evidence(hypothesis, dict(enumerate(differences.tolist())), than)


if __name__ == "__main__":
    sys.exit(main())
