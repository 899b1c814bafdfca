"""Short runs of the task in this process, on a few real digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.config.resolve import resolve
from engine.store.paths import RunPaths
from engine.tasks.confounded.config import Config
from engine.tasks.confounded.task import Confounded
from engine.train.loop import Outcome
from tests.engine.train.attempts import run_of, train_here

TINY: dict[str, Any] = {
    "data.image_size": 12,
    "data.dot_row": 10,
    "data.dot_column": 10,
    "data.corrected_count": 10,
    "model.channels": [4, 4],
    "model.hidden": 8,
    "train.batch_size": 16,
    "train.max_steps": 12,
    "train.save_every": 4,
    "train.log_every": 2,
    "train.device": "cpu",
    "train.num_threads": 1,
    "evaluation.every": 5,
    "evaluation.every_epochs": 0,
    "checkpoint.keep_last": 9,
}
"""A run of a second."""


def tiny(values: dict[str, Any] | None = None) -> Config:
    """A config of such a run."""
    return resolve(Config, TINY | (values or {}))


def make_run(root: Path, config: Config) -> RunPaths:
    """Its folder, without an attempt."""
    return run_of(root, "confounded", config)


def train_attempt(run: RunPaths, config: Config, *, stop_at: int | None = None) -> tuple[Outcome, Confounded]:
    """One attempt; later ones resume."""
    task = Confounded(config)
    return train_here(run, task, stop_at=stop_at), task


def trained(root: Path, values: dict[str, Any] | None = None) -> tuple[RunPaths, Confounded]:
    """A run, trained to its end."""
    config = tiny(values)
    run = make_run(root, config)
    return run, train_attempt(run, config)[1]
