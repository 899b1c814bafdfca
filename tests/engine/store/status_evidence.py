"""What the rows of the table of status are made of: launches, evidence in the usual shapes, and a row itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from engine.store.records import Beat, Event, LaunchRecord
from engine.store.status import State

NOW = 1_000_000.0
LAUNCHED = NOW - 3600
STARTED = NOW - 3590
LAUNCH = LaunchRecord(
    attempt=1, created=LAUNCHED, host="here", boot_id="boot", supervisor_pid=10, supervisor_ticks=1, trainer_pid=11,
    trainer_ticks=2, started=STARTED,
)  # fmt: skip
WEAKER = replace(LAUNCH, weaker_evidence=True)
CLUSTER = replace(LAUNCH, backend="slurm", job_name="heats-a")
PENDING = LaunchRecord(1, LAUNCHED, "here", backend="slurm", job_name="heats-a")
NO_PIDS = replace(LAUNCH, supervisor_pid=None, supervisor_ticks=None, trainer_pid=None, trainer_ticks=None)
NO_TRAINER = replace(LAUNCH, trainer_pid=None, trainer_ticks=None, started=None)


def event(name: str, step: int | None = 70, **facts: Any) -> Event:
    return Event(name, NOW - 50, step, facts)


def beat(age: float, within: float = 10.0) -> Beat:
    return Beat(NOW - age, within)


ALIVE: dict[str, Any] = {
    "supervisor": "alive", "trainer": "alive", "lock_held": True, "last_event": event("training"),
    "last_progress": NOW - 2, "expected_gap_seconds": 120.0,
}  # fmt: skip
DEAD: dict[str, Any] = {"supervisor": "gone", "trainer": "gone", "last_progress": NOW - 300}
ASKED: dict[str, Any] = ALIVE | {"stop_requested": NOW - 7}
ELSEWHERE: dict[str, Any] = {"same_host": False, "same_boot": False, "same_namespace": False}


@dataclass(frozen=True)
class Row:
    claim: str
    facts: dict[str, Any]
    state: State
    words: tuple[str, ...]
    since: float | None
    absent: tuple[str, ...] = ()
    launch: LaunchRecord | None = field(default=LAUNCH)
