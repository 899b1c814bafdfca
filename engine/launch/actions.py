"""What people do to runs: launch, resume, stop. The command line and the app are two faces of these functions."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import HeatsError
from engine.launch.scripts import code_of, code_of_run, refuse_missing_program, working_folder
from engine.launch.starting import (
    LET_GO_SECONDS,
    begin,
    code_to_go_on_with,
    grace_seconds,
    launch_record,
    notify_command,
    start,
    start_warnings,
)
from engine.launch.starting import Started as Started  # what all of these give
from engine.launch.torchrun import of_config
from engine.store import host
from engine.store.evidence import gather, leftovers
from engine.store.hold import may_live, refuse_if_live, take_lock
from engine.store.paths import RunPaths, Store, create_store, open_store
from engine.store.records import LaunchRecord, read_launch, read_run
from engine.store.requests import clear, request_stop
from engine.store.status import State, decide

if TYPE_CHECKING:  # stopping must stay quick
    from engine.config.sections import RunConfig
    from engine.launch.slots import Slot


_EDITED = (
    "its config.yaml was edited since the run was made, and that is what it trains by now; "
    "changes given as --override key=value are kept on the record"
)


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
    folder: Path | None = None
    """Where a command of the user's own works; this process's working folder where it is None."""
    backend: str = "local"
    """Where it trains: `local`, or `slurm` by a job of this profile."""
    profile: str | None = None


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
    grace_seconds()  # a mistake in it leaves no run behind
    refuse_missing_program(config, working_folder(request.task, request.folder))
    if request.backend == "slurm":
        from engine.launch.slurm.submit import check, launch_new

        check(request.profile)
    store = create_store(root)
    run = make_run(store, request, config)
    if request.backend == "slurm":
        return launch_new(store, [run], request.profile, what=run_words(run), notify=request.notify)[0]
    return begin(store, run, total_steps=config.total_steps, notify=request.notify, processes=of_config(config))


def run_words(run: RunPaths) -> str:
    """What a run's id says besides its date, for the name of its job."""
    return run.id.split("_", 1)[-1].rpartition("_")[0]


def make_run(store: Store, request: LaunchRequest, config: RunConfig) -> RunPaths:
    """Make a run's folder with everything but an attempt.

    Args:
        store: where.
        request: what to call it and whence it comes; its values are in `config`.
        config: the resolved config.

    Raises:
        MachineError: the store can't be written.
    """
    from engine.config.resolve import config_hash, dump_yaml
    from engine.store.create import create_run

    folder = working_folder(request.task, request.folder)
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
        code=code_of(request.task, config, folder),
        folder=folder,
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
    from engine.store.checkpoints import choose
    from engine.store.create import claim_attempt
    from engine.store.provenance import record_attempt
    from engine.store.queue import dequeue, read_entry
    from engine.store.stored_config import effective_config

    store = open_store(run.folder.parent)
    config = effective_config(run)
    record = read_run(run.record)
    descriptor = take_lock(store, run, patience_seconds=LET_GO_SECONDS)
    try:
        entry = read_entry(run)
        if entry is None:
            raise HeatsError("it doesn't wait in the queue any more", place=run.id)
        slot = claim_slot()
        if slot is None:
            return None
        choice = choose(run, "latest", config.best_mode)
        step = choice.checkpoint.step if choice.checkpoint else 0
        again = bool(run.attempts())
        clear(run)
        attempt = claim_attempt(run)
        dequeue(run)
        commit = record.git_commit if record else None
        if again:
            commit = record_attempt(run, attempt, code_of_run(record, config))[0].commit
        launched = launch_record(
            store,
            run,
            attempt,
            of_config(config),
            total_steps=config.total_steps,
            resumed_from_step=None if record and record.folder else step if again else None,
            resumed_from_checkpoint=choice.checkpoint.folder.name if choice.checkpoint else None,
            git_commit=commit,
            environment=slot.environment(),
            prune_at_evaluations=entry.prune_at_evaluations,
            notify=notify_command(None),
        )
        start(attempt, launched, descriptor)
    finally:
        os.close(descriptor)
    return Started(run, attempt, step, choice.passed_over, start_warnings())


