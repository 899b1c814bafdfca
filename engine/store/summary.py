"""A run in one record: what lists, `--json` and the app's table show of it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import Any

from engine.store import reading
from engine.store.evidence import gather
from engine.store.files import encode_number
from engine.store.metric_tail import Tail, figures_of, metric_tail
from engine.store.paths import EVENTS_FILE, EXIT_FILE, LAUNCH_FILE, NOTES_FILE, RUN_FILE, RunPaths
from engine.store.queue import QUEUE_FILE
from engine.store.records import (
    FINAL_EVENTS,
    Event,
    ExitRecord,
    LaunchRecord,
    Notes,
    RunRecord,
    from_content,
    to_event,
)
from engine.store.status import Evidence, State, Status, decide


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
    backend: str = "local"
    job: str | None = None
    """The number of the cluster's job that it waits for or runs as, where that is known."""
    suspect: str | None = None
    """Why what it has learned is not to be trusted, by the engine's own word at the end of its newest attempt."""
    settled: bool = False
    """Whether only a new attempt can change this record, so that an index may keep it."""
    overrides: dict[str, Any] = field(default_factory=dict, repr=False)
    """Options changed since the run was made, by dotted key."""
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
            "suspect": self.suspect,
            "backend": self.backend,
            "job": self.job,
        }

    @staticmethod
    def from_json(content: dict[str, Any]) -> RunSummary:
        """The inverse of `to_json`, for the index; takes the content over."""
        values = content
        values["status"] = State(values["status"])
        for key in ("tags", "alerts", "problems"):
            values[key] = tuple(values[key])
        for key in ("metrics", "best"):
            values[key] = figures_of(values[key])
        return RunSummary(**values, settled=True)


def summarize(run: RunPaths, *, events: bool = True) -> RunSummary | None:
    """Read a run's small files and the tail of its metrics. None while its run.json isn't there.

    Never raises for what is in the files: damage is named in `problems`.

    Args:
        run: which run.
        events: keep its events too, which take more memory than all the rest.
    """
    found, final = _read(run, events)
    if found is None or final or not found.status.is_final:
        return found
    # Its processes were gone when they were looked at, but its words were read before that, and an index keeps what
    # is settled for good: only now is there nobody left to add to them.
    return _read(run, events)[0]


def _read(run: RunPaths, keep_events: bool) -> tuple[RunSummary | None, bool]:
    """The summary, and whether it ended by the engine's own word."""
    folder = os.fspath(run.folder)
    record: RunRecord | None = from_content(RunRecord, reading.read_object(f"{folder}/{RUN_FILE}"))
    problems: list[str] = []
    if record is None:
        try:
            open(run.record, "rb").close()
        except (FileNotFoundError, NotADirectoryError):
            return None, False
        except OSError as error:  # somebody else's run in a shared store
            problems.append(f"run.json can't be read ({error.strerror})")
        else:
            problems.append("run.json is damaged or of another schema")
    numbers = run.attempt_numbers()
    history = _read_attempts(run, numbers, problems)
    # A last word carries the last figures: what has ended needs no look at its metrics.
    final = next((event for event in reversed(history.last_attempt) if event.is_final), None)
    spoken = final is not None and "train/loss" in figures_of(final.facts.get("metrics"))
    script = record is not None and record.folder is not None
    start = history.launch.resumed_from_step if history.launch else None
    tail = Tail() if spoken else metric_tail(run, numbers, resumed_from=start, any_pace=script)
    if script and tail.gap is None:
        tail.gap = math.inf  # a script may say nothing at all for as long as it likes
    step = max(tail.step, history.step)
    status = _status(run, numbers, history, tail, record, final)
    metrics = history.evaluated | tail.values
    total = history.total_steps
    rate = tail.rate if status.state.is_live else None
    said = reading.read_object(f"{folder}/{NOTES_FILE}")
    if said is None and os.path.lexists(run.notes):
        problems.append("notes.json is damaged: its tags and note are not shown")
    notes: Notes = from_content(Notes, said) or Notes()
    if reading.read_object(run.resume) is None and os.path.lexists(run.resume):
        problems.append("resume.json is damaged: a rewind of this run may have been forgotten")
    unknown = status.state is State.LOST and bool(numbers) and history.launch is None  # its launch.json may yet come
    if status.state is not State.STOPPED and history.launch is not None and _never_began(history.launch):
        unknown = True  # its job may yet begin
    leftovers = "processes of it are left" in status.reason
    settled = status.state.is_final and not (unknown or leftovers or problems)  # damage may yet be put right
    summary = RunSummary(
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
        attempts=len(numbers),
        host=history.launch.host if history.launch and not _never_began(history.launch) else None,
        rate=rate,
        left=(total - step) / rate if rate and total else None,
        alerts=history.alerts,
        problems=tuple(problems),
        backend=history.launch.backend if history.launch else "local",
        job=status.job or (history.launch.job if history.launch else None),
        suspect=_suspect(history.last_attempt),
        settled=settled,
        overrides=history.overrides,
        events=tuple(history.events) if keep_events else (),
    )
    return summary, final is not None


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
    overrides: dict[str, Any] = field(default_factory=dict)
    step: int = 0

    def sum_up(self) -> None:
        """From the last event back: the last word on each figure counts, and most events repeat the same ones."""
        evaluated = self.evaluated
        best: Any = None
        trained: int | None = None
        alerts: list[str] = []
        for name, _, step, facts in reversed(self.events):
            if step is not None and step > self.step and name not in _REMARKS:
                self.step = step
            if name in _TELLING:
                figures = facts.get("metrics")
                if isinstance(figures, dict) and not figures.keys() <= evaluated.keys():
                    self.evaluated = evaluated = figures_of(figures) | evaluated
            elif name == "training":
                total = facts.get("total_steps")
                if trained is None and type(total) is int and 0 < total < 2**63:
                    trained = total
            elif name == "alert":
                alerts.append(str(facts.get("message", facts.get("cause", ""))))
            if best is None and "best" in facts and isinstance(facts["best"], dict):
                best = facts["best"]
        self.best = figures_of(best)
        self.total_steps = trained or self.total_steps
        self.alerts = tuple(reversed(alerts))


