"""`python -m tests.bench.loop_overhead`: milliseconds that a loop adds to a step, against a bare loop and its peers."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.bench.loops import LOOPS
from tests.bench.report import emit, median, quartiles, quiet
from tests.bench.turns import Loop, Turn, names_of

BAR_MS = 0.05
_TURNS = {"small": Turn(warmup=300, skip=20, steps=100), "medium": Turn(warmup=120, skip=10, steps=50)}


def measure(size: str, names: list[str], rounds: int) -> None:
    """All loops at one size, in turns; the bare loop is the base of the paired differences."""
    with tempfile.TemporaryDirectory(prefix="heats-bench-") as folder:
        loops = [Loop(name, size, _TURNS[size], Path(folder)) for name in names]
        for _ in range(rounds):
            for loop in loops:
                loop.take_turn()
        for loop in loops:
            loop.end()
    base = loops[0]
    for loop in loops[1:]:
        pairs = [(mine, its) for mine, its in zip(loop.results, base.results, strict=True)]
        added = [median(mine.chunks) - median(its.chunks) for mine, its in pairs]
        emit(
            f"loop_overhead/{size}/{loop.name}",
            _quiet(loop),
            "ms/step",
            peer="bare",
            peer_value=_quiet(base),
            added_ms=_quiet(loop) - _quiet(base),
            paired_added_ms=median(added),
            paired_quartiles=quartiles(added),
            paired_added_cpu_ms=median([mine.cpu - its.cpu for mine, its in pairs]),
            median_ms=median([value for result in loop.results for value in result.chunks]),
            rounds=rounds,
            **({"bar_added_ms": BAR_MS} if loop.name.startswith("heats") else {}),
        )


def _quiet(loop: Loop) -> float:
    return quiet([value for result in loop.results for value in result.chunks])


def main() -> None:
    """Measure at both sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--size", choices=list(_TURNS), action="append")
    parser.add_argument("--loop", choices=list(LOOPS), action="append", help="beside bare; all without it")
    arguments = parser.parse_args()
    names = names_of(LOOPS, arguments.loop or (), "loop_overhead")
    for size in arguments.size or list(_TURNS):
        measure(size, names, arguments.rounds)


if __name__ == "__main__":
    main()
