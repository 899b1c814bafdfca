"""The cluster's jobs as lists show them: the waiting ones of an array folded into one line. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.store.status import State
from engine.store.summary import RunSummary

_FEW = 3


@dataclass(frozen=True)
class JobLine:
    """One job, or the jobs of one array that wait: their runs, of which the first stands for all."""

    job: str | None
    runs: tuple[RunSummary, ...]

    @property
    def first(self) -> RunSummary:
        return self.runs[0]

    @property
    def why(self) -> str:
        """What the jobs wait for, or how they stand."""
        return self.first.reason


def fold(runs: Sequence[RunSummary], few: int = _FEW) -> list[JobLine]:
    """Runs in their order, those that wait in the same array as one line where the first of them stands.

    Args:
        runs: any.
        few: fewer of an array than so many keep a line each.
    """
    arrays: dict[str, list[RunSummary]] = {}
    for run in runs:
        array = array_of(run)
        if array is not None:
            arrays.setdefault(array, []).append(run)
    found = []
    for run in runs:
        array = array_of(run)
        members = arrays.get(array, []) if array is not None else []
        if array is None or len(members) < few:
            found.append(JobLine(run.job, (run,)))
        elif members[0] is run:
            found.append(JobLine(f"{array}_[{ranges(members)}]", tuple(members)))
    return found


def array_of(run: RunSummary) -> str | None:
    """The number of the array in which a run waits; None where it doesn't."""
    if run.backend != "slurm" or run.status is not State.QUEUED or run.job is None or "_" not in run.job:
        return None
    return run.job.partition("_")[0]


def ranges(members: Sequence[RunSummary]) -> str:
    """The places of runs in their array, as SLURM writes them: `0-3,7`."""
    named = {(run.job or "").partition("_")[2] for run in members}
    places = sorted(int(place) for place in named if place.isdigit())
    parts: list[list[int]] = []
    for place in places:
        if parts and place == parts[-1][1] + 1:
            parts[-1][1] = place
        else:
            parts.append([place, place])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def on_cluster(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """The runs that are jobs of a cluster now: waiting, training, or believed to."""
    return [
        run
        for run in runs
        if run.backend == "slurm" and (run.status.is_live or run.status in (State.QUEUED, State.SILENT))
    ]


def cluster_words(runs: Sequence[RunSummary]) -> str:
    """How many runs are jobs of a cluster, in a few words; empty where none is."""
    there = on_cluster(runs)
    waiting = sum(run.status is State.QUEUED for run in there)
    silent = sum(run.status is State.SILENT for run in there)
    training = len(there) - waiting - silent
    counts = ((training, "train"), (waiting, "wait"), (silent, "unknown"))
    said = ", ".join(f"{count} {word}" for count, word in counts if count)
    return f"cluster: {said}" if said else ""
