"""Whether a run's last checkpoint will be in time: saves that take longer than anybody waits."""

from __future__ import annotations

from dataclasses import dataclass

from engine.store.records import LaunchRecord


@dataclass(frozen=True)
class Patience:
    """How long whoever ends this process waits for its last checkpoint, and who that is."""

    seconds: float
    who: str

    @classmethod
    def of(cls, launch: LaunchRecord | None) -> Patience | None:
        """The shorter one of the supervisor's and of the cluster's; None where nobody would wait, or nobody ends it."""
        if launch is None:
            return None
        found = []
        if launch.grace_seconds:
            found.append(cls(launch.grace_seconds, "a stop waits {} s for the last one (HEATS_GRACE_SECONDS)"))
        if launch.kill_wait:
            found.append(cls(launch.kill_wait, "its cluster kills a job {} s after it has asked it to go (KillWait)"))
        return min(found, key=lambda item: item.seconds, default=None)

    def complaint(self, seconds: float) -> str | None:
        """What to tell of a checkpoint that took so long to save; None where it was in time."""
        if seconds <= self.seconds:
            return None
        return (
            f"a checkpoint took {seconds:.0f} s to save, and {self.who.format(f'{self.seconds:.0f}')}: "
            "it may be lost then, with the steps since the one before"
        )
