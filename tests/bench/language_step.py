"""`python -m tests.bench.language_step`: tokens a second of the tasks on text, against Hugging Face's Trainer."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.bench.language_loops import BATCH, BLOCK, LOOPS, TOKENS
from tests.bench.report import emit, median, missing, quiet, skip
from tests.bench.turns import Loop, Turn

_TURN = Turn(warmup=20, skip=5, steps=20)


def measure(size: str, names: list[str], rounds: int) -> None:
    """All loops with one size of model, in turns; the bare loop is what the others are compared with."""
    with tempfile.TemporaryDirectory(prefix="heats-bench-") as folder:
        loops = [Loop(name, size, _TURN, Path(folder), "tests.bench.language_loops") for name in names]
        for _ in range(rounds):
            for loop in loops:
                loop.take_turn()
        for loop in loops:
            loop.end()
    by_name = {loop.name: loop for loop in loops}
    base = by_name["bare"]
    for loop in loops[1:]:
        own = "conditional_transformers" if loop.name.startswith("conditional") else "transformers"
        peers = [peer for peer in (base, by_name.get(own)) if peer is not None and peer is not loop]
        for peer in peers:
            ratios = [
                median(its.chunks) / median(mine.chunks) for mine, its in zip(loop.results, peer.results, strict=True)
            ]
            emit(
                f"language_step/{size}/{loop.name}", _tokens_a_second(loop), "tokens/s", peer=peer.name,
                peer_value=_tokens_a_second(peer), paired_ratio=median(ratios),
                cpu_ms=median([result.cpu for result in loop.results]),
                peer_cpu_ms=median([result.cpu for result in peer.results]), batch=BATCH, block=BLOCK, rounds=rounds,
            )  # fmt: skip


def _tokens_a_second(loop: Loop) -> float:
    return 1e3 * TOKENS / quiet([value for result in loop.results for value in result.chunks])


def main() -> None:
    """Measure with every loop that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--size", choices=["nano", "tiny", "small"], action="append")
    parser.add_argument("--loop", choices=list(LOOPS), action="append", help="beside bare; all without it")
    arguments = parser.parse_args()
    names = ["bare"]
    for name, (_, module) in LOOPS.items():
        if name == "bare" or (arguments.loop and name not in arguments.loop):
            continue
        why = missing(module) if module else None
        if why:
            skip(f"language_step/{name}", why)
        else:
            names.append(name)
    for size in arguments.size or ["nano", "tiny"]:
        measure(size, names, arguments.rounds)


if __name__ == "__main__":
    main()
