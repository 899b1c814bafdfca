"""How each attempt of a run began and ended, for `heats show`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.store.paths import AttemptPaths, RunPaths
from engine.store.records import read_events, read_exit, read_launch
from engine.store.status import State, signal_name
from engine.store.summary import RunSummary


@dataclass(frozen=True)
class AttemptView:
    """One attempt in words. Times in seconds since 1970; `ended` is None while it goes on or where nobody knows."""

    number: int
    started: float | None
    resumed_from_step: int | None
    state: str
    reason: str
    ended: float | None
    host: str | None
    overrides: dict[str, Any]
    """Options changed with this attempt: `{key: {"from": ..., "to": ...}}`."""
    processes: int = 1
    """How many trained together."""

    def to_json(self) -> dict[str, Any]:
        """The stable public form."""
        return {
            "attempt": self.number,
            "started": self.started,
            "resumed_from_step": self.resumed_from_step,
            "status": self.state,
            "reason": self.reason,
            "ended": self.ended,
            "host": self.host,
            "overrides": self.overrides,
            "processes": self.processes,
        }


def view_attempts(run: RunPaths, summary: RunSummary) -> list[AttemptView]:
    """All attempts, oldest first. The newest one's state is the run's own."""
    attempts = run.attempts()
    return [_view(attempt, summary if attempt is attempts[-1] else None) for attempt in attempts]


def _view(attempt: AttemptPaths, newest: RunSummary | None) -> AttemptView:
    launch = read_launch(attempt.launch)
    if newest is not None:
        ended = newest.since if newest.status.is_final else None
        state, reason = str(newest.status), newest.reason
    else:
        state, reason, ended = _ending(attempt)
    return AttemptView(
        number=attempt.number,
        started=(launch.started or launch.created) if launch else None,
        resumed_from_step=launch.resumed_from_step if launch else None,
        state=state,
        reason=reason,
        ended=ended,
        host=launch.host if launch else None,
        overrides=launch.overrides if launch else {},
        processes=launch.processes if launch else 1,
    )


def _ending(attempt: AttemptPaths) -> tuple[str, str, float | None]:
    """How an attempt that a later one followed came to its end: by its own word, else by its supervisor's."""
    events, _ = read_events(attempt.events)
    final = next((event for event in reversed(events) if event.is_final), None)
    if final is not None:
        at = f"at step {final.step}" if final.step is not None else ""
        why = final.facts.get("reason") or final.facts.get("error")
        return final.name, ": ".join(str(part) for part in (at, why) if part), final.time
    left = read_exit(attempt.exit)
    if left is None:
        return str(State.LOST), "left no word, nor did its supervisor", None
    if left.signal is not None:
        why = f": {left.error}" if left.error else ""
        return str(State.KILLED), f"by {signal_name(left.signal)}{why}", left.ended
    if left.code == 0:
        return str(State.FINISHED), "exit code 0", left.ended
    return str(State.FAILED), left.error or f"exit code {left.code}", left.ended
