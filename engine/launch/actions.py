"""What people do to runs: launch, resume, stop. The command line and the app are two faces of these functions."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import HeatsError, MachineError
from engine.launch.linger import logout_warning
from engine.store import host, lock
from engine.store.evidence import gather, leftovers
from engine.store.paths import AttemptPaths, RunPaths, Store, create_store, open_store, program
from engine.store.records import LaunchRecord, read_launch, read_run, write_launch
from engine.store.requests import clear, request_stop
from engine.store.status import State, decide

if TYPE_CHECKING:  # stopping must stay quick
    from engine.config.sections import TaskConfig
    from engine.launch.slots import Slot

GRACE_SECONDS = 120.0
_START_SECONDS = 60.0
_LET_GO_SECONDS = 8.0


@dataclass(frozen=True)
class LaunchRequest:
    """A run to be made. `values` are by dotted key, as text or as typed values."""

    task: str
    values: Mapping[str, Any] = field(default_factory=dict)
    place: str | None = None
    """Where the values come from, for messages."""
    name: str | None = None
    tags: tuple[str, ...] = ()
    note: str = ""
    seed: int | None = None
    command: tuple[str, ...] = ()
    parent: str | None = None
    """The run that this one was made from."""
    study: str | None = None
    """The study that it belongs to, and which arm of it it is."""
    arm: str | None = None
    notify: str | None = None
    """Told of alerts and of the end; HEATS_NOTIFY where it is None, nobody where it is empty."""


@dataclass(frozen=True)
class Started:
    """An attempt under way: its run, its folder, and what a person should know about how it came to start."""

    run: RunPaths
    attempt: AttemptPaths
    resumed_from_step: int | None = None
    passed_over: tuple[str, ...] = ()
    """Newer checkpoints that can't be used, each with its reason."""
    warnings: tuple[str, ...] = ()


def launch(root: Path, request: LaunchRequest) -> Started:
    """Make a run in the store at `root` (made if needed) and start its first attempt under a supervisor.

    Raises:
        HeatsError: a bad config, or a folder that is no store.
        MachineError: the store can't be written, or no process can be started.
    """
    # Only who launches needs pydantic and the task's options; stopping must stay quick.
    from engine.config.resolve import resolve
    from engine.config.tasks import config_class

    values = dict(request.values)
    if request.seed is not None:
        values["seed"] = request.seed
    config = resolve(config_class(request.task), values, place=request.place)
    _grace_seconds()  # a mistake in it leaves no run behind
    store = create_store(root)
    run = make_run(store, request, config)
    return begin(store, run, total_steps=config.train.max_steps, notify=request.notify)


def make_run(store: Store, request: LaunchRequest, config: TaskConfig) -> RunPaths:
    """Make a run's folder with everything but an attempt.

    Args:
        store: where.
        request: what to call it and whence it comes; its values are in `config`.
        config: the resolved config.

    Raises:
        MachineError: the store can't be written.
    """
    from engine.config.resolve import config_hash, dump_yaml
    from engine.config.tasks import package_folder
    from engine.store.create import create_run

    return create_run(
        store,
        task=request.task,
        slug=config.slug(),
        config_yaml=dump_yaml(config),
        config_hash=config_hash(config),
        name=request.name,
        seed=config.seed,
        study=request.study,
        arm=request.arm,
        tags=request.tags,
        note=request.note,
        parent=request.parent,
        command=request.command,
        code=package_folder(request.task),
    )


