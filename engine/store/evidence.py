"""Gathers the evidence of a run's newest attempt from its folder and from this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from engine.store import host, lock
from engine.store.paths import AttemptPaths, RunPaths
from engine.store.queue import read_entry
from engine.store.records import (
    Event,
    ExitRecord,
    LaunchRecord,
    RunRecord,
    read_beat,
    read_events,
    read_exit,
    read_launch,
)
from engine.store.requests import read_stop
from engine.store.status import Evidence, ProcessEvidence, SchedulerWord


def gather(
    run: RunPaths,
    attempt: AttemptPaths | None,
    record: RunRecord | None = None,
    *,
    events: list[Event] | None = None,
    last_progress: float | None = None,
    expected_gap_seconds: float | None = None,
    scheduler: SchedulerWord | None = None,
) -> Evidence:
    """Everything that `decide` needs to know. What is passed in isn't read again.

    Args:
        run, attempt, record: the run, its newest attempt, and run.json, as far as they are there.
        events: the attempt's events.
        last_progress: when a step or an event was last seen, in seconds since 1970.
        expected_gap_seconds: how long this run may be without a step.
        scheduler: what the cluster's scheduler says of the attempt's job; asked for here where it isn't given, which
            takes one question for all runs.
    """
    now = time.time()
    created = record.created if record else None
    waiting = read_entry(run)
    queued = waiting.queued if waiting is not None else None
    if attempt is None:
        return Evidence(now=now, created=created or _modified(run.folder), queued=queued)
    launch = read_launch(attempt.launch)
    exit_record = read_exit(attempt.exit)
    if launch is None:  # being made, or damaged: the run itself may be much older than this attempt
        created = _modified(attempt.folder) or created
    earlier = read_events(attempt.events)[0] if events is None else events
    seen: dict[str, Any] = {}
    if launch is not None and exit_record is None and not any(event.is_final for event in earlier):
        # Processes before their words: a word that isn't there once its writer has gone will never come, but one that
        # wasn't there a moment before may have been written since.
        seen = _look_at_processes(launch, earlier)
        exit_record = read_exit(attempt.exit)
    if events is None:
        events = read_events(attempt.events)[0] if seen else earlier
    final = next((event for event in reversed(events) if event.is_final), None)
    base = {
        "now": now, "created": created, "launch": launch, "final_event": final,
        "last_event": events[-1] if events else None, "exit": exit_record, "queued": queued, "scheduler": scheduler,
    }  # fmt: skip
    if launch is not None and launch.on_cluster and scheduler is None and _may_return(final, exit_record):
        from engine.store.slurm_poll import word_of

        scheduler = word_of(run, launch)
        base["scheduler"] = scheduler
    if final is not None or exit_record is not None or launch is None:
        return Evidence(**base)  # type: ignore[arg-type]
    stop = read_stop(run)
    asked = stop if stop is not None and stop.attempt == attempt.number else None
    here = seen["same_host"] and seen["same_boot"] and seen["same_namespace"]
    return Evidence(
        **base,  # type: ignore[arg-type]
        **seen,
        beat=None if here else read_beat(attempt.beat),
        stop_requested=asked.time if asked is not None else None,
        stop_now=asked is not None and asked.now,
        training_since=next((event.time for event in reversed(events) if event.name == "training"), None),
        last_progress=last_progress,
        expected_gap_seconds=expected_gap_seconds,
    )


def _may_return(final: Event | None, ended: ExitRecord | None) -> bool:
    """Whether the scheduler may know more than what the attempt has said itself."""
    if ended is not None and ended.requeued:
        return True
    return final.name == "preempted" and ended is None if final is not None else ended is None


def _look_at_processes(launch: LaunchRecord, events: list[Event]) -> dict[str, Any]:
    """What this machine knows of an attempt's processes now, as fields of Evidence."""
    same_host = launch.host == host.host_name()
    same_boot = launch.boot_id == host.boot_id()
    same_namespace = launch.pid_namespace == host.pid_namespace()
    here = same_host and same_boot and same_namespace
    # The processes before the lock: one that dies between the two looks must not seem to have left others behind.
    trainer = _process(*_trainer_of(launch, events)) if here else "unknown"
    supervisor = _process(launch.supervisor_pid, launch.supervisor_ticks) if here else "unknown"
    held = here and launch.lock is not None and lock.is_held(Path(launch.lock))
    missing = here and _lock_is_missing(launch)
    left = leftovers(launch) if trainer in ("gone", "zombie") and (held or missing) else ()
    return {
        "same_host": same_host,
        "same_boot": same_boot,
        "same_namespace": same_namespace or not same_boot,
        "supervisor": supervisor,
        "trainer": trainer,
        "lock_held": held or bool(left),
        "lock_missing": missing,
        "leftovers": left,
        "booted": None if same_boot else _booted(),
    }


def _trainer_of(launch: LaunchRecord, events: list[Event]) -> tuple[int | None, int | None]:
    """Pid and start ticks of the trainer: by its supervisor, or by its own word where that died too soon."""
    if launch.trainer_pid is not None:
        return launch.trainer_pid, launch.trainer_ticks
    for event in events:
        pid, ticks = event.facts.get("pid"), event.facts.get("ticks")
        if event.name == "started" and type(pid) is int and type(ticks) is int:
            return pid, ticks
    return None, None


def _lock_is_missing(launch: LaunchRecord) -> bool:
    """Whether somebody deleted the lock's file, so that it can't be asked whether it is held."""
    try:
        return launch.lock is not None and not Path(launch.lock).exists()
    except (OSError, ValueError):
        return False


def leftovers(launch: LaunchRecord) -> tuple[int, ...]:
    """Pids of processes that still hold the attempt's lock, its supervisor not among them."""
    if launch.lock is None:
        return ()
    holders = host.lock_holders(Path(launch.lock))
    return tuple(pid for pid in holders if pid != launch.supervisor_pid)


def _process(pid: int | None, ticks: int | None) -> ProcessEvidence:
    return "unknown" if pid is None else host.process_state(pid, ticks)


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _booted() -> float | None:
    try:
        return time.time() - float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
