"""Gathers the evidence of a run's newest attempt from its folder and from this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from engine.store import host, lock
from engine.store.paths import AttemptPaths, RunPaths
from engine.store.records import Event, LaunchRecord, RunRecord, read_beat, read_events, read_exit, read_launch
from engine.store.requests import read_stop
from engine.store.status import Evidence, ProcessEvidence


def gather(
    run: RunPaths,
    attempt: AttemptPaths | None,
    record: RunRecord | None = None,
    *,
    events: list[Event] | None = None,
    last_progress: float | None = None,
    expected_gap_seconds: float | None = None,
) -> Evidence:
    """Everything that `decide` needs to know. What is passed in isn't read again."""
    now = time.time()
    created = record.created if record else None
    if attempt is None:
        return Evidence(now=now, created=created or _modified(run.folder))
    launch = read_launch(attempt.launch)
    exit_record = read_exit(attempt.exit)
    if launch is None:  # being made, or damaged: the run itself may be much older than this attempt
        created = _modified(attempt.folder) or created
    spoken = events is not None and any(event.is_final for event in events)
    seen: dict[str, Any] = {}
    if launch is not None and exit_record is None and not spoken:
        # Processes before their words: a word that isn't there once its writer has gone will never come, but one that
        # wasn't there a moment before may have been written since.
        seen = _look_at_processes(launch)
        exit_record = read_exit(attempt.exit)
    if events is None:
        events, _ = read_events(attempt.events)
    final = next((event for event in reversed(events) if event.is_final), None)
    base = {
        "now": now, "created": created, "launch": launch, "final_event": final,
        "last_event": events[-1] if events else None, "exit": exit_record,
    }  # fmt: skip
    if final is not None or exit_record is not None or launch is None:
        return Evidence(**base)  # type: ignore[arg-type]
    stop = read_stop(run)
    return Evidence(
        **base,  # type: ignore[arg-type]
        **seen,
        beat=None if seen["same_host"] and seen["same_boot"] and seen["same_namespace"] else read_beat(attempt.beat),
        stop_requested=stop.time if stop is not None and stop.attempt == attempt.number else None,
        last_progress=last_progress,
        expected_gap_seconds=expected_gap_seconds,
    )


def _look_at_processes(launch: LaunchRecord) -> dict[str, Any]:
    """What this machine knows of an attempt's processes now, as fields of Evidence."""
    same_host = launch.host == host.host_name()
    same_boot = launch.boot_id == host.boot_id()
    same_namespace = launch.pid_namespace == host.pid_namespace()
    here = same_host and same_boot and same_namespace
    held = here and launch.lock is not None and lock.is_held(Path(launch.lock))
    trainer = _process(launch.trainer_pid, launch.trainer_ticks) if here else "unknown"
    return {
        "same_host": same_host,
        "same_boot": same_boot,
        "same_namespace": same_namespace or not same_boot,
        "supervisor": _process(launch.supervisor_pid, launch.supervisor_ticks) if here else "unknown",
        "trainer": trainer,
        "lock_held": held,
        "leftovers": leftovers(launch) if held and trainer in ("gone", "zombie") else (),
        "booted": None if same_boot else _booted(),
    }


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
