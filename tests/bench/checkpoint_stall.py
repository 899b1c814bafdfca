"""`python -m tests.bench.checkpoint_stall`: how long a save stops training, against writing the same bytes once."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from engine.config.sections import TaskConfig
from engine.store import checkpoints as stored
from engine.store.paths import RunPaths
from engine.train import checkpoint
from engine.train.events import EventLog
from engine.train.saving import Saver
from engine.train.state import TrainState
from tests.bench.report import emit, median, quartiles

BAR = 1.2
BAR_BESIDE = 0.1
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


class State:
    """As much of a training's state as a save asks for."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.model = model
        self.optimizer = optimizer
        self.task = self
        self.step = 0

    def trainable_module(self, model: nn.Module) -> nn.Module:
        return model

    def to_json(self) -> dict[str, Any]:
        return {"step": self.step}


class Steps:
    """Small training steps of about 10 ms, to see what a save beside them costs them."""

    def __init__(self) -> None:
        self._model = nn.Sequential(nn.Linear(512, 512), nn.Tanh(), nn.Linear(512, 512))
        self._input = torch.randn(256, 512)
        self._optimizer = torch.optim.AdamW(self._model.parameters(), fused=True)

    def take(self) -> float:
        """Seconds of one step."""
        began = time.perf_counter()
        self._optimizer.zero_grad()
        self._model(self._input).square().mean().backward()
        self._optimizer.step()
        return time.perf_counter() - began


class Beside:
    """Saves through the writer's thread."""

    def __init__(self, run: RunPaths, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        run.folder.mkdir(exist_ok=True)
        self._run = run
        self._state = State(model, optimizer)
        self._events = EventLog(run.folder / "events.jsonl")
        self._saver = Saver(run, 1, TaskConfig(), self._events, lambda _: None, lambda: None, lambda _: None)
        self._steps = Steps()
        self.first = self._save()  # goes without the kept memory, which is made meanwhile
        self._saver.join()
        for thread in threading.enumerate():
            if thread.name == "checkpoint-memory":
                thread.join()

    def _save(self) -> float:
        self._state.step += 1
        began = time.perf_counter()
        self._saver.save(cast(TrainState, self._state), {}, "scheduled", None)
        return time.perf_counter() - began

    def time(self) -> tuple[float, float, list[float], list[float]]:
        """Seconds of the stall and of the whole save; those of steps without a save, and beside one."""
        without = [self._steps.take() for _ in range(30)]
        began = time.perf_counter()
        stall = self._save()
        beside = []
        while not any(item.step == self._state.step for item in stored.scan(self._run)):
            beside.append(self._steps.take())
        self._saver.join()
        whole = time.perf_counter() - began
        shutil.rmtree(self._run.checkpoints)
        return stall, whole, without, beside


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
    stalls: list[float] = []
    wholes: list[float] = []
    without: list[float] = []
    beside: list[float] = []
    size = 0
    with tempfile.TemporaryDirectory(prefix="heats-bench-", dir=arguments.folder) as name:
        run = RunPaths(Path(name))
        asynchronous = Beside(RunPaths(run.folder / "beside"), model, optimizer)
        for number in range(arguments.rounds + 1):
            plain_seconds = time_plain(run.folder / "plain", tensors)
            seconds, size = time_ours(run, number + 1, model, optimizer)
            stall, whole, steps, steps_beside = asynchronous.time()
            if number:  # the first round finds a cold disk
                plain.append(plain_seconds)
                ours.append(seconds)
                stalls.append(stall)
                wholes.append(whole)
                without += steps
                beside += steps_beside
    facts = {"megabytes": size / 1e6, "load": os.getloadavg()[0]}
    emit(
        "checkpoint_stall/synchronous", median(ours), "s", "one file, written and fsynced", median(plain),
        ratio=median([mine / its for mine, its in zip(ours, plain, strict=True)]),
        quartiles=quartiles(ours), peer_quartiles=quartiles(plain), bar=BAR, **facts,
    )  # fmt: skip
    emit(
        "checkpoint_stall/asynchronous", median(stalls), "s", "a synchronous save", median(ours),
        ratio=median([mine / its for mine, its in zip(stalls, ours, strict=True)]),
        quartiles=quartiles(stalls), peer_quartiles=quartiles(ours), bar=BAR_BESIDE, whole_save=median(wholes),
        first_save=asynchronous.first, **facts,
    )  # fmt: skip
    emit(
        "checkpoint_stall/steps_beside", median(beside), "s", "the same steps without a save", median(without),
        quartiles=quartiles(beside), peer_quartiles=quartiles(without), steps=len(beside), **facts,
    )  # fmt: skip


if __name__ == "__main__":
    main()