def resume(
    run: RunPaths,
    *,
    overrides: Mapping[str, str] | None = None,
    from_step: int | None = None,
    accept_settings: bool = False,
    notify: str | None = None,
    reset_scaler: bool = False,
    emergency: bool = False,
    backend: str | None = None,
    profile: str | None = None,
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
        backend: `local` or `slurm`; where it is None, the one of the attempt before.
        profile: what its job asks for; where it is None, that of the attempt before.

    Raises:
        HeatsError: it is still running, already finished, or the checkpoint asked for can't be used.
        MachineError: the run's folder can't be written, or no process can be started.
    """
    from engine.config.resolve import changed_options
    from engine.store.checkpoints import choose
    from engine.store.create import claim_attempt
    from engine.store.provenance import record_attempt
    from engine.store.stored_config import apply_overrides, effective_config, was_edited

    store = open_store(run.folder.parent)
    before = effective_config(run)
    config = apply_overrides(before, overrides or {}, place=run.id)
    scaled = getattr(config, "precision", None)
    if reset_scaler and scaled is None:
        raise HeatsError("it has no loss scale to reset: it runs a command of its own", place=run.id)
    if reset_scaler and scaled is not None and scaled.dtype in ("fp32", "bf16"):
        raise HeatsError(f"it has no loss scale to reset: it trains in {scaled.dtype}", place=run.id)
    last = last_launch(run)
    profile = profile if profile is not None or last is None else last.profile
    on_cluster = (backend or (last.backend if last else "local")) == "slurm"
    if on_cluster:
        from engine.launch.slurm.submit import check, submit_attempts

        asked_for = check(profile)
    refuse_if_live(run)
    _refuse_finished_command(run, overrides or {})
    descriptor = take_lock(store, run, patience_seconds=LET_GO_SECONDS)
    warnings: tuple[str, ...] = ()
    try:
        wanted = "latest" if from_step is None else str(from_step)
        if emergency:
            wanted = "emergency" if from_step is None else f"emergency-{from_step}"
        choice = choose(run, wanted, config.best_mode)
        step = choice.checkpoint.step if choice.checkpoint else 0
        total = config.total_steps
        if total is not None and step >= total:
            raise HeatsError(
                f"it is already at step {step:,} of {total:,}",
                place=run.id,
                remedy=f"give it more with --override train.max_steps={2 * step}",
            )
        clear(run)
        attempt = claim_attempt(run)
        code, code_warnings = code_to_go_on_with(run)
        made = read_run(run.record)
        state, changes = record_attempt(run, attempt, code or code_of_run(made, config))
        record = launch_record(
            store,
            run,
            attempt,
            of_config(config),
            total_steps=total,
            resumed_from_step=None if made and made.folder else step,  # a script goes on from where it sees fit
            resumed_from_checkpoint=choice.checkpoint.folder.name if choice.checkpoint else None,
            overrides=changed_options(before, config),
            accept_settings=accept_settings,
            git_commit=state.commit,
            code=str(code) if code else None,
            notify=notify_command(notify),
            reset_scaler=reset_scaler,
        )
        if on_cluster:
            warnings = submit_attempts(store, [(attempt, record)], asked_for, what=run_words(run))
        else:
            start(attempt, record, descriptor)
            warnings = start_warnings()
    finally:
        os.close(descriptor)
    edited = (_EDITED,) if was_edited(run) else ()
    return Started(run, attempt, step, choice.passed_over, (*edited, *code_warnings, *changes, *warnings), on_cluster)


def _refuse_finished_command(run: RunPaths, overrides: Mapping[str, str]) -> None:
    """Don't start a user's command again that has come to its end: it would shadow its own figures."""
    record, attempts = read_run(run.record), run.attempts()
    if record is None or record.folder is None or not attempts or overrides:
        return
    if decide(gather(run, attempts[-1], record)).state is State.FINISHED:
        raise HeatsError(
            "its command has finished", place=run.id,
            remedy=f"run it anew with heats clone {run.id}, or let it go on with --override KEY=VALUE",
        )  # fmt: skip


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
    if attempt is not None and launched is not None and launched.on_cluster and evidence.queued is None:
        from engine.launch.slurm.stop import stop_job

        stop_job(run, attempt, evidence, status, now=now)
        return
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
    if not may_live(status):
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
    if evidence.launch is not None and evidence.launch.on_cluster:
        from engine.launch.slurm.stop import cancel_job

        cancel_job(run, evidence)
        return
    if evidence.launch is None or evidence.supervisor == "alive" or not evidence.lock_held:
        return
    holders = leftovers(evidence.launch)
    below = [pid for holder in holders for pid in host.descendants(holder)]
    for pid in {*holders, *below}:
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def last_launch(run: RunPaths) -> LaunchRecord | None:
    """How the newest attempt was launched; None before the first."""
    attempts = run.attempts()
    return read_launch(attempts[-1].launch) if attempts else None
