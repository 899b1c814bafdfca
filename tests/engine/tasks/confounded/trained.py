"""Short runs of the task in this process, on a few real digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.config.resolve import config_hash, dump_yaml, resolve
from engine.store.checkpoints import Checkpoint, choose
from engine.store.create import claim_attempt, create_run, write_launch
from engine.store.paths import RunPaths, create_store
from engine.store.records import LaunchRecord
from engine.tasks.confounded.config import Config
from engine.tasks.confounded.task import Confounded
from engine.train.control import Control
from engine.train.events import EventLog
from engine.train.loop import Outcome, train
from engine.train.recorder import Recorder

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
    return create_run(
        create_store(root), task="confounded", slug="tiny", config_yaml=dump_yaml(config),
        config_hash=config_hash(config),
    )  # fmt: skip


def train_attempt(run: RunPaths, config: Config, *, stop_at: int | None = None) -> tuple[Outcome, Confounded]:
    """One attempt; later ones resume."""
    chosen: Checkpoint | None = choose(run).checkpoint
    attempt = claim_attempt(run)
    start = chosen.step if chosen else None
    folder = chosen.folder.name if chosen else None
    write_launch(
        attempt, LaunchRecord(attempt.number, 0.0, "", resumed_from_step=start, resumed_from_checkpoint=folder)
    )
    task = Confounded(config)
    task.store = run.folder.parent
    recorder = Recorder(run, attempt, config, Control(run, attempt.number, stop_at), EventLog(attempt.events), start)
    try:
        outcome = train(config, task, recorder, resume_from=chosen)
    except BaseException as error:
        recorder.end("failed", recorder.last_step or 0, error=str(error))
        raise
    recorder.end(outcome.word, outcome.step)
    return outcome, task


def trained(root: Path, values: dict[str, Any] | None = None) -> tuple[RunPaths, Confounded]:
    """A run, trained to its end."""
    config = tiny(values)
    run = make_run(root, config)
    return run, train_attempt(run, config)[1]