def start_queued(run: RunPaths, claim_slot: Callable[[], Slot | None]) -> Started | None:
    """Start a run that waits in the queue, from its newest checkpoint if it has one.

    Args:
        run: which run.
        claim_slot: claims a slot for it; called with the run's lock held, because that is what keeps the claim.

    Returns:
        None where no slot was free.

    Raises:
        HeatsError: it can't be started as it is: processes of it are left, or its config is wrong.
        MachineError: the run's folder can't be written, or no process can be started.
    """
    from engine.config.tasks import package_folder
    from engine.store.checkpoints import choose
    from engine.store.create import claim_attempt
    from engine.store.provenance import record_attempt
    from engine.store.queue import dequeue, read_entry
    from engine.store.stored_config import effective_config

    store = open_store(run.folder.parent)
    config = effective_config(run)
    record = read_run(run.record)
    descriptor = _take_lock(store, run)
    try:
        entry = read_entry(run)
        if entry is None:
            raise HeatsError("it doesn't wait in the queue any more", place=run.id)
        slot = claim_slot()
        if slot is None:
            return None
        choice = choose(run, "latest", config.evaluation.best_mode)
        step = choice.checkpoint.step if choice.checkpoint else 0
        again = bool(run.attempts())
        clear(run)
        attempt = claim_attempt(run)
        dequeue(run)
        commit = record.git_commit if record else None
        if again:
            commit = record_attempt(run, attempt, package_folder(record.task) if record else None)[0].commit
        launched = _launch_record(
            store,
            run,
            attempt,
            total_steps=config.train.max_steps,
            resumed_from_step=step if again else None,
            resumed_from_checkpoint=choice.checkpoint.folder.name if choice.checkpoint else None,
            git_commit=commit,
            environment=slot.environment(),
            prune_at_evaluations=entry.prune_at_evaluations,
            notify=_notify_command(None),
        )
        _start(attempt, launched, descriptor)
    finally:
        os.close(descriptor)
    return Started(run, attempt, step, choice.passed_over, _warnings())


def begin(store: Store, run: RunPaths, *, total_steps: int | None, notify: str | None = None, **facts: Any) -> Started:
    """Start the first attempt of a run that was just made.

    Args:
        store, run: the run, which has no attempt yet.
        total_steps: how many steps it will take, if known.
        notify: the command to tell of alerts and of the end; HEATS_NOTIFY where it is None.
        facts: fields of its launch.json that differ from a plain launch's.

    Raises:
        MachineError: no process can be started.
    """
    from engine.store.create import claim_attempt

    record = read_run(run.record)
    descriptor = _take_lock(store, run)
    try:
        attempt = claim_attempt(run)
        told = {"git_commit": record.git_commit if record else None, "notify": _notify_command(notify)}
        _start(attempt, _launch_record(store, run, attempt, total_steps=total_steps, **(told | facts)), descriptor)
    finally:
        os.close(descriptor)
    return Started(run, attempt, warnings=_warnings())


