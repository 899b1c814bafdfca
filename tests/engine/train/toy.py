"""A small task with everything that must survive a resume, and a way to train it in this process."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from engine.config.resolve import config_hash, dump_yaml, resolve
from engine.config.sections import ClipSection, Section, TaskConfig
from engine.store.checkpoints import Checkpoint, choose
from engine.store.create import claim_attempt, create_run, write_launch
from engine.store.paths import RunPaths, create_store
from engine.store.records import LaunchRecord
from engine.train.control import Control
from engine.train.events import EventLog
from engine.train.loop import Outcome, train
from engine.train.recorder import Recorder
from engine.train.task import Batch, BatchKey, LossTerms, StepContext, Task

SAMPLES = 48


class ToySection(Section):
    """What goes wrong, and when."""

    poison_from: int = -1
    """The loss is NaN from this step on (-1: never)."""
    poison_to: int = -1
    """... up to before this one."""
    mode: Literal["linear", "conv"] = "linear"
    """Which model."""
    metric: Literal["falling", "rising"] = "falling"
    """Whether the evaluation's `score` falls or rises with the step."""


class ToyConfig(TaskConfig):
    """Options of the toy."""

    toy: ToySection = ToySection()
    clip: ClipSection = ClipSection(kind="dynamic", window=7)


class ToyData:
    """Noise added to fixed samples, from the batch's own generator: augmentation in miniature."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(7)
        self.x = torch.randn(SAMPLES, 2, 4, 4, generator=generator)
        self.y = self.x.flatten(1)[:, :3].sin().sum(1)

    def __len__(self) -> int:
        return SAMPLES

    def gather(self, indices: Tensor, key: BatchKey) -> Batch:
        x = self.x[indices]
        return {"x": x + 0.1 * torch.randn(x.shape, generator=key.generator()), "y": self.y[indices]}


class ToyTask(Task[ToyConfig]):
    """Draws from every generator there is, and counts its own losses."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.calls = 0
        self.evaluations = 0

    def build_model(self) -> nn.Module:
        if self.config.toy.mode == "conv":
            return nn.Sequential(
                nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 1)
            ).to(memory_format=torch.channels_last)
        return nn.Sequential(nn.Flatten(), nn.Linear(32, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 1))

    def build_data(self) -> ToyData:
        return ToyData()

    def loss(self, model: nn.Module, batch: Batch, context: StepContext) -> LossTerms:
        self.calls += 1
        drawn = random.random() + float(np.random.rand()) + float(torch.rand((), generator=context.generator))
        context.figures["train/drawn"] = drawn
        error = (model(batch["x"]).squeeze(1).float() - batch["y"]).square().mean()
        toy = self.config.toy
        if toy.poison_from <= context.step < toy.poison_to:
            error = error * float("nan")
        return {"error": (1.0, error), "size": (0.01 * self.calls, sum(p.square().sum() for p in model.parameters()))}

    def evaluate(self, model: nn.Module, split: str, device: torch.device) -> dict[str, float]:
        self.evaluations += 1
        torch.rand(3)  # a careless task: the loop must not let this change training
        sign = 1 if self.config.toy.metric == "rising" else -1
        return {"loss": float(next(model.parameters()).float().square().mean()), "score": float(sign * self.calls)}

    def state_dict(self) -> dict[str, Any]:
        return {"calls": self.calls}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.calls = state["calls"]


BASE: dict[str, Any] = {
    "train.batch_size": 10,
    "train.max_steps": 24,
    "train.save_every": 6,
    "train.log_every": 4,
    "train.device": "cpu",
    "train.num_threads": 1,
    "evaluation.every": 5,
    "evaluation.best_metric": "val/score",
    "evaluation.best_mode": "max",
    "schedule.warmup_steps": 2,
    "optim.lr": 0.01,
    "checkpoint.keep_last": 50,
}


def make_run(root: Path, values: dict[str, Any] | None = None) -> RunPaths:
    """A run's folder for the toy, without an attempt."""
    config = resolve(ToyConfig, BASE | (values or {}))
    return create_run(
        create_store(root), task="toy", slug="toy", config_yaml=dump_yaml(config), config_hash=config_hash(config)
    )


def train_toy(
    run: RunPaths,
    values: dict[str, Any] | None = None,
    *,
    stop_at: int | None = None,
    from_step: int | None = None,
    accept_settings: bool = False,
) -> tuple[Outcome, ToyTask]:
    """One attempt in this process; later ones resume."""
    config = resolve(ToyConfig, BASE | (values or {}))
    chosen: Checkpoint | None = choose(run, "latest" if from_step is None else str(from_step)).checkpoint
    attempt = claim_attempt(run)
    start = chosen.step if chosen else None
    folder = chosen.folder.name if chosen else None
    record = LaunchRecord(attempt.number, 0.0, "", resumed_from_step=start, resumed_from_checkpoint=folder)
    write_launch(attempt, record)
    task = ToyTask(config)
    recorder = Recorder(run, attempt, config, Control(run, attempt.number, stop_at), EventLog(attempt.events), start)
    try:
        outcome = train(config, task, recorder, resume_from=chosen, accept_settings=accept_settings)
    except BaseException as error:
        recorder.end("failed", recorder.last_step or 0, error=str(error))
        raise
    recorder.end(outcome.word, outcome.step)
    return outcome, task
