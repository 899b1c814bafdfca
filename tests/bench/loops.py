"""`python -m tests.bench.loops NAME SIZE ...`: one loop in a process of its own, told by a clock when to run."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from tests.bench.turns import Clock, LoopFunction, run_alone
from tests.bench.workload import (
    BATCH,
    ENDLESS,
    MAX_NORM,
    MIN_LR_RATIO,
    PEAK_LR,
    WEIGHT_DECAY,
    Batches,
    build_data,
    build_model,
    build_optimizer,
    cosine,
    loss_of,
)


def bare(clock: Clock, size: str, folder: Path) -> None:
    """What one would write by hand."""
    model = build_model(size)
    optimizer = build_optimizer(model)
    parameters = list(model.parameters())
    model.train()
    for step, (tokens, targets) in enumerate(Batches(size)):
        clock.tick()
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model, tokens, targets)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, MAX_NORM)
        rate = PEAK_LR * cosine(step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        if step % 10 == 0:
            loss.item()


def heats(
    clock: Clock, size: str, folder: Path, log_every: int = 10, save_every: int = 0, deterministic: bool = False
) -> None:
    """The engine's loop, with a real recorder that writes metrics, events and TensorBoard files."""
    from engine.config.resolve import config_hash, dump_yaml, resolve
    from engine.config.sections import TaskConfig
    from engine.store.create import claim_attempt, create_run
    from engine.store.paths import create_store
    from engine.train.control import Control
    from engine.train.events import EventLog
    from engine.train.loop import train
    from engine.train.recorder import Recorder
    from engine.train.task import Batch, BatchKey, LossTerms, StepContext, Task, TrainingData

    class Data:
        def __init__(self) -> None:
            self.tokens, self.targets = build_data(size)

        def __len__(self) -> int:
            return len(self.tokens)

        def gather(self, indices: Tensor, key: BatchKey) -> Batch:
            return {"tokens": self.tokens[indices], "targets": self.targets[indices]}

    class BenchTask(Task[TaskConfig]):
        def build_model(self) -> nn.Module:
            return build_model(size)

        def build_data(self) -> TrainingData:
            return Data()

        def loss(self, model: nn.Module, batch: Batch, context: StepContext) -> LossTerms:
            clock.tick()
            return {"cross_entropy": (1.0, loss_of(model, batch["tokens"], batch["targets"]))}

        def evaluate(self, model: nn.Module, split: str, device: torch.device) -> dict[str, float]:
            return {}

    options = {
        "train.batch_size": BATCH, "train.max_steps": ENDLESS, "train.log_every": log_every, "train.device": "cpu",
        "train.save_every": save_every, "train.deterministic": deterministic, "train.num_threads": 1,
        "optim.lr": PEAK_LR, "optim.min_lr_ratio": MIN_LR_RATIO, "optim.weight_decay": WEIGHT_DECAY,
        "schedule.warmup_steps": 0, "clip.max_norm": MAX_NORM, "evaluation.every": 0,
    }  # fmt: skip
    config = resolve(TaskConfig, options)
    store = create_store(folder / f"store-{log_every}-{save_every}-{deterministic}-{size}")
    run = create_run(store, task="bench", slug=size, config_yaml=dump_yaml(config), config_hash=config_hash(config))
    attempt = claim_attempt(run)
    control = Control(run, attempt.number)
    recorder = Recorder(run, attempt, config, control, EventLog(attempt.events))
    clock.settle = recorder.metrics.flush
    train(config, BenchTask(config), recorder)


def heats_log_every_step(clock: Clock, size: str, folder: Path) -> None:
    """heats, its figures read at each step."""
    heats(clock, size, folder, log_every=1)


def heats_deterministic(clock: Clock, size: str, folder: Path) -> None:
    """heats as it is by default, with deterministic kernels (the bare loop has them off)."""
    heats(clock, size, folder, deterministic=True)


def _fabric(clock: Clock, size: str, folder: Path) -> None:
    from tests.bench import lightning_loops

    lightning_loops.fabric(clock, size)


def _lightning(clock: Clock, size: str, folder: Path) -> None:
    from tests.bench import lightning_loops

    lightning_loops.trainer(clock, size, None)


def _lightning_logging(clock: Clock, size: str, folder: Path) -> None:
    from tests.bench import lightning_loops

    lightning_loops.trainer(clock, size, folder)


def _transformers(clock: Clock, size: str, folder: Path) -> None:
    from tests.bench import transformers_loop

    transformers_loop.trainer(clock, size, folder, logging=False)


def _transformers_logging(clock: Clock, size: str, folder: Path) -> None:
    from tests.bench import transformers_loop

    transformers_loop.trainer(clock, size, folder, logging=True)


LOOPS: dict[str, tuple[LoopFunction, str | None]] = {
    "bare": (bare, None),
    "bare_again": (bare, None),
    "heats": (heats, None),
    "heats_log_every_step": (heats_log_every_step, None),
    "heats_deterministic": (heats_deterministic, None),
    "fabric": (_fabric, "lightning"),
    "lightning": (_lightning, "lightning"),
    "lightning_logging": (_lightning_logging, "lightning"),
    "transformers": (_transformers, "transformers"),
    "transformers_logging": (_transformers_logging, "transformers"),
}
"""By name, the loop and the module that it needs. `bare_again` shows how much of a difference is noise."""


if __name__ == "__main__":
    run_alone(sys.argv[1:], LOOPS)
