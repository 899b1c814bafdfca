"""What starting an attempt takes, whoever asks for it: the lock, launch.json, and a supervisor that has begun."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import HeatsError, MachineError
from engine.launch.linger import logout_warning
from engine.launch.scripts import how_it_runs
from engine.launch.torchrun import Processes, command_of
from engine.store import host, lock
from engine.store.hold import take_lock
from engine.store.paths import AttemptPaths, RunPaths, Store, program
from engine.store.records import LaunchRecord, read_launch, read_run, write_launch

GRACE_SECONDS = 120.0
LET_GO_SECONDS = 8.0
"""How long whoever starts a run waits for what is left of its attempt before to end."""
_START_SECONDS = 60.0


@dataclass(frozen=True)
class Started:
    """An attempt under way: its run, its folder, and what a person should know about how it came to start."""

    run: RunPaths
    attempt: AttemptPaths
    resumed_from_step: int | None = None
    passed_over: tuple[str, ...] = ()
    """Newer checkpoints that can't be used, each with its reason."""
    warnings: tuple[str, ...] = ()
    on_cluster: bool = False
    """Whether it was only submitted: it begins when its job does."""


def begin(
    store: Store,
    run: RunPaths,
    *,
    total_steps: int | None,
    notify: str | None = None,
    processes: Processes | None = None,
    **facts: Any,
) -> Started:
    """Start the first attempt of a run that was just made.

    Args:
        store, run: the run, which has no attempt yet.
        total_steps: how many steps it will take, if known.
        notify: the command to tell of alerts and of the end; HEATS_NOTIFY where it is None.
        processes: how many train together; one without it.
        facts: fields of its launch.json that differ from a plain launch's.

    Raises:
        MachineError: no process can be started.
    """
    from engine.store.create import claim_attempt

    record = read_run(run.record)
    descriptor = take_lock(store, run, patience_seconds=LET_GO_SECONDS)
    try:
        attempt = claim_attempt(run)
        told = {"git_commit": record.git_commit if record else None, "notify": notify_command(notify)}
        start(
            attempt,
            launch_record(store, run, attempt, processes, total_steps=total_steps, **(told | facts)),
            descriptor,
        )
    finally:
        os.close(descriptor)
    return Started(run, attempt, warnings=start_warnings())


def code_to_go_on_with(run: RunPaths) -> tuple[Path | None, tuple[str, ...]]:
    """The folder of code that the attempts so far trained with, where that isn't what is installed."""
    launches = [read_launch(attempt.launch) for attempt in run.attempts()]
    code = next((launch.code for launch in reversed(launches) if launch and launch.code), None)
    if code is None or os.path.isdir(code):
        return (Path(code) if code else None), ()
    return None, (f"the code that it trained with has gone ({code}); it goes on with what is installed",)


def launch_record(
    store: Store, run: RunPaths, attempt: AttemptPaths, processes: Processes | None = None, **facts: Any
) -> LaunchRecord:
    """The record of an attempt that starts now, here.

    Args:
        store, run, attempt: which.
        processes: how many train together; one without it.
        facts: fields that only its kind of start has.

    Raises:
        HeatsError: HEATS_GRACE_SECONDS is no number of seconds.
    """
    how = how_it_runs(run)
    trainer = (*how.pop("command"), "--attempt", str(attempt.number))
    together, grace = processes or Processes(), grace_seconds()
    if together.world_size > 1:  # torchrun itself would give each process a single thread, and a banner to the log
        threads = max(1, (os.cpu_count() or 1) // together.on_each)
        known = {"OMP_NUM_THREADS": str(threads)} if "OMP_NUM_THREADS" not in os.environ else {}
        facts["environment"] = known | facts.get("environment", {})
    return LaunchRecord(
        attempt=attempt.number,
        created=time.time(),
        host=host.host_name(),
        boot_id=host.boot_id(),
        pid_namespace=host.pid_namespace(),
        command=command_of(trainer, together, meeting=f"{run.id}-{attempt.number}", grace_seconds=grace),
        lock=str(lock.lock_path(store.id, run.id)),
        grace_seconds=grace,
        launcher_pid=os.getpid(),
        processes=together.world_size,
        nodes=together.nodes,
        **({"folder": os.getcwd()} | how | facts),
    )


def grace_seconds() -> float:
    """How long a stop waits for the checkpoint before it leaves without one.

    Raises:
        HeatsError: HEATS_GRACE_SECONDS is no number of seconds.
    """
    given = os.environ.get("HEATS_GRACE_SECONDS")
    try:
        seconds = GRACE_SECONDS if given is None else float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise HeatsError(f"HEATS_GRACE_SECONDS is {given!r}", remedy="set it to a number of seconds, or unset it")
    return seconds


def notify_command(given: str | None) -> str | None:
    """The command to tell of alerts and of the end: the given one, else HEATS_NOTIFY; None where nobody is told."""
    command = os.environ.get("HEATS_NOTIFY", "") if given is None else given
    return command.strip() or None


def start(attempt: AttemptPaths, record: LaunchRecord, lock_descriptor: int) -> None:
    """Start the supervisor and wait until it has started the trainer.

    Args:
        attempt: a folder that was claimed for it.
        record: what becomes its launch.json.
        lock_descriptor: the run's lock, which both inherit.

    Raises:
        MachineError: either can't be started.
    """
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


def start_warnings() -> tuple[str, ...]:
    """What a person should know about whatever is started on this machine."""
    warning = logout_warning()
    return (warning,) if warning else ()