def _read_attempts(run: RunPaths, numbers: list[int], problems: list[str]) -> _History:
    history = _History()
    for number in numbers:
        folder = f"{run.folder}/attempts/{number:03d}"
        launch: LaunchRecord | None = from_content(LaunchRecord, reading.read_object(f"{folder}/{LAUNCH_FILE}"))
        if launch is None and os.path.lexists(f"{folder}/{LAUNCH_FILE}"):
            problems.append(f"attempt {number}: launch.json is damaged or of another schema")
        records, damaged = reading.read_lines(f"{folder}/{EVENTS_FILE}")
        events = [event for event in map(to_event, records) if event is not None]
        damaged += len(records) - len(events)
        if damaged:
            problems.append(f"attempt {number}: {damaged} damaged lines in events.jsonl")
        if not events and not damaged and _is_unreadable(f"{folder}/{EVENTS_FILE}"):
            problems.append(f"attempt {number}: events.jsonl can't be read")
        ended = from_content(ExitRecord, reading.read_object(f"{folder}/{EXIT_FILE}"))
        if ended is None and os.path.lexists(f"{folder}/{EXIT_FILE}"):
            problems.append(f"attempt {number}: exit.json is damaged or of another schema")
        if launch is not None and launch.resumed_from_step is not None:
            start = launch.resumed_from_step
            history.events = [event for event in history.events if event.step is None or event.step <= start]
        history.events = _without_rolled_back(history.events + events)
        history.last_attempt = events
        history.launch = launch
        for key, change in launch.overrides.items() if launch is not None and launch.overrides else ():
            if isinstance(change, dict) and "to" in change:
                history.overrides[key] = change["to"]
        history.total_steps = (launch.total_steps if launch else None) or history.total_steps
    history.sum_up()
    return history


_TELLING = ("evaluated", *FINAL_EVENTS)


def _never_began(launch: LaunchRecord) -> bool:
    return launch.on_cluster and launch.started is None


def _suspect(events: list[Event]) -> str | None:
    for event in reversed(events):
        if event.name == "suspect":
            return str(event.facts.get("message") or "its result is near chance")
    return None


def _is_unreadable(path: str) -> bool:
    """Whether something is there that is no readable file."""
    try:
        open(path, "rb").close()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


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


def _status(
    run: RunPaths, numbers: list[int], history: _History, tail: Tail, record: RunRecord | None, final: Event | None
) -> Status:
    # The engine's own word beats all other evidence but a new place in the queue, so no other is gathered.
    comes_back = final is not None and final.name == "preempted" and history.launch and history.launch.on_cluster
    if final is not None and not comes_back and not os.path.exists(f"{run.folder}/{QUEUE_FILE}"):
        return decide(Evidence(now=final.time, launch=history.launch, final_event=final))
    # That the guard has raised an alert is no progress: a stall would end with its own alert.
    last = max((event.time for event in history.last_attempt if event.name not in _REMARKS), default=None)
    progress = max((time for time in (tail.time, last) if time is not None), default=None)
    evidence = gather(
        run,
        run.attempt(numbers[-1]) if numbers else None,
        record,
        events=history.last_attempt,
        last_progress=progress if len(history.last_attempt) > 1 or tail.values else None,
        expected_gap_seconds=tail.gap,
    )
    return decide(evidence)
