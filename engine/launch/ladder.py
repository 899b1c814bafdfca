"""The stop ladder: ask, ask again, kill. Pure: told the time, it says which rung is due."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LEAVE_SECONDS = 10.0


class Rung(StrEnum):
    """What is done to an attempt that must end."""

    CHECKPOINT = "checkpoint at the next step and leave"
    LEAVE = "leave now"
    KILL = "SIGKILL"


@dataclass
class Ladder:
    """Climbs a rung when the one before has had its time.

    Args:
        grace_seconds: how long the trainer may take to write its last checkpoint.
        leave_seconds: how long it may take to leave without one.
    """

    grace_seconds: float = 120.0
    leave_seconds: float = LEAVE_SECONDS
    _rung: Rung | None = None
    _deadline: float = 0.0

    def climb(self, clock_seconds: float, *, now: bool = False) -> Rung | None:
        """The rung to act on at this moment of a monotonic clock, or None while the last one has time left."""
        if self._rung is Rung.KILL:
            due = clock_seconds >= self._deadline
        elif now and self._rung is not Rung.LEAVE:
            self._rung = Rung.LEAVE
            due = True
        elif self._rung is None:
            self._rung = Rung.CHECKPOINT
            due = True
        else:
            due = clock_seconds >= self._deadline
            if due:
                self._rung = Rung.LEAVE if self._rung is Rung.CHECKPOINT else Rung.KILL
        if not due:
            return None
        wait = {Rung.CHECKPOINT: self.grace_seconds, Rung.LEAVE: self.leave_seconds, Rung.KILL: 1.0}
        assert self._rung is not None
        self._deadline = clock_seconds + wait[self._rung]
        return self._rung
