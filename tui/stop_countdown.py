"""How far the stop ladder of a run has come: what was asked, how long that still has, and what comes next. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from engine.launch.ladder import LEAVE_SECONDS
from engine.store.requests import StopRequest
from tui import format


@dataclass(frozen=True)
class Ladder:
    """The ladder of one run: its request, and the seconds that the trainer may take to save."""

    request: StopRequest
    grace_seconds: float

    def over_since(self, now: float) -> float:
        """Seconds since its last rung; negative while that is yet to come."""
        grace = 0.0 if self.request.now else self.grace_seconds
        return now - (self.request.time + grace + LEAVE_SECONDS)

    def text(self, now: float) -> str:
        """Where it stands, in one line."""
        left = -self.over_since(now)
        asked = f"asked to stop {format.duration(now - self.request.time)} ago"
        if left > LEAVE_SECONDS:
            saves = f"saves its last checkpoint, for which it has {format.duration(left - LEAVE_SECONDS)}"
            return f"{asked}: {saves}; then told to leave, then killed. s ends it at once"
        if left > 0:
            return f"{asked}: told to leave now; killed in {format.duration(left)}"
        return f"{asked}: being killed"
