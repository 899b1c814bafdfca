"""Small runs of the task, trained in this process, and teachers for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.config.resolve import config_hash, dump_yaml, resolve
from engine.store.checkpoints import choose
from engine.store.create import claim_attempt, create_run, write_launch
from engine.store.metrics import RunHistory, Series
from engine.store.paths import RunPaths, create_store
from engine.store.records import LaunchRecord
from engine.tasks.distillation.config import Config
from engine.tasks.distillation.task import Distillation
from engine.train.control import Control
from engine.train.events import EventLog
from engine.train.loop import Outcome, train
from engine.train.recorder import Recorder

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


def make_run(root: Path, values: dict[str, Any] | None = None, **record: Any) -> RunPaths:
    """A run's folder without an attempt."""
    config = config_of(values)
    return create_run(
        create_store(root), task=record.pop("task", "distillation"), slug=config.slug(), config_yaml=dump_yaml(config),
        config_hash=config_hash(config), **record,
    )  # fmt: skip


def train_run(
    run: RunPaths, values: dict[str, Any] | None = None, *, stop_at: int | None = None, reset_scaler: bool = False
) -> tuple[Outcome, Distillation]:
    """One attempt in this process; later ones resume."""
    config = config_of(values)
    chosen = choose(run).checkpoint
    attempt = claim_attempt(run)
    start = chosen.step if chosen else None
    folder = chosen.folder.name if chosen else None
    record = LaunchRecord(attempt.number, 0.0, "", resumed_from_step=start, resumed_from_checkpoint=folder)
    write_launch(attempt, record)
    task = Distillation(config)
    task.store = run.folder.parent
    recorder = Recorder(run, attempt, config, Control(run, attempt.number, stop_at), EventLog(attempt.events), start)
    try:
        outcome = train(config, task, recorder, resume_from=chosen, reset_scaler=reset_scaler)
    except BaseException as error:
        recorder.end("failed", recorder.last_step or 0, error=str(error))
        raise
    recorder.end(outcome.word, outcome.step)
    return outcome, task


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
