"""Small runs of the task, trained in this process, and teachers for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.config.resolve import resolve
from engine.store.metrics import RunHistory, Series
from engine.store.paths import RunPaths
from engine.tasks.distillation.config import Config
from engine.tasks.distillation.task import Distillation
from engine.train.loop import Outcome
from tests.engine.train.attempts import run_of, train_here

TINY: dict[str, Any] = {
    "model.network": "resnet8",
    "data.train_fraction": 0.2,
    "data.augment": "none",
    "train.batch_size": 16,
    "train.max_steps": 24,
    "train.log_every": 4,
    "train.save_every": 0,
    "train.num_threads": 1,
    "train.device": "cpu",
    "checkpoint.keep_last": 20,
    "factor.steps": 10,
    "crd.negatives": 16,
}
"""215 digits in batches of 16, so that an epoch has 13 steps; about a second."""


def config_of(values: dict[str, Any] | None = None) -> Config:
    """The config of a tiny run with some values changed."""
    return resolve(Config, TINY | (values or {}))


def make_run(
    root: Path, values: dict[str, Any] | None = None, *, task: str = "distillation", **record: Any
) -> RunPaths:
    """A run's folder without an attempt."""
    config = config_of(values)
    return run_of(root, task, config, config.slug(), **record)


def train_run(
    run: RunPaths, values: dict[str, Any] | None = None, *, stop_at: int | None = None, reset_scaler: bool = False
) -> tuple[Outcome, Distillation]:
    """One attempt in this process; later ones resume."""
    task = Distillation(config_of(values))
    return train_here(run, task, stop_at=stop_at, reset_scaler=reset_scaler), task


def made(root: Path, values: dict[str, Any] | None = None, **options: Any) -> RunPaths:
    """A run, trained."""
    run = make_run(root, values)
    train_run(run, values, **options)
    return run


def series(run: RunPaths) -> dict[str, Series]:
    """All that a run has logged, by name."""
    history = RunHistory(run)
    history.refresh()
    return history.series
