"""Taking runs out of the queue, with what becomes of those that never trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.errors import HeatsError
from engine.store import queue
from engine.store.paths import RunPaths, Store
from engine.store.submission import has_submissions
from engine.study.run import discard


def drop(store: Store, runs: Sequence[RunPaths], told: Callable[[RunPaths], None] = lambda run: None) -> None:
    """Take runs out of the queue. One that never trained goes to the trash, whence it can be brought back.

    Args:
        store: theirs.
        runs: which; all must wait, or nothing is done.
        told: called with each that is out.

    Raises:
        HeatsError: one doesn't wait, or somebody else is at the queue.
    """
    for run in runs:
        if queue.read_entry(run) is None:
            remedy = f"a job of a cluster is stopped by `heats stop {run.id}`" if has_submissions(store) else None
            raise HeatsError("it doesn't wait in this machine's queue", place=run.id, remedy=remedy)
    with queue.alone(store) as held:
        if not held:
            raise HeatsError("somebody else is at the queue", remedy="try again in a moment")
        for run in runs:
            if queue.read_entry(run) is None:  # it started while we waited
                raise HeatsError("it doesn't wait in the queue any more", place=run.id)
            queue.dequeue(run)
            if not run.attempts():
                discard(store, run)
            told(run)
