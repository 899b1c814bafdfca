"""`python -m tests.bench.checkpoint_stall`: how long a save stops training, against writing the same bytes once."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.store.paths import RunPaths
from engine.train import checkpoint
from tests.bench.report import emit, median, quartiles

BAR = 1.2
_WIDTH = 1024
_MILLION = 1_000_000


def build(parameters: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Square layers of about that many parameters in all, and AdamW after one step."""
    model = nn.Sequential(*[nn.Linear(_WIDTH, _WIDTH) for _ in range(max(1, parameters // (_WIDTH * _WIDTH)))])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    return model, optimizer


def time_ours(run: RunPaths, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[float, int]:
    """Seconds of a save, and the bytes that it wrote."""
    about: dict[str, Any] = {"attempt": 1, "reason": "scheduled", "state": {"step": step}, "settings": {}}
    began = time.perf_counter()
    folder = checkpoint.write(run, step=step, model=model, optimizer=optimizer, **about)
    seconds = time.perf_counter() - began
    size = sum(path.stat().st_size for path in folder.iterdir())
    shutil.rmtree(folder)
    return seconds, size


def time_plain(path: Path, tensors: list[torch.Tensor]) -> float:
    """Seconds to write the same tensors into one file and sync it."""
    began = time.perf_counter()
    with open(path, "wb", buffering=0) as file:
        for tensor in tensors:
            rest = memoryview(tensor.detach().numpy()).cast("B")  # type: ignore[arg-type]
            while rest:
                rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
    seconds = time.perf_counter() - began
    path.unlink()
    return seconds


def main() -> None:
    """Save in turns with plain writes and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--parameters", type=int, default=100 * _MILLION)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; the system's temporary folder without it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model, optimizer = build(arguments.parameters)
    tensors = list(checkpoint.model_tensors(model)[0].values())
    tensors += [tensor for tensor in checkpoint.optimizer_tensors(optimizer, model).values() if tensor.ndim]
    ours: list[float] = []
    plain: list[float] = []
    size = 0
    with tempfile.TemporaryDirectory(prefix="heats-bench-", dir=arguments.folder) as name:
        run = RunPaths(Path(name))
        for number in range(arguments.rounds + 1):
            plain_seconds = time_plain(run.folder / "plain", tensors)
            seconds, size = time_ours(run, number + 1, model, optimizer)
            if number:  # the first round finds a cold disk
                plain.append(plain_seconds)
                ours.append(seconds)
    emit(
        "checkpoint_stall/synchronous", median(ours), "s", "one file, written and fsynced", median(plain),
        ratio=median([mine / its for mine, its in zip(ours, plain, strict=True)]),
        quartiles=quartiles(ours), peer_quartiles=quartiles(plain), megabytes=size / 1e6, bar=BAR,
    )  # fmt: skip


if __name__ == "__main__":
    main()
