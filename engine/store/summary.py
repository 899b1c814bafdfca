"""A run in one record: what lists, `--json` and the app's table show of it."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from engine.store.evidence import gather
from engine.store.files import decode_number, encode_number
from engine.store.metrics import ROLLED_BACK, JsonLinesTail
from engine.store.paths import AttemptPaths, RunPaths
from engine.store.records import Event, LaunchRecord, read_events, read_launch, read_notes, read_run
from engine.store.status import State, Status, decide

_TAIL_BYTES = 1 << 14
_STALL_FACTOR = 10.0
_STALL_FLOOR_SECONDS = 120.0


@dataclass(frozen=True)
class RunSummary:
    """One run at one moment. Times in seconds since 1970, rate in steps a second, `left` in seconds."""

    id: str
    name: str
    task: str
    status: State
    reason: str
    since: float | None
    step: int
    total_steps: int | None
    metrics: dict[str, float]
    best: dict[str, float]
    study: str | None
    arm: str | None
    seed: int | None
    tags: tuple[str, ...]
    note: str
    star: bool
    archived: bool
    created: float
    attempts: int
    host: str | None
    rate: float | None
    left: float | None
    alerts: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    settled: bool = False
    """Whether only a new attempt can change this record, so that an index may keep it."""
    events: tuple[Event, ...] = field(default=(), repr=False, compare=False)

    @property
    def loss(self) -> float | None:
        """The loss to show and sort by: the validation loss where there is one."""
        return self.metrics.get("val/loss", self.metrics.get("train/loss"))

    def to_json(self) -> dict[str, Any]:
        """The stable public form: field names are part of the interface."""
        return {
            "id": self.id,
            "name": self.name,
            "task": self.task,
            "status": str(self.status),
            "reason": self.reason,
            "since": self.since,
            "step": self.step,
            "total_steps": self.total_steps,
            "metrics": {name: encode_number(value) for name, value in self.metrics.items()},
            "best": {name: encode_number(value) for name, value in self.best.items()},
            "study": self.study,
            "arm": self.arm,
            "seed": self.seed,
            "tags": list(self.tags),
            "note": self.note,
            "star": self.star,
            "archived": self.archived,
            "created": self.created,
            "attempts": self.attempts,
            "host": self.host,
            "rate": self.rate,
            "left": self.left,
            "alerts": list(self.alerts),
            "problems": list(self.problems),
        }

    @staticmethod
    def from_json(content: dict[str, Any]) -> RunSummary:
        """The inverse of `to_json`, for the index."""
        values = dict(content)
        values["status"] = State(values["status"])
        for key in ("tags", "alerts", "problems"):
            values[key] = tuple(values[key])
        for key in ("metrics", "best"):
            decoded = {name: decode_number(value) for name, value in values[key].items()}
            values[key] = {name: value for name, value in decoded.items() if value is not None}
        return RunSummary(**values, settled=True)


def summarize(run: RunPaths) -> RunSummary | None:
    """Read a run's small files and the tail of its metrics. None while its run.json isn't there.

    Never raises for what is in the files: damage is named in `problems`.
    """
    record = read_run(run.record)
    problems: list[str] = []
    if record is None:
        try:
            open(run.record, "rb").close()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:  # somebody else's run in a shared store
            problems.append(f"run.json can't be read ({error.strerror})")
        else:
            problems.append("run.json is damaged or of another schema")
    attempts = run.attempts()
    history = _read_attempts(attempts, problems)
    # A last word carries the last figures: what has ended needs no look at its metrics.
    ended = bool(history.last_attempt) and history.last_attempt[-1].is_final
    spoken = ended and "train/loss" in _numbers(history.last_attempt[-1].facts.get("metrics"))
    tail = _Tail() if spoken else _metric_tail(attempts, history)
    step = max([tail.step, *(event.step or 0 for event in history.events if event.name not in _REMARKS)], default=0)
    status = _status(run, attempts, history, tail, record)
    metrics = history.evaluated | tail.values
    total = history.total_steps
    rate = tail.rate if status.state.is_live else None
    notes = read_notes(run.notes)
    unknown = status.state is State.LOST and bool(attempts) and history.launch is None  # its launch.json may yet come
    settled = status.state.is_final and not unknown and "processes of it are left" not in status.reason
    return RunSummary(
        id=run.id,
        name=record.name if record else run.id,
        task=record.task if record else "",
        status=status.state,
        reason=status.reason,
        since=status.since,
        step=step,
        total_steps=total,
        metrics=metrics,
        best=history.best,
        study=record.study if record else None,
        arm=record.arm if record else None,
        seed=record.seed if record else None,
        tags=notes.tags,
        note=notes.note,
        star=notes.star,
        archived=notes.archived,
        created=record.created if record else 0.0,
        attempts=len(attempts),
        host=history.launch.host if history.launch else None,
        rate=rate,
        left=(total - step) / rate if rate and total else None,
        alerts=history.alerts,
        problems=tuple(problems),
        settled=settled,
        events=tuple(history.events),
    )


@dataclass
class _History:
    """What the events of all attempts say together, shadowed ones left out."""

    events: list[Event] = field(default_factory=list)
    last_attempt: list[Event] = field(default_factory=list)
    evaluated: dict[str, float] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)
    alerts: tuple[str, ...] = ()
    launch: LaunchRecord | None = None
    total_steps: int | None = None


def _read_attempts(attempts: list[AttemptPaths], problems: list[str]) -> _History:
    history = _History()
    for attempt in attempts:
        launch = read_launch(attempt.launch)
        if launch is None and os.path.exists(attempt.launch):
            problems.append(f"attempt {attempt.number}: launch.json is damaged or of another schema")
        events, damaged = read_events(attempt.events)
        if damaged:
            problems.append(f"attempt {attempt.number}: {damaged} damaged lines in events.jsonl")
        if launch is not None and launch.resumed_from_step is not None:
            start = launch.resumed_from_step
            history.events = [event for event in history.events if event.step is None or event.step <= start]
        history.events = _without_rolled_back(history.events + events)
        history.last_attempt = events
        history.launch = launch
        history.total_steps = (launch.total_steps if launch else None) or history.total_steps
    for event in history.events:
        if event.name in ("evaluated", *_SUMMING) and isinstance(event.facts.get("metrics"), dict):
            history.evaluated |= _numbers(event.facts["metrics"])
        if isinstance(event.facts.get("best"), dict):
            history.best = _numbers(event.facts["best"])
        total = event.facts.get("total_steps")
        if event.name == "training" and type(total) is int and 0 < total < 2**63:
            history.total_steps = total
    history.alerts = tuple(
        str(event.facts.get("message", event.facts.get("cause", "")))
        for event in history.events
        if event.name == "alert"
    )
    return history


def _without_rolled_back(events: list[Event]) -> list[Event]:
    """Leave out what lies past the step of a rollback that came after it; alerts stay, for they say why."""
    if not any(event.name == "rolled_back" for event in events):
        return events
    kept: list[Event] = []
    for event in events:
        if event.name == "rolled_back" and event.step is not None:
            kept = [item for item in kept if item.step is None or item.step <= event.step or item.name in _REMARKS]
        kept.append(event)
    return kept


_REMARKS = ("alert", "alert_over", "rolled_back")
"""Events that say something of the run, and are no progress of it."""
_SUMMING = ("finished", "stopped", "preempted", "failed")


def _numbers(content: Any) -> dict[str, float]:
    if not isinstance(content, dict):
        return {}
    decoded = {str(name): decode_number(value) for name, value in content.items()}
    return {name: value for name, value in decoded.items() if value is not None}


@dataclass
class _Tail:
    step: int = 0
    values: dict[str, float] = field(default_factory=dict)
    time: float | None = None
    rate: float | None = None
    gap: float | None = None


def _metric_tail(attempts: list[AttemptPaths], history: _History) -> _Tail:
    """The last values of the metrics, from the end of the newest attempt's log that has any."""
    tail = _Tail()
    newest = attempts[-1].number if attempts else 0
    start = history.launch.resumed_from_step if history.launch else None
    rolled_back = False
    for attempt in reversed(attempts):
        if rolled_back:  # nothing logged yet since: the tail has its step, and older figures may lie past it
            break
        if attempt.number != newest and start is not None:
            # Nothing logged yet since the resume: what came before its resume point still holds.
            tail.step = start
            break
        times: deque[tuple[int, float]] = deque(maxlen=200)
        reader = JsonLinesTail(attempt.metrics, _tail_offset(attempt))
        for record in reader.read():
            step, time = record.pop("step"), decode_number(record.pop("time", None))
            if ROLLED_BACK in record:
                tail.step, rolled_back = step, True
                tail.values.clear()
                times.clear()
                continue
            tail.step = max(tail.step, step)
            tail.values |= _numbers(record)
            if time is not None:
                tail.time = time
                if "train/loss" in record:
                    times.append((step, time))
        _pace(tail, times)
        if tail.values:
            break
    return tail


