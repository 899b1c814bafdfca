"""What a run's events say, over all its attempts."""

from __future__ import annotations

from typing import Any

from engine.store.metrics import RunHistory
from engine.store.paths import RunPaths
from engine.store.records import Event, read_events


def events(run: RunPaths, *names: str) -> list[Event]:
    """All events of these names, in order."""
    return [event for attempt in run.attempts() for event in read_events(attempt.events)[0] if event.name in names]


def alerts(run: RunPaths, cause: str) -> list[Event]:
    """The alerts of one cause."""
    return [event for event in events(run, "alert") if event.facts["cause"] == cause]


def causes(run: RunPaths) -> list[str]:
    """The causes of all alerts, in order."""
    return [event.facts["cause"] for event in events(run, "alert")]


def series(run: RunPaths, name: str) -> dict[int, Any]:
    """A metric's effective history, by step."""
    history = RunHistory(run)
    history.refresh()
    found = history.series[name]
    return dict(zip(found.steps, found.values, strict=True))
