"""One attempt, from its stored config to its last word."""

from __future__ import annotations

import importlib
import logging
import traceback

from engine.config.tasks import task_package
from engine.errors import HeatsError
from engine.store.checkpoints import Checkpoint, scan
from engine.store.paths import AttemptPaths, RunPaths
from engine.store.records import LaunchRecord, read_run
from engine.store.stored_config import training_config
from engine.train import log as logs
from engine.train.control import PREEMPTED_EXIT_CODE, Control, LeaveNow
from engine.train.events import EventLog
from engine.train.guard import GuardStopped
from engine.train.loop import train
from engine.train.recorder import Recorder
from engine.train.task import TaskFactory

log = logging.getLogger("heats")


def train_attempt(
    run: RunPaths,
    attempt: AttemptPaths,
    launch: LaunchRecord,
    control: Control,
    events: EventLog,
    *,
    log_level: str = "INFO",
    log_json: bool = False,
) -> int:
    """Train an attempt and write its final event, whatever happens.

    Returns:
        The exit code: 0 finished or stopped, 75 preempted, 1 failed.
    """
    logs.set_up(log_level, as_json=log_json)
    start = launch.resumed_from_step or 0
    try:
        record = read_run(run.record)
        assert record is not None, "the caller has read it"
        config = training_config(run, up_to_attempt=attempt.number)
        task = load_task(record.task)(config)
        task.store = run.folder.parent
        checkpoint = _checkpoint(run, launch)
    except HeatsError as error:
        log.error("%s", error)
        events.write("failed", start, error=str(error))
        return 1
    recorder = Recorder(run, attempt, config, control, events, launch.resumed_from_step)
    try:
        outcome = train(
            config,
            task,
            recorder,
            resume_from=checkpoint,
            accept_settings=launch.accept_settings,
            reset_scaler=launch.reset_scaler,
        )
    except LeaveNow:
        log.info("leaving at once, as asked")
        recorder.saver.abandon()
        recorder.end("stopped", recorder.last_step or start, reason="left at once, without a last checkpoint")
        return 0
    except (HeatsError, GuardStopped) as error:  # what a user can put right needs no traceback
        log.error("%s", error)
        recorder.end("failed", recorder.last_step or start, error=str(error))
        return 1
    except Exception as error:
        # Whatever a task raises, the run must say that it failed, and how.
        log.exception("training failed")
        trace = "".join(traceback.format_exception(error))
        sentence = f"{type(error).__name__}: {error}"
        recorder.end("failed", recorder.last_step or start, error=sentence, traceback=trace)
        return 1
    log.info("%s at step %s%s", outcome.word, f"{outcome.step:,}", f" ({outcome.reason})" if outcome.reason else "")
    recorder.end(outcome.word, outcome.step, **({"reason": outcome.reason} if outcome.reason else {}))
    return PREEMPTED_EXIT_CODE if outcome.word == "preempted" else 0


def load_task(name: str) -> TaskFactory:
    """The factory of a task by name.

    Raises:
        HeatsError: no such task is installed.
    """
    factory: TaskFactory = importlib.import_module(f"{task_package(name)}.task").TASK
    return factory


def _checkpoint(run: RunPaths, launch: LaunchRecord) -> Checkpoint | None:
    if launch.resumed_from_checkpoint is None:
        return None
    for checkpoint in scan(run):
        if checkpoint.folder.name == launch.resumed_from_checkpoint:
            return checkpoint
    raise HeatsError(f"its checkpoint {launch.resumed_from_checkpoint} has gone", place=run.id)
