"""One attempt, from its stored config to its last word."""

from __future__ import annotations

import importlib
import logging
import traceback

from engine.config.tasks import task_package
from engine.errors import HeatsError
from engine.store.checkpoints import Checkpoint, scan
from engine.store.paths import AttemptPaths, RunPaths
from engine.store.rank_words import LEFT
from engine.store.records import LaunchRecord, read_run
from engine.store.stored_config import training_config
from engine.train import log as logs
from engine.train.control import PREEMPTED_EXIT_CODE, Control, LeaveNow
from engine.train.events import EventLog
from engine.train.follower import Follower
from engine.train.guard import GuardStopped
from engine.train.loop import train
from engine.train.ranks import Ranks
from engine.train.recorder import Recorder
from engine.train.task import TaskFactory
from engine.train.vigil import Vigil

log = logging.getLogger("heats")


def train_attempt(
    run: RunPaths,
    attempt: AttemptPaths,
    launch: LaunchRecord,
    control: Control,
    events: EventLog | None,
    *,
    ranks: Ranks | None = None,
    log_level: str = "INFO",
    log_json: bool = False,
) -> int:
    """Train an attempt and write its final event, whatever happens.

    Args:
        run, attempt, launch: what to train.
        control: the wishes of people and schedulers.
        events: the attempt's event log; None for another rank than the first.
        ranks: this process among those that train the run together; alone without it.
        log_level, log_json: of the log.

    Returns:
        The exit code: 0 finished or stopped, 75 preempted, 1 failed. Of several processes all end with 0 when
        preempted: torchrun takes any other code of one for a reason to end the others.
    """
    logs.set_up(log_level, as_json=log_json)
    ranks = ranks or Ranks()
    start = launch.resumed_from_step or 0
    try:
        record = read_run(run.record)
        assert record is not None, "the caller has read it"
        config = training_config(run, up_to_attempt=attempt.number)
        if config.parallel.world_size != ranks.size:
            raise HeatsError(
                f"it trains in {config.parallel.world_size} processes but was started in {ranks.size}",
                place=run.id, remedy="start it with `heats launch` or `heats resume`",
            )  # fmt: skip
        task = load_task(record.task)(config)
        task.store, task.folder = run.folder.parent, run.folder
        checkpoint = _checkpoint(run, launch)
    except HeatsError as error:
        log.error("%s", error)
        if ranks.several:
            ranks.say("failed", str(error))  # the others wait to meet this one
        if events is not None:
            events.write("failed", start, error=str(error))
        return 1
    recorder = (
        Follower(run, attempt, config, control, launch.resumed_from_step)
        if events is None
        else Recorder(run, attempt, config, control, events, launch.resumed_from_step)
    )
    vigil = Vigil(ranks, control, recorder)
    vigil.start()
    try:
        outcome = train(
            config,
            task,
            recorder,
            resume_from=checkpoint,
            accept_settings=launch.accept_settings,
            reset_scaler=launch.reset_scaler,
            ranks=ranks,
        )
        ranks.part()
    except LeaveNow:
        return _leave(ranks, recorder, start)
    except (HeatsError, GuardStopped) as error:  # what a user can put right needs no traceback
        return _fail(ranks, recorder, start, str(error))
    except Exception as error:  # noqa: BLE001  it is told, not swallowed
        # Whatever a task raises, the run must say that it failed, and how.
        trace = "".join(traceback.format_exception(error))
        return _fail(ranks, recorder, start, f"{type(error).__name__}: {error}", trace)
    finally:
        vigil.close()
    log.info("%s at step %s%s", outcome.word, f"{outcome.step:,}", f" ({outcome.reason})" if outcome.reason else "")
    recorder.end(outcome.word, outcome.step, **({"reason": outcome.reason} if outcome.reason else {}))
    return PREEMPTED_EXIT_CODE if outcome.word == "preempted" and not ranks.several else 0


def _leave(ranks: Ranks, recorder: Recorder, start: int) -> int:
    if ranks.several:
        ranks.say("left")
        ranks.parting = True
    log.info("leaving at once, as asked")
    recorder.abandon()
    recorder.end("stopped", recorder.last_step or start, reason="left at once, without a last checkpoint")
    return 0


def _fail(ranks: Ranks, recorder: Recorder, start: int, sentence: str, trace: str = "") -> int:
    """Say that the attempt has failed; of several ranks the first to fail tells why."""
    if ranks.several:
        recorder.control.seal()  # what torchrun sends now mustn't interrupt
        word = ranks.say_failed(sentence, trace)
        ranks.parting = True
        if word.word == LEFT:
            return _leave(ranks, recorder, start)
        sentence, trace = word.sentence(alone=word.error == sentence), word.traceback
    log.error("%s", f"{sentence}\n{trace}".rstrip())
    recorder.end("failed", recorder.last_step or start, error=sentence, **({"traceback": trace} if trace else {}))
    return 1


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
