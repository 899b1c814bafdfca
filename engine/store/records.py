"""What the small files of a run say, as types. Reading accepts this schema and the one before and never raises."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from engine.store.files import decode_number, read_json, read_records, write_json
from engine.store.paths import SCHEMA, AttemptPaths

READABLE_SCHEMAS = (SCHEMA - 1, SCHEMA)
"""This version's schema and the one before (0 stands for files from before there were schemas)."""
FINAL_EVENTS = ("finished", "stopped", "preempted", "failed")


@dataclass(frozen=True)
class RunRecord:
    """run.json: written once, when the run is made. `created` is in seconds since 1970.

    `folder` is the working folder of a command of the user's own; None for what our engine trains, which needs none.
    """

    id: str
    name: str
    task: str
    created: float
    seed: int | None = None
    study: str | None = None
    arm: str | None = None
    parent: str | None = None
    command: tuple[str, ...] = ()
    config_hash: str | None = None
    git_commit: str | None = None
    host: str | None = None
    folder: str | None = None
    schema: int = 1


@dataclass(frozen=True)
class LaunchRecord:
    """launch.json: how an attempt was started and by which processes.

    `folder` is its working folder; `code`, if given, the folder whose code it trains with, whatever is installed;
    `git_commit` the commit of the code; `prune_at_evaluations` lets its search look at each of its evaluations;
    `environment` holds variables that its slot sets for the trainer; `notify` is
    the command that tells people of alerts and of the end; `processes` train together on `nodes` machines, and where
    they are several the trainer is torchrun. Times are seconds since 1970; ticks are clock ticks since boot.
    """

    attempt: int
    created: float
    host: str
    boot_id: str | None = None
    pid_namespace: str | None = None
    backend: str = "local"
    command: tuple[str, ...] = ()
    folder: str | None = None
    code: str | None = None
    git_commit: str | None = None
    lock: str | None = None
    resumed_from_step: int | None = None
    resumed_from_checkpoint: str | None = None
    total_steps: int | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    accept_settings: bool = False
    reset_scaler: bool = False
    grace_seconds: float = 120.0
    launcher_pid: int | None = None
    supervisor_pid: int | None = None
    supervisor_ticks: int | None = None
    trainer_pid: int | None = None
    trainer_ticks: int | None = None
    started: float | None = None
    weaker_evidence: bool = False
    prune_at_evaluations: bool = False
    notify: str | None = None
    profile: str | None = None
    """From here on only of backend `slurm`: the profile, and the job's name, by which it is found in the queue."""
    job_name: str | None = None
    array_index: int | None = None
    job: str | None = None
    """The job's number, known once it has begun."""
    restarts: int = 0
    """How often SLURM had restarted the job when this attempt began."""
    cluster: str | None = None
    kill_wait: float | None = None
    """Seconds that the cluster leaves a job between its SIGTERM and its SIGKILL."""
    processes: int = 1
    nodes: int = 1
    schema: int = 1

    @property
    def on_cluster(self) -> bool:
        """Whether a cluster's scheduler starts it and may start it again."""
        return self.backend == "slurm"


@dataclass(frozen=True)
class ExitRecord:
    """exit.json: how the trainer ended, as its supervisor saw it, by code or signal. `error` says more.

    `job_cause` is what became of its SLURM job at that moment; `requeued` that the job will come back as a new attempt.
    """

    ended: float
    code: int | None = None
    signal: int | None = None
    rung: str | None = None
    error: str | None = None
    job_cause: str | None = None
    requeued: bool = False
    schema: int = 1


@dataclass(frozen=True)
class Beat:
    """beat.json: a sign of life, and when the next is due."""

    time: float
    next_within_seconds: float
    schema: int = 1


class Event(NamedTuple):
    """One line of events.jsonl: what the engine says of itself. A tuple, since lists make them by the ten thousand."""

    name: str
    time: float
    step: int | None
    facts: dict[str, Any]

    @property
    def is_final(self) -> bool:
        return self.name in FINAL_EVENTS


@dataclass(frozen=True)
class Notes:
    """notes.json: what people say of a run."""

    tags: tuple[str, ...] = ()
    note: str = ""
    star: bool = False
    archived: bool = False


def write_run(path: Path, record: RunRecord) -> None:
    """Write run.json, once.

    Raises:
        MachineError: the folder can't be written.
    """
    write_json(path, asdict(record))


def write_launch(attempt: AttemptPaths, record: LaunchRecord) -> None:
    """Write launch.json: the launcher does once, then the supervisor with what it learns.

    Raises:
        MachineError: the attempt's folder can't be written.
    """
    write_json(attempt.launch, asdict(record))


