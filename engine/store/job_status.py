"""What a run on a SLURM cluster is doing, where its own words and its beats can't tell: it waits, starts, or comes
back. Pure, and asked before everything else for such runs; None means that the ordinary order of trust holds."""

from __future__ import annotations

from typing import Literal

from engine.store.records import LaunchRecord
from engine.store.status import (
    ABSENCE_SECONDS,
    ENDED_STATES,
    WAITING,
    Evidence,
    SchedulerWord,
    State,
    Status,
    bare_state,
    by_own_word,
    said_before_start,
)

JobCause = Literal["running", "requeued", "cancelled", "preempted", "time limit", "out of memory", "unknown"]
"""What became of a job when its training ended: nothing, SLURM's own requeue, scancel, preemption, or its limits."""

_FOUND_WAITING = WAITING | {"SUSPENDED", "STOPPED"}
_MAY_RETURN = ("NODE_FAIL", "PREEMPTED", "BOOT_FAIL")


def decide_job(evidence: Evidence, launch: LaunchRecord) -> Status | None:
    """The status of a run whose newest attempt is a cluster's job; None where its words, processes or beats decide."""
    final, ended = evidence.final_event, evidence.exit
    if ended is not None and ended.requeued:
        return _coming_back(evidence, launch, ended.ended)
    if final is not None and final.name == "preempted":
        if ended is None:
            return _saved(evidence, launch, final.time)
        if ended.job_cause == "cancelled":
            at = f" at step {final.step}" if final.step is not None else ""
            return Status(State.STOPPED, f"its job was cancelled with scancel; it saved a checkpoint{at}", ended.ended)
        if ended.error:
            own = by_own_word(final)
            return Status(own.state, f"{own.reason}; {ended.error}", own.since)
        return None
    if final is not None:
        return None
    if ended is not None:
        if ended.job_cause == "cancelled" and ended.signal is not None:
            why = "its job was cancelled with scancel, and killed before it could save"
            return Status(State.STOPPED, why, ended.ended)
        if ended.job_cause == "out of memory":
            return Status(State.FAILED, "killed by SIGKILL: its job used more memory than it asked for", ended.ended)
        return None
    if launch.started is None and evidence.last_event is None:
        return _not_begun(evidence, launch)
    return _cut_off(evidence, launch)


def _not_begun(evidence: Evidence, launch: LaunchRecord) -> Status:
    """Nothing of the attempt has run yet."""
    said, asked = evidence.scheduler, evidence.stop_requested
    if said is None:
        return Status(State.SILENT, "submitted to a cluster that can't be asked from here", launch.created)
    if said.unanswered_since is not None:
        return _unanswered(said, launch.created)
    job, state = _name(said), bare_state(said.state)
    if asked is not None and (state is None or state in ENDED_STATES):
        return Status(State.STOPPED, f"{job} was cancelled before it began", asked)
    if state is None:
        return _absent(evidence, launch, said)
    if state in _FOUND_WAITING:
        if asked is not None:
            return Status(State.STOPPING, f"{job} is being cancelled", asked, said.job)
        return Status(State.QUEUED, f"{job} waits{_why(said)}", launch.created, said.job)
    if state in ENDED_STATES:
        if state == "CANCELLED":
            return Status(State.STOPPED, f"{job} was cancelled with scancel before it began", launch.created)
        if state in _MAY_RETURN and said.absent_seconds < ABSENCE_SECONDS:
            return Status(State.QUEUED, f"{job} ended as {state} and may be requeued", launch.created, said.job)
        found = State.FAILED if state == "COMPLETED" else ENDED_STATES[state]
        log = f".slurm/{launch.job_name}"
        return Status(found, f"{job} ended as {state} before training began; its output is in {log}", launch.created)
    return Status(State.STARTING, f"{job} starts{f' on {said.node}' if said.node else ''}", launch.created, said.job)


def _absent(evidence: Evidence, launch: LaunchRecord, said: SchedulerWord) -> Status:
    if said.absent_seconds >= ABSENCE_SECONDS:
        minutes = f"{said.absent_seconds / 60:.0f} min"
        why = f"{_name(said)} never began, and has not been in the queue for {minutes}"
        return Status(State.LOST, why, evidence.now - said.absent_seconds)
    if said.job is None:
        return Status(State.STARTING, "it is being submitted", launch.created)
    return Status(State.SILENT, f"{_name(said)} is not in the queue just now", launch.created)


