"""Halting a study whose runs on a cluster fail one like the other: what waits there would fail as well.

On one machine the queue holds such runs back. A cluster starts what it was given, so its waiting jobs are cancelled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from engine.errors import MachineError
from engine.launch.queue import failed_alike
from engine.store.files import read_json, write_json
from engine.store.paths import Store
from engine.study.cells import CellState
from engine.study.spec import Study

PENDING = "pending.json"
"""In a study's folder: that it was begun, where it trains, and whether it has halted."""


def why_halted(store: Store, label: str) -> str | None:
    """Why a study's waiting jobs were cancelled; None where they weren't, or somebody has begun it again."""
    why = (read_json(store.root / ".studies" / label / PENDING) or {}).get("halted")
    return why if isinstance(why, str) else None


def halt_if_in_vain(store: Store, study: Study, states: Sequence[CellState], note: dict[str, Any]) -> bool:
    """Cancel a study's waiting jobs once its last runs have failed early in the same way. Under the queue's lock.

    Args:
        store, study: of which store and study.
        states: its cells.
        note: its PENDING, which says since when failures count.

    Returns:
        Whether it has halted, now or before: nothing more of it is to be submitted.

    Raises:
        MachineError: the store can't be written.
    """
    if isinstance(note.get("halted"), str):
        return True
    since = note.get("begun")
    runs = [state.summary for state in states if state.summary is not None]
    why = failed_alike(
        runs, study.label, study.spec.budget.stop_after_failures, since if isinstance(since, float) else 0.0
    )
    if why is None:
        return False
    waiting = [state.run for state in states if state.standing == "queued" and state.run is not None]
    remedy = f"`heats study run {study.label} --redo failed --redo stopped` goes on"
    # Before the jobs go: whoever looks in between must not submit them again.
    write_json(
        store.root / ".studies" / study.label / PENDING,
        note | {"halted": f"{why}, so {len(waiting)} jobs that waited were cancelled; {remedy}"},
    )
    if waiting:
        from engine.launch.slurm.stop import take_out

        with contextlib.suppress(MachineError):  # they were asked to stop, and do once they begin
            take_out(waiting)
    return True