def resume(
    run: RunPaths,
    *,
    overrides: Mapping[str, str] | None = None,
    from_step: int | None = None,
    accept_settings: bool = False,
    notify: str | None = None,
    reset_scaler: bool = False,
    emergency: bool = False,
) -> Started:
    """Start a new attempt of a run from its newest valid checkpoint, or from the one of `from_step`.

    Args:
        run: which run.
        overrides: options to change from here on, by dotted key; recorded with the attempt.
        from_step: resume from this checkpoint; what lies past it is shadowed.
        accept_settings: resume although settings that change bits (torch version, threads, ...) differ.
        notify: the command to tell of alerts and of the end; HEATS_NOTIFY where it is None. The one of an earlier
            attempt isn't taken over: a folder from elsewhere must not bring commands with it.
        reset_scaler: start with a fresh loss scale (fp16) instead of the saved one.
        emergency: resume from the newest emergency checkpoint, or from the one of `from_step`.

    Raises:
        HeatsError: it is still running, already finished, or the checkpoint asked for can't be used.
        MachineError: the run's folder can't be written, or no process can be started.
    """
    from engine.config.resolve import changed_options
    from engine.config.tasks import package_folder
    from engine.store.checkpoints import choose
    from engine.store.create import claim_attempt
    from engine.store.provenance import record_attempt
    from engine.store.stored_config import apply_overrides, effective_config

    store = open_store(run.folder.parent)
    before = effective_config(run)
    config = apply_overrides(before, overrides or {}, place=run.id)
    _refuse_if_running(run)
    descriptor = _take_lock(store, run)
    try:
        wanted = "latest" if from_step is None else str(from_step)
        if emergency:
            wanted = "emergency" if from_step is None else f"emergency-{from_step}"
        choice = choose(run, wanted, config.evaluation.best_mode)
        step = choice.checkpoint.step if choice.checkpoint else 0
        if step >= config.train.max_steps:
            raise HeatsError(
                f"it is already at step {step:,} of {config.train.max_steps:,}",
                place=run.id,
                remedy=f"give it more with --override train.max_steps={2 * step}",
            )
        clear(run)
        attempt = claim_attempt(run)
        code, code_warnings = code_to_go_on_with(run)
        made = read_run(run.record)
        state, changes = record_attempt(run, attempt, code or (package_folder(made.task) if made else None))
        record = _launch_record(
            store,
            run,
            attempt,
            total_steps=config.train.max_steps,
            resumed_from_step=step,
            resumed_from_checkpoint=choice.checkpoint.folder.name if choice.checkpoint else None,
            overrides=changed_options(before, config),
            accept_settings=accept_settings,
            git_commit=state.commit,
            code=str(code) if code else None,
            notify=_notify_command(notify),
            reset_scaler=reset_scaler,
        )
        _start(attempt, record, descriptor)
    finally:
        os.close(descriptor)
    return Started(run, attempt, step, choice.passed_over, (*code_warnings, *changes, *_warnings()))


def stop(run: RunPaths, *, now: bool = False) -> None:
    """Ask a live run to stop: request file and SIGTERM; its supervisor walks the rest of the ladder. Returns at once.

    Where the supervisor is gone the trainer is told directly, and processes left behind by a dead trainer are ended.

    Args:
        run: which run.
        now: leave without a last checkpoint.

    Raises:
        HeatsError: it isn't running; its status is said.
        MachineError: the run's folder can't be written.
    """
    attempts = run.attempts()
    attempt = attempts[-1] if attempts else None
    evidence = gather(run, attempt, read_run(run.record))
    status = decide(evidence)
    launched = evidence.launch
    if status.state is State.QUEUED:
        remedy = f"take it out with `heats queue drop {run.id}`"
        raise HeatsError("it doesn't run yet: it waits in the queue", place=run.id, remedy=remedy)
    if attempt is None or launched is None:
        raise HeatsError(f"it can't be stopped: {status.reason}", place=run.id)
    if evidence.leftovers:
        # They have nothing to save: whoever waits ends them by force after the ladder's last rung.
        request_stop(run, attempt.number, now=True)
        for pid in evidence.leftovers:
            _signal(pid, signal.SIGKILL if now else signal.SIGTERM)
            _signal(pid, signal.SIGCONT)  # one that is halted couldn't hear it
        return
    if not (status.state.is_live or status.state is State.SILENT):
        raise HeatsError(f"it is not running: it is {status.state} ({status.reason})", place=run.id)
    request_stop(run, attempt.number, now=now)
    if not (evidence.same_host and evidence.same_boot and evidence.same_namespace):
        return  # its supervisor reads the request from the shared folder
    if evidence.supervisor == "alive" and launched.supervisor_pid is not None:
        _signal(launched.supervisor_pid, signal.SIGTERM)
        return
    trainer = launched.trainer_pid if evidence.trainer == "alive" else None
    for pid in [trainer] if trainer is not None else leftovers(launched):
        _signal(pid, signal.SIGTERM)
        if now:
            _signal(pid, signal.SIGTERM)


def kill_unsupervised(run: RunPaths) -> None:
    """The last rung for a run without a supervisor: SIGKILL to its trainer, everything below it, and leftovers.

    Does nothing where a supervisor is alive, since it climbs the ladder itself.
    """
    attempts = run.attempts()
    if not attempts:
        return
    evidence = gather(run, attempts[-1])
    if evidence.launch is None or evidence.supervisor == "alive" or not evidence.lock_held:
        return
    holders = leftovers(evidence.launch)
    below = [pid for holder in holders for pid in host.descendants(holder)]
    for pid in {*holders, *below}:
        _signal(pid, signal.SIGKILL)