def write_exit(path: Path, record: ExitRecord) -> None:
    """Write exit.json.

    Raises:
        MachineError: the folder can't be written.
    """
    write_json(path, asdict(record))


def write_beat(path: Path, record: Beat) -> None:
    """Write beat.json.

    Raises:
        MachineError: the folder can't be written.
    """
    write_json(path, asdict(record))


def read_run(path: Path) -> RunRecord | None:
    """run.json, or None when it is missing or damaged."""
    found: RunRecord | None = _read(path, RunRecord)
    return found


def read_launch(path: Path) -> LaunchRecord | None:
    """launch.json, or None when it is missing or damaged."""
    found: LaunchRecord | None = _read(path, LaunchRecord)
    return found


def read_exit(path: Path) -> ExitRecord | None:
    """exit.json, or None when it is missing or damaged."""
    found: ExitRecord | None = _read(path, ExitRecord)
    return found


def read_beat(path: Path) -> Beat | None:
    """beat.json, or None when it is missing or damaged."""
    found: Beat | None = _read(path, Beat)
    return found


def read_notes(path: Path) -> Notes:
    """notes.json; no notes when it is missing or damaged."""
    return _read(path, Notes) or Notes()


def read_events(path: Path) -> tuple[list[Event], int]:
    """All events of an attempt and the number of damaged lines."""
    records, damaged = read_records(path)
    found = [event for event in map(to_event, records) if event is not None]
    return found, damaged + len(records) - len(found)


def to_event(record: dict[str, Any]) -> Event | None:
    """A line of events.jsonl as an event, which takes the record over; None when it lacks a name or a time."""
    name, time, step = record.pop("event", None), record.pop("time", None), record.pop("step", None)
    if type(time) is not float or not math.isfinite(time):
        time = _fit(time, "float")
    if not isinstance(name, str) or time is _MISFIT:
        return None
    if type(step) is not int or not -_LIMIT < step < _LIMIT:
        step = None
    return Event(name, time, step, record)


def _read(path: Path, record_class: type[Any]) -> Any:
    return from_content(record_class, read_json(path))


def from_content(record_class: type[Any], content: dict[str, Any] | None) -> Any:
    """A record from what its file holds; None where that is nothing, of another schema or doesn't fit."""
    if content is None or content.get("schema", SCHEMA) not in READABLE_SCHEMAS:
        return None
    return from_fields(record_class, content)


def from_fields(record_class: Any, content: dict[str, Any]) -> Any:
    """A record from a JSON object; unknown fields are left out, and None comes back if it doesn't fit."""
    values: dict[str, Any] = {}
    for name, kind, plain, number in _shape(record_class):
        if name not in content:
            continue
        value = content[name]
        found = type(value)
        if found not in plain and not (found is number and -_LIMIT < value < _LIMIT):
            value = _fit(value, kind)
            if value is _MISFIT:
                return None
        values[name] = value
    try:
        return record_class(**values)
    except TypeError:  # a field without default is missing
        return None


_MISFIT = object()
_LIMIT = 2**63
_PLAIN = {"str": str, "bool": bool, "dict[str, Any]": dict}


@cache
def _shape(record_class: Any) -> tuple[tuple[str, str, frozenset[type[Any]], type[Any] | None], ...]:
    """Per field its name and annotation, the types of which all values fit, and the one that fits within the limit."""
    shape = []
    for name, definition in record_class.__dataclass_fields__.items():
        kind = str(definition.type)
        bare = kind.removesuffix(" | None")
        plain = {_PLAIN[bare]} if bare in _PLAIN else set()
        if kind != bare:
            plain.add(type(None))
        number = {"int": int, "float": float}.get(bare)
        shape.append((name, kind, frozenset(plain), number))
    return tuple(shape)


def _fit(value: Any, kind: str) -> Any:
    """The value as the annotated type, or _MISFIT. The handful of types that our records use."""
    if value is None:
        return None if "None" in kind else _MISFIT
    if kind.startswith("tuple"):
        fits = isinstance(value, list) and all(isinstance(part, str) for part in value)
        return tuple(value) if fits else _MISFIT
    if kind.startswith("dict"):
        return value if isinstance(value, dict) else _MISFIT
    if kind.startswith("bool"):
        return value if isinstance(value, bool) else _MISFIT
    if kind.startswith("int"):
        fits = isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LIMIT
        return value if fits else _MISFIT
    if kind.startswith("float"):
        number = decode_number(value) if not isinstance(value, str) else None
        return number if number is not None and math.isfinite(number) else _MISFIT
    return value if isinstance(value, str) else _MISFIT
