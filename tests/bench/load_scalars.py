"""`python -m tests.bench.load_scalars`: a million scalars cold and again, beside TensorBoard's EventAccumulator."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench import made_curves
from tests.bench.report import emit, median, missing, skip

_OURS = """
import sys, time
from pathlib import Path
from engine.store.buckets import GrowingCurve
from engine.store.columns import Columns
from engine.store.metrics import RunHistory
from engine.store.paths import RunPaths
began, computed = time.perf_counter(), time.process_time()
history = RunHistory(RunPaths(Path(sys.argv[1])), cached=True)
history.refresh()
count = sum(map(len, history.series.values()))
print(time.perf_counter() - began, time.process_time() - computed, count)
"""
_THEIRS = """
import sys, time
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
began, computed = time.perf_counter(), time.process_time()
found = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
found.Reload()
count = sum(len(found.Scalars(tag)) for tag in found.Tags()["scalars"])
print(time.perf_counter() - began, time.process_time() - computed, count)
"""


def timed(program: str, argument: Path, env: dict[str, str]) -> tuple[float, float, int]:
    """Seconds, seconds of CPU, and how many scalars were read, in a process of its own without its imports."""
    done = subprocess.run(
        [sys.executable, "-c", program, str(argument)], env=os.environ | env, capture_output=True, text=True, check=True
    )
    wall, computed, count = done.stdout.split()
    return float(wall), float(computed), int(count)


def events(folder: Path, steps: int, metrics: int) -> None:
    """The same curves as TensorBoard writes them."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder.mkdir()
    with (folder / "events.out.tfevents.1.bench").open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=1.7e9, file_version="brain.Event:2").SerializeToString())
        for step in range(steps):
            for name in made_curves.NAMES[:metrics]:
                summary = Summary(value=[Summary.Value(tag=name, simple_value=1 / (1 + step))])
                writer.write(Event(wall_time=1.7e9 + step, step=step, summary=summary).SerializeToString())
        writer.flush()


def main() -> None:
    """Wide logs (many metrics a line) and long ones (a line a scalar)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--theirs", type=int, default=100_000, help="how many scalars TensorBoard reads")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="heats-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        peer = None
        why = missing("tensorboard")
        if why is None:
            metrics = len(made_curves.NAMES)
            events(folder / "events", arguments.theirs // metrics, metrics)
            wall, computed, count = timed(_THEIRS, folder / "events", {})
            peer = 1e6 * wall / count
            emit(
                "load_scalars/EventAccumulator, a million", peer, "s", cpu=1e6 * computed / count,
                read=count, load=os.getloadavg()[0],
            )  # fmt: skip
        else:
            skip("load_scalars/EventAccumulator", why)
        for label, steps, metrics in (("50,000 steps of 20", 50_000, 20), ("1,000,000 steps of 1", 1_000_000, 1)):
            log = made_curves.our_run(folder / f"store-{metrics}", steps, metrics)
            run = log.parents[2]
            cold = [
                timed(_OURS, run, {"XDG_CACHE_HOME": str(folder / f"{metrics}-{n}")}) for n in range(arguments.rounds)
            ]
            again = [
                timed(_OURS, run, {"XDG_CACHE_HOME": str(folder / f"{metrics}-{n}")}) for n in range(arguments.rounds)
            ]
            for how, found in (("cold", cold), ("again", again)):
                emit(
                    f"load_scalars/{label}, {how}", median([wall for wall, _, _ in found]), "s",
                    "EventAccumulator, by its rate", peer, cpu=median([computed for _, computed, _ in found]),
                    scalars=found[0][2], log_bytes=log.stat().st_size, load=os.getloadavg()[0],
                )  # fmt: skip


if __name__ == "__main__":
    main()