def _take_lock(store: Store, run: RunPaths) -> int:
    try:
        descriptor = lock.acquire(lock.lock_path(store.id, run.id), patience_seconds=_LET_GO_SECONDS)
    except OSError as error:
        raise MachineError(f"its lock can't be taken ({error.strerror})", place=run.id) from error
    if descriptor is None:
        raise _left(run, host.lock_holders(lock.lock_path(store.id, run.id)))
    return descriptor


def _left(run: RunPaths, holders: Sequence[int]) -> HeatsError:
    named = ", ".join(map(str, holders)) or "unknown"
    return HeatsError(
        f"processes of it are left (pid {named})", place=run.id, remedy=f"end them with `heats stop {run.id}`"
    )


def _refuse_if_running(run: RunPaths) -> None:
    attempts = run.attempts()
    if not attempts:
        return
    evidence = gather(run, attempts[-1], read_run(run.record))
    status = decide(evidence)
    if evidence.leftovers and evidence.lock_missing:  # a new lock of the same name would not show them
        raise _left(run, evidence.leftovers)
    if status.state.is_live or status.state is State.SILENT:
        raise HeatsError(
            f"it is still {status.state} ({status.reason})", place=run.id, remedy=f"stop it first: heats stop {run.id}"
        )


def code_to_go_on_with(run: RunPaths) -> tuple[Path | None, tuple[str, ...]]:
    """The folder of code that the attempts so far trained with, where that isn't what is installed."""
    launches = [read_launch(attempt.launch) for attempt in run.attempts()]
    code = next((launch.code for launch in reversed(launches) if launch and launch.code), None)
    if code is None or os.path.isdir(code):
        return (Path(code) if code else None), ()
    return None, (f"the code that it trained with has gone ({code}); it goes on with what is installed",)


def _launch_record(store: Store, run: RunPaths, attempt: AttemptPaths, **facts: Any) -> LaunchRecord:
    return LaunchRecord(
        attempt=attempt.number,
        created=time.time(),
        host=host.host_name(),
        boot_id=host.boot_id(),
        pid_namespace=host.pid_namespace(),
        command=(*program("engine.train"), str(run.folder), "--attempt", str(attempt.number)),
        lock=str(lock.lock_path(store.id, run.id)),
        grace_seconds=_grace_seconds(),
        launcher_pid=os.getpid(),
        **({"folder": os.getcwd()} | facts),
    )


def _grace_seconds() -> float:
    given = os.environ.get("HEATS_GRACE_SECONDS")
    try:
        seconds = GRACE_SECONDS if given is None else float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise HeatsError(f"HEATS_GRACE_SECONDS is {given!r}", remedy="set it to a number of seconds, or unset it")
    return seconds


def _notify_command(given: str | None) -> str | None:
    command = os.environ.get("HEATS_NOTIFY", "") if given is None else given
    return command.strip() or None


def _start(attempt: AttemptPaths, record: LaunchRecord, lock_descriptor: int) -> None:
    """Start the supervisor and wait until it has started the trainer."""
    write_launch(attempt, record)
    command = [*program("engine.launch.supervisor"), str(attempt.folder), str(lock_descriptor)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=(lock_descriptor,),
            timeout=_START_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"its supervisor can't be started ({error})", place=str(attempt.folder)) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise MachineError(said[-1] if said else "its supervisor died at once", place=str(attempt.folder))


def _warnings() -> tuple[str, ...]:
    warning = logout_warning()
    return (warning,) if warning else ()


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def last_launch(run: RunPaths) -> LaunchRecord | None:
    """How the newest attempt was launched; None before the first."""
    attempts = run.attempts()
    return read_launch(attempts[-1].launch) if attempts else None