def _saved(evidence: Evidence, launch: LaunchRecord, since: float) -> Status | None:
    """It has said `preempted`, and its supervisor, which may be gone by now, not yet what becomes of the job."""
    said = evidence.scheduler
    state = bare_state(said.state) if said is not None else None
    if said is not None and said.unanswered_since is None:
        if state is None or state in ENDED_STATES:
            if state == "CANCELLED":
                return Status(State.STOPPED, f"{_name(said)} was cancelled with scancel; it saved a checkpoint", since)
            return None if said.absent_seconds >= ABSENCE_SECONDS or state is not None else _tidying(since)
        if _was_restarted(said, launch) or state in _FOUND_WAITING:
            return _coming_back(evidence, launch, since)
    return _tidying(since)


def _tidying(since: float) -> Status:
    return Status(State.STOPPING, "preempted, with a checkpoint; its job is about to end or to be requeued", since)


def _coming_back(evidence: Evidence, launch: LaunchRecord, since: float) -> Status:
    """Its job is to come back, as a new attempt."""
    said = evidence.scheduler
    final = evidence.final_event
    step = f" at step {final.step}" if final is not None and final.step is not None else ""
    what = f"preempted{step} and requeued"
    if said is None:
        return Status(State.QUEUED, f"{what}; its cluster can't be asked from here", since, launch.job)
    if said.unanswered_since is not None:
        return _unanswered(said, since)
    state = bare_state(said.state)
    job = _name(said)
    if state in _FOUND_WAITING:
        return Status(State.QUEUED, f"{what}: {job} waits{_why(said)}", since, said.job)
    if state == "CANCELLED":
        return Status(State.STOPPED, f"{what}, then {job} was cancelled with scancel", since)
    if state in ENDED_STATES and state not in _MAY_RETURN:
        return Status(State.PREEMPTED, f"{what}, but {job} ended as {state}", since)
    if state is None or state in ENDED_STATES:
        if said.absent_seconds >= ABSENCE_SECONDS:
            why = f"{what}, but {job} has not been in the queue for {said.absent_seconds / 60:.0f} min"
            return Status(State.PREEMPTED, why, since)
        return Status(State.QUEUED, f"{what}; {job} is not in the queue just now", since, said.job)
    if state == "RUNNING" and _was_restarted(said, launch):
        return Status(State.STARTING, f"{what}; {job} begins again{f' on {said.node}' if said.node else ''}", since)
    return Status(State.QUEUED, f"{what}; {job} is on its way back into the queue", since, said.job)


def _cut_off(evidence: Evidence, launch: LaunchRecord) -> Status | None:
    """It began and has left no last word; the scheduler may know that it was taken away from where it ran."""
    said = evidence.scheduler
    if said is None or said.unanswered_since is not None:
        return None
    state = bare_state(said.state)
    since = evidence.last_progress or launch.started or launch.created
    if state == "COMPLETED" and evidence.trainer != "alive":
        return Status(State.LOST, f"{_name(said)} ended as COMPLETED and left no word", since)
    waits = state in WAITING - {"CONFIGURING"} and not said_before_start(said, launch)
    if not (_was_restarted(said, launch) or waits):
        return None
    if state == "COMPLETING":  # what is left of it there still has its grace
        return Status(State.STOPPING, f"SLURM takes {_name(said)} away from {launch.host}; it may be saving", since)
    lost = f"SLURM took {_name(said)} away from {launch.host}"
    if state in _FOUND_WAITING:
        return Status(State.QUEUED, f"{lost}; it waits in the queue again ({state}{_why(said)})", since, said.job)
    if state == "RUNNING":
        return Status(State.STARTING, f"{lost}; it begins again{f' on {said.node}' if said.node else ''}", since)
    return None


def _was_restarted(said: SchedulerWord, launch: LaunchRecord) -> bool:
    return said.restarts > launch.restarts


def _unanswered(said: SchedulerWord, since: float) -> Status:
    assert said.unanswered_since is not None
    last = f"; it last said {said.state}" if said.state else ""
    why = f" ({said.trouble})" if said.trouble else ""
    reason = f"unknown: the cluster's scheduler gives no answer{why}{last}"
    return Status(State.SILENT, reason, max(since, said.unanswered_since))


def _name(said: SchedulerWord) -> str:
    return f"job {said.job}" if said.job else "its job"


def _why(said: SchedulerWord) -> str:
    return f": {said.reason}" if said.reason and said.reason not in ("None", "(null)") else ""
