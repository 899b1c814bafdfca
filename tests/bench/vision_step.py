"""`python -m tests.bench.vision_step`: images a second on the models of the tasks on pictures, against peers."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.bench.report import emit, median, quiet, skip
from tests.bench.turns import Loop, Turn, names_of
from tests.bench.vision_loops import BATCH, LOOPS, MODELS, is_there

_TURN = Turn(warmup=40, skip=10, steps=40)


def measure(model: str, names: list[str], rounds: int) -> None:
    """All loops with one model, in turns; the bare loop is what the others are compared with."""
    with tempfile.TemporaryDirectory(prefix="heats-bench-") as folder:
        loops = [Loop(name, model, _TURN, Path(folder), "tests.bench.vision_loops") for name in names]
        for _ in range(rounds):
            for loop in loops:
                loop.take_turn()
        for loop in loops:
            loop.end()
    base = _images_a_second(loops[0])
    for loop in loops[1:]:
        cpu = [result.cpu for result in loop.results]
        ratios = [
            median(its.chunks) / median(mine.chunks) for mine, its in zip(loop.results, loops[0].results, strict=True)
        ]
        emit(
            f"vision_step/{model}/{loop.name}", _images_a_second(loop), "images/s", peer="bare", peer_value=base,
            paired_ratio=median(ratios), cpu_ms=median(cpu), bare_cpu_ms=median([r.cpu for r in loops[0].results]),
            batch=BATCH, rounds=rounds,
        )  # fmt: skip


def _images_a_second(loop: Loop) -> float:
    return 1e3 * BATCH / quiet([value for result in loop.results for value in result.chunks])


def main() -> None:
    """Measure with every model that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--model", choices=list(MODELS), action="append")
    parser.add_argument("--loop", choices=list(LOOPS), action="append", help="beside bare; all without it")
    arguments = parser.parse_args()
    names = names_of(LOOPS, arguments.loop or (), "vision_step")
    for model in arguments.model or list(MODELS):
        if is_there(model):
            measure(model, names, arguments.rounds)
        else:
            skip(f"vision_step/{model}", f"{MODELS[model].package} is not part of this checkout")


if __name__ == "__main__":
    main()
