"""Stopping what trains, or waits, as a job of a cluster: a request first, then the ladder, and scancel at its end."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from engine.errors import HeatsError, MachineError
from engine.launch.slurm import commands
from engine.store import slurm_poll
from engine.store.hold import may_live
from engine.store.paths import AttemptPaths, RunPaths
from engine.store.records import LaunchRecord, read_launch
from engine.store.requests import request_stop
from engine.store.status import WAITING, Evidence, Status, bare_state

_AT_ONCE = 500
_cancelled: set[str] = set()


def stop_job(run: RunPaths, attempt: AttemptPaths, evidence: Evidence, status: Status, *, now: bool = False) -> None:
    """Ask a run to stop that is a job: one that waits leaves the queue; one that trains saves, by its supervisor.

    Args:
        run, attempt: which, and its newest attempt.
        evidence, status: what is known of it.
        now: leave without a last checkpoint.

    Raises:
        HeatsError: it isn't running or waiting; its status is said.
        MachineError: the run's folder can't be written, or a job that waits can't be taken out of the queue.
    """
    if not may_live(status):
        raise HeatsError(f"it is not running: it is {status.state} ({status.reason})", place=run.id)
    assert evidence.launch is not None
    request_stop(run, attempt.number, now=now)
    said = evidence.scheduler
    waits = status.job is not None or (said is not None and bare_state(said.state) in WAITING)
    try:
        if waits or evidence.launch.started is None:
            _cancel(run, evidence.launch)
        elif (job := _number(run, evidence.launch)) is not None:
            with contextlib.suppress(MachineError):  # then it sees the request by itself
                commands.nudge(job)
    finally:
        slurm_poll.forget()


def take_out(runs: Sequence[RunPaths]) -> list[RunPaths]:
    """Take runs whose jobs wait out of the cluster's queue, all by one scancel; those that were taken out.

    Raises:
        MachineError: SLURM can't be told; the requests to stop stand, and hold once the jobs begin.
    """
    numbers: list[str] = []
    taken = []
    for run in runs:
        attempts = run.attempts()
        launch = read_launch(attempts[-1].launch) if attempts else None
        number = _number(run, launch) if launch is not None and launch.on_cluster else None
        if number is not None:
            request_stop(run, attempts[-1].number)
            numbers.append(number)
            taken.append(run)
    try:
        for begin in range(0, len(numbers), _AT_ONCE):
            commands.cancel(numbers[begin : begin + _AT_ONCE], [])
    finally:
        slurm_poll.forget()
    return taken


def cancel_job(run: RunPaths, evidence: Evidence) -> None:
    """The last rung: scancel, once, for a job whose own supervisor has not ended it in time."""
    launch = evidence.launch
    if launch is None or evidence.exit is not None or run.id in _cancelled:
        return
    _cancelled.add(run.id)
    with contextlib.suppress(MachineError):
        _cancel(run, launch)
    slurm_poll.forget()


def _cancel(run: RunPaths, launch: LaunchRecord) -> None:
    job = _number(run, launch)
    names = [launch.job_name] if job is None and launch.job_name and launch.array_index is None else []
    if job is None and not names:
        raise MachineError("its job's number is not known yet", place=run.id, remedy="try again in a moment")
    commands.cancel([job] if job is not None else [], names)


def _number(run: RunPaths, launch: LaunchRecord) -> str | None:
    said = slurm_poll.word_of(run, launch)
    return said.job if said is not None and said.job is not None else slurm_poll.number_of(run, launch)
