"""Halting a study whose runs on a cluster fail one like the other: what waits there would fail as well.

On one machine the queue holds such runs back. A cluster starts what it was given, so its waiting jobs are cancelled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from engine.errors import MachineError
from engine.launch.queue import failed_alike
from engine.store.paths import Store
from engine.study.begun import begun_at, remember_halted, why_halted
from engine.study.cells import CellState
from engine.study.spec import Study


def halt_if_in_vain(store: Store, study: Study, states: Sequence[CellState]) -> bool:
    """Cancel a study's waiting jobs once its last runs have failed early in the same way. Under the queue's lock.

    Args:
        store, study: of which store and study.
        states: its cells.

    Returns:
        Whether it has halted, now or before: nothing more of it is to be submitted.

    Raises:
        MachineError: the store can't be written.
    """
    if why_halted(store, study.label) is not None:
        return True
    runs = [state.summary for state in states if state.summary is not None]
    why = failed_alike(runs, study.label, study.spec.budget.stop_after_failures, begun_at(store, study))
    if why is None:
        return False
    waiting = [state.run for state in states if state.standing == "queued" and state.run is not None]
    remedy = f"`heats study run {study.label} --redo failed --redo stopped` goes on"
    # Before the jobs go: whoever looks in between must not submit them again.
    remember_halted(store, study, f"{why}, so {len(waiting)} jobs that waited were cancelled; {remedy}")
    if waiting:
        from engine.launch.slurm.stop import take_out

        with contextlib.suppress(MachineError):  # they were asked to stop, and do once they begin
            take_out(waiting)
    return True
