"""`python -m tests.bench.log_cost`: microseconds of the training thread for a step that logs five scalars."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from engine.train.figures import StepFigures
from engine.train.metrics import MetricsWriter
from tests.bench.report import emit, missing, quartiles, quiet, skip

BAR_US = 20.0
_STEPS = 100
_LOG_EVERY = 10
_NAMES = ("train/loss", "train/grad_norm", "train/lr", "train/accuracy", "train/skipped")
_NOTHING = "reading the clocks"
Log = Callable[[int, dict[str, float]], None]


def _heats_writer(folder: Path) -> Log:
    writer = MetricsWriter(folder / "metrics.jsonl", folder / "heats")
    return lambda step, figures: writer.log(step, figures)


def _heats_step(folder: Path) -> Log:
    """As the loop does it: scalar tensors are kept each step and read each tenth; every row is written."""
    writer = MetricsWriter(folder / "metrics-step.jsonl", folder / "heats-step")
    kept = StepFigures(torch.device("cpu"))

    def log(step: int, figures: dict[str, float]) -> None:
        kept.add(step, _TENSORS)
        if step % _LOG_EVERY == 0:
            for row in kept.read():
                writer.log(row.step, row.figures, moment=row.moment, tensorboard=row.step == step)

    return log


_TENSORS: dict[str, float | torch.Tensor] = {name: torch.tensor(0.5) for name in _NAMES}


def _tensorboard(folder: Path) -> Log:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "summary"))

    def log(step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, step)

    return log


def _wandb(folder: Path) -> Log:
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_CONSOLE": "off"}
    import wandb

    run = wandb.init(dir=str(folder), project="bench")
    return lambda step, figures: run.log(figures, step=step)


_PEERS: dict[str, tuple[Callable[[Path], Log], str]] = {
    "SummaryWriter.add_scalar x 5": (_tensorboard, "tensorboard"),
    "wandb offline run.log": (_wandb, "wandb"),
}


def _time(log: Log, first: int, work: torch.Tensor) -> tuple[float, float]:
    """Wall and CPU microseconds of this thread a step, over `_LOG_EVERY` steps; other threads work meanwhile."""
    wall = cpu = 0.0
    for step in range(first, first + _LOG_EVERY):
        _step_of_about_a_millisecond(work)
        figures = dict.fromkeys(_NAMES, 0.1 * step)
        began, began_cpu = time.perf_counter(), time.thread_time()
        log(step, figures)
        cpu += time.thread_time() - began_cpu
        wall += time.perf_counter() - began
    return 1e6 * wall / _LOG_EVERY, 1e6 * cpu / _LOG_EVERY


def _step_of_about_a_millisecond(work: torch.Tensor) -> None:
    for _ in range(4):
        torch.mm(work, work)


def main() -> None:
    """Measure all in turns and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    work = torch.randn(256, 256)
    with tempfile.TemporaryDirectory(prefix="heats-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        logs: dict[str, Log] = {_NOTHING: lambda step, figures: None}
        logs |= {"heats_writer": _heats_writer(folder), "heats_step": _heats_step(folder)}
        for peer, (make, module) in _PEERS.items():
            why = missing(module)
            if why:
                skip(f"log_cost/{peer}", why)
            else:
                logs[peer] = make(folder)
        results: dict[str, list[tuple[float, float]]] = {name: [] for name in logs}
        for number in range(rounds + 3):
            for name, log in logs.items():
                start = number * _STEPS
                measured = [_time(log, first, work) for first in range(start, start + _STEPS, _LOG_EVERY)]
                if number >= 3:  # the first rounds import, open files and warm caches
                    results[name] += measured[1:]
        clock_wall, clock_cpu = (quiet(list(values)) for values in zip(*results.pop(_NOTHING), strict=True))
        walls = {name: [wall - clock_wall for wall, _ in pairs] for name, pairs in results.items()}
        cpus = {name: [cpu - clock_cpu for _, cpu in pairs] for name, pairs in results.items()}
        for peer in [name for name in logs if name in _PEERS]:
            for ours in ("heats_writer", "heats_step"):
                emit(
                    f"log_cost/{ours}", quiet(walls[ours]), "us/step", peer, quiet(walls[peer]),
                    quartiles=quartiles(walls[ours]), peer_quartiles=quartiles(walls[peer]),
                    cpu=quiet(cpus[ours]), peer_cpu=quiet(cpus[peer]), bar=BAR_US,
                )  # fmt: skip
        if len(walls) == 2:
            for ours in walls:
                emit(f"log_cost/{ours}", quiet(walls[ours]), "us/step", cpu=quiet(cpus[ours]), bar=BAR_US)
        os._exit(_end(folder))


def _end(folder: Path) -> int:
    """The folder goes; what writers still want to say at exit doesn't matter."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    main()
