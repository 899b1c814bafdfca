"""Gathers from a store what `engine.store.doctor` diagnoses. Reads only what may be wrong; never raises for content."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engine.errors import HeatsError
from engine.store import checkpoints
from engine.store.doctor import Finding, Machine, RunFacts, diagnose
from engine.store.evidence import gather
from engine.store.paths import AttemptPaths, RunPaths, Store
from engine.store.records import Event, read_beat, read_events, read_launch
from engine.store.status import State
from engine.store.summary import RunSummary
from engine.store.twins import find_twins

_MARKS = (b'"alert', b'"suspect"')


def check_up(
    store: Store,
    chosen: Sequence[RunSummary],
    everybody: Sequence[RunSummary],
    *,
    logout_warning: str | None = None,
    exempt_studies: frozenset[str] = frozenset(),
) -> list[Finding]:
    """What is wrong with some runs of a store, and with the machine.

    Args:
        store: which store.
        chosen: the runs to look at.
        everybody: the runs among which twins are looked for.
        logout_warning: whether this machine ends processes at logout, as a sentence.
        exempt_studies: studies that compare their arms for identity.
    """
    facts = [run_facts(store.run(summary.id), summary) for summary in chosen]
    twins = find_twins([(store.run(summary.id), summary.tags) for summary in everybody], exempt_studies=exempt_studies)
    machine = Machine(_free_bytes(store.root), logout_warning)
    return diagnose(facts, machine, twins, now=time.time())


def run_facts(run: RunPaths, summary: RunSummary) -> RunFacts:
    """What a diagnosis needs to know of a run."""
    attempts = run.attempts()
    evidence = None
    if not summary.settled and attempts:
        evidence = gather(run, attempts[-1])
        # Here processes tell more than beats, but beats tell of clocks.
        evidence = replace(evidence, beat=evidence.beat or read_beat(attempts[-1].beat))
    return RunFacts(
        summary=summary,
        evidence=evidence,
        events=_events(run, summary),
        checkpoints=tuple(checkpoints.scan(run)),
        save_every=_save_every(run) if summary.status in (State.RUNNING, State.STALLED) else None,
        undelivered=undelivered(attempts[-1]) if attempts else (),
    )


def _events(run: RunPaths, summary: RunSummary) -> tuple[Event, ...]:
    """The events that matter here. Most runs have none, so most files are searched as bytes and never parsed."""
    names = {"alert", "alert_over", "suspect"}
    if summary.status.is_live:
        names |= {"training", "checkpoint"}
    found: list[Event] = []
    for attempt in run.attempts():
        launch = read_launch(attempt.launch) if found else None
        if launch is not None and launch.resumed_from_step is not None:  # what came after that point is shadowed
            start = launch.resumed_from_step
            found = [event for event in found if event.step is None or event.step <= start]
        if not summary.status.is_live and not _holds(attempt.events, _MARKS):
            continue
        events, _ = read_events(attempt.events)
        found += [event for event in events if event.name in names]
    return tuple(found)


def _holds(path: Path, marks: Sequence[bytes]) -> bool:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return False
    return any(mark in content for mark in marks)


def _save_every(run: RunPaths) -> int | None:
    from engine.store.stored_config import training_config

    try:
        return training_config(run).train.save_every
    except HeatsError:
        return None


def undelivered(attempt: AttemptPaths) -> tuple[str, ...]:
    """Why notifications failed, oldest first."""
    try:
        lines = attempt.notify_log.read_text(errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(line.partition(" failed: ")[2] for line in lines if " failed: " in line)


def _free_bytes(root: Path) -> int | None:
    try:
        return shutil.disk_usage(root).free
    except OSError:
        return None
