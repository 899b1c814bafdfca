"""A small task with everything that must survive a resume, and a way to train it in this process."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from engine.config.resolve import resolve
from engine.config.sections import ClipSection, Section, TaskConfig
from engine.store.paths import RunPaths
from engine.train.loop import Outcome
from engine.train.task import Batch, BatchKey, LossTerms, StepContext, Task
from tests.engine.train.attempts import run_of, train_here

SAMPLES = 48


class ToySection(Section):
    """What goes wrong, and when."""

    poison_from: int = -1
    """The loss is NaN from this step on (-1: never)."""
    poison_to: int = -1
    """... up to before this one."""
    nan_batches: tuple[int, int] = (-1, -1)
    """Batches from ... up to before ... (over the whole run) hold NaN."""
    wild_batches: tuple[int, int] = (-1, -1)
    """The targets of these are a hundred times as large."""
    hang_at: int = -1
    """Gathering this batch takes hang_seconds."""
    hang_seconds: float = 0.0
    """How long the loader hangs."""
    distance: Literal["none", "naive", "repaired"] = "none"
    """A further loss term over distances between rows; naive is the fp16 defect: sqrt(0) on the diagonal."""
    distance_weight: float = 1.0
    """The weight of that term."""
    classes: int = 0
    """The task says that it tells so many classes apart (0: it says nothing)."""
    val_cross_entropy: float = 0.5
    """What evaluations say of it."""
    val_accuracy: float = 0.9
    """Likewise."""
    mode: Literal["linear", "conv", "plain"] = "linear"
    """Which model; plain has no dropout."""
    bad_rank: int = -1
    """The process of this rank ..."""
    bad_at: int = -1
    """... does this at this step: ..."""
    bad: Literal["raise", "die", "nan", "wait"] = "raise"
    """... raise an error, die by SIGKILL, see NaN in its loss, or wait for seconds."""
    metric: Literal["falling", "rising"] = "falling"
    """Whether the evaluation's `score` falls or rises with the step."""


class ToyConfig(TaskConfig):
    """Options of the toy."""

    toy: ToySection = ToySection()
    clip: ClipSection = ClipSection(kind="dynamic", window=7)


class ToyData:
    """Noise added to fixed samples, from the batch's own generator: augmentation in miniature."""

    def __init__(self, options: ToySection) -> None:
        self.options = options
        generator = torch.Generator().manual_seed(7)
        self.x = torch.randn(SAMPLES, 2, 4, 4, generator=generator)
        self.y = self.x.flatten(1)[:, :3].sin().sum(1)

    def __len__(self) -> int:
        return SAMPLES

    def gather(self, indices: Tensor, key: BatchKey) -> Batch:
        x, y = self.x[indices], self.y[indices]
        x = x + 0.1 * torch.randn(x.shape, generator=key.generator())
        options, position = self.options, key.epoch * (SAMPLES // 10) + key.index
        if options.nan_batches[0] <= position < options.nan_batches[1]:
            x = x * float("nan")
        if options.wild_batches[0] <= position < options.wild_batches[1]:
            y = y * 100
        if position == options.hang_at:
            hang(options.hang_seconds)
        return {"x": x, "y": y}


def hang(seconds: float) -> None:
    """What a loader does that gives no batch."""
    time.sleep(seconds)


class ToyTask(Task[ToyConfig]):
    """Draws from every generator there is, and counts its own losses."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.calls = 0
        self.evaluations = 0
        self.num_classes = config.toy.classes or None

    def build_model(self) -> nn.Module:
        if self.config.toy.mode == "conv":
            return nn.Sequential(
                nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 1)
            ).to(memory_format=torch.channels_last)
        dropout = 0.0 if self.config.toy.mode == "plain" else 0.2
        return nn.Sequential(nn.Flatten(), nn.Linear(32, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 1))

    def build_data(self) -> ToyData:
        return ToyData(self.config.toy)

    def loss(self, model: nn.Module, batch: Batch, context: StepContext) -> LossTerms:
        self.calls += 1
        drawn = random.random() + float(np.random.rand()) + float(torch.rand((), generator=context.generator))
        context.figures["train/drawn"] = drawn
        answer = model(batch["x"])
        error = (answer.squeeze(1).float() - batch["y"]).square().mean()
        toy = self.config.toy
        if toy.poison_from <= context.step < toy.poison_to or self._is_bad(context.step):
            error = error * float("nan")
        size = torch.stack([p.square().sum() for p in model.parameters()]).sum()
        terms: LossTerms = {"error": (1.0, error), "size": (0.01 * self.calls, size)}
        if toy.distance != "none":
            terms["distance"] = (toy.distance_weight, self._distance(answer))
        return terms

    def _is_bad(self, step: int) -> bool:
        """Whether this rank sees NaN at this step; it may not survive the question."""
        toy = self.config.toy
        if step != toy.bad_at or int(os.environ.get("RANK", "0")) != toy.bad_rank:
            return False
        if toy.bad == "raise":
            raise ValueError("this batch can't be digested")
        if toy.bad == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if toy.bad == "wait":
            hang(60.0)
        return toy.bad == "nan"

    def _distance(self, rows: Tensor) -> Tensor:
        """The mean distance between rows, as relational distillation wants it."""
        if self.config.toy.distance == "naive":
            # Under autocast all of this is fp16, in which 1e-12 is zero: the root's slope at the diagonal is infinite.
            apart_by = rows - rows.t()
            return (apart_by * apart_by + 1e-12).sqrt().mean()
        with torch.autocast(rows.device.type, enabled=False):
            values = rows.float()
            square = (values.unsqueeze(0) - values.unsqueeze(1)).square().sum(-1)
            apart = ~torch.eye(len(values), dtype=torch.bool)
            return (square[apart] + 1e-8).sqrt().mean()

    def evaluate(self, model: nn.Module, split: str, device: torch.device) -> dict[str, float]:
        self.evaluations += 1
        torch.rand(3)  # a careless task: the loop must not let this change training
        sign = 1 if self.config.toy.metric == "rising" else -1
        figures = {"loss": float(next(model.parameters()).float().square().mean()), "score": float(sign * self.calls)}
        toy = self.config.toy
        if toy.classes:
            figures |= {"cross_entropy": toy.val_cross_entropy, "accuracy": toy.val_accuracy}
        return figures

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
    return run_of(root, "toy", resolve(ToyConfig, BASE | (values or {})), "toy")


def train_toy(
    run: RunPaths,
    values: dict[str, Any] | None = None,
    *,
    stop_at: int | None = None,
    from_step: int | None = None,
    wanted: str = "latest",
    accept_settings: bool = False,
    reset_scaler: bool = False,
) -> tuple[Outcome, ToyTask]:
    """One attempt in this process; later ones resume."""
    task = ToyTask(resolve(ToyConfig, BASE | (values or {})))
    outcome = train_here(
        run, task, wanted=wanted if from_step is None else str(from_step), stop_at=stop_at,
        accept_settings=accept_settings, reset_scaler=reset_scaler,
    )  # fmt: skip
    return outcome, task
