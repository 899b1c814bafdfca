"""Runs and their attempts, trained in the process of a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.config.resolve import config_hash, dump_yaml
from engine.config.sections import TaskConfig
from engine.store.checkpoints import choose
from engine.store.create import claim_attempt, create_run, write_launch
from engine.store.paths import RunPaths, create_store
from engine.store.records import LaunchRecord
from engine.train.control import Control
from engine.train.events import EventLog
from engine.train.loop import Outcome, train
from engine.train.recorder import Recorder
from engine.train.task import Task


def run_of(root: Path, task: str, config: TaskConfig, slug: str = "tiny", **record: Any) -> RunPaths:
    """A run's folder in the store of a folder, without an attempt."""
    return create_run(
        create_store(root), task=task, slug=slug, config_yaml=dump_yaml(config), config_hash=config_hash(config),
        **record,
    )  # fmt: skip


def train_here(
    run: RunPaths,
    task: Task[Any],
    *,
    wanted: str = "latest",
    stop_at: int | None = None,
    accept_settings: bool = False,
    reset_scaler: bool = False,
) -> Outcome:
    """One attempt; later ones resume.

    Args:
        run: its folder.
        task: freshly made, with the config to train by.
        wanted: the checkpoint to resume from: `latest` or a step.
        stop_at: stop after this step.
        accept_settings, reset_scaler: as of `train`.
    """
    chosen = choose(run, wanted).checkpoint
    attempt = claim_attempt(run)
    start = chosen.step if chosen else None
    folder = chosen.folder.name if chosen else None
    record = LaunchRecord(attempt.number, 0.0, "", resumed_from_step=start, resumed_from_checkpoint=folder)
    write_launch(attempt, record)
    task.store, task.folder = run.folder.parent, run.folder
    control = Control(run, attempt.number, stop_at)
    recorder = Recorder(run, attempt, task.config, control, EventLog(attempt.events), start)
    try:
        outcome = train(
            task.config, task, recorder, resume_from=chosen, accept_settings=accept_settings, reset_scaler=reset_scaler
        )
    except BaseException as error:
        recorder.end("failed", recorder.last_step or 0, error=str(error))
        raise
    recorder.end(outcome.word, outcome.step)
    return outcome