def _tail_offset(attempt: AttemptPaths) -> int:
    """Where to start so that about the last 16 KiB are read: the first whole line in them."""
    try:
        size = os.stat(attempt.metrics).st_size
        if size <= _TAIL_BYTES:
            return 0
        with open(attempt.metrics, "rb") as file:
            file.seek(size - _TAIL_BYTES)
            return size - _TAIL_BYTES + len(file.readline())
    except OSError:
        return 0


def _pace(tail: _Tail, times: deque[tuple[int, float]]) -> None:
    if len(times) < 2:
        return
    (first_step, first), (last_step, last) = times[0], times[-1]
    if last > first and last_step > first_step:
        tail.rate = (last_step - first_step) / (last - first)
    gaps = [after[1] - before[1] for before, after in zip(list(times)[:-1], list(times)[1:], strict=True)]
    tail.gap = max(_STALL_FLOOR_SECONDS, _STALL_FACTOR * max(gaps))


def _status(run: RunPaths, attempts: list[AttemptPaths], history: _History, tail: _Tail, record: Any) -> Status:
    # That the guard has raised an alert is no progress: a stall would end with its own alert.
    last = max((event.time for event in history.last_attempt if event.name not in _REMARKS), default=None)
    progress = max((time for time in (tail.time, last) if time is not None), default=None)
    evidence = gather(
        run,
        attempts[-1] if attempts else None,
        record,
        events=history.last_attempt,
        last_progress=progress if len(history.last_attempt) > 1 or tail.values else None,
        expected_gap_seconds=tail.gap,
    )
    return decide(evidence)
