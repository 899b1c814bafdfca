"""Making sure that nothing of a run lives while its folder is being changed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from engine.errors import HeatsError, MachineError
from engine.store import host, lock
from engine.store.evidence import gather
from engine.store.paths import RunPaths, open_store
from engine.store.records import read_run
from engine.store.status import State, Status, decide

_PATIENCE_SECONDS = 1.0


def status_of(run: RunPaths) -> Status | None:
    """What a run is doing, without a look at its figures; None before its first attempt."""
    attempts = run.attempts()
    return decide(gather(run, attempts[-1], read_run(run.record))) if attempts else None


def is_live(run: RunPaths) -> bool:
    """Whether processes of a run are known or believed to exist; a run on a silent host may be alive, too."""
    status = status_of(run)
    return status is not None and (status.state.is_live or status.state is State.SILENT)


def refuse_if_live(run: RunPaths) -> None:
    """Do nothing, unless processes of the run are known or believed to exist.

    Raises:
        HeatsError: they are.
    """
    status = status_of(run)
    if status is not None and (status.state.is_live or status.state is State.SILENT):
        raise HeatsError(
            f"it is {status.state} ({status.reason})", place=run.id, remedy=f"stop it first: heats stop {run.id}"
        )


@contextlib.contextmanager
def hold(run: RunPaths) -> Iterator[None]:
    """Keep a run from being started while its folder is changed, by holding its lock.

    Raises:
        HeatsError: it is live, or processes of it are left.
        MachineError: its lock can't be taken.
    """
    refuse_if_live(run)
    try:
        path = lock.lock_path(open_store(run.folder.parent).id, run.id)
        descriptor = lock.acquire(path, patience_seconds=_PATIENCE_SECONDS)
    except OSError as error:
        raise MachineError(f"its lock can't be taken ({error.strerror})", place=run.id) from error
    if descriptor is None:
        holders = ", ".join(map(str, host.lock_holders(path))) or "unknown"
        raise HeatsError(f"processes of it are left (pid {holders})", place=run.id, remedy=f"heats stop {run.id}")
    try:
        refuse_if_live(run)  # it may have been started, elsewhere, since the first look
        yield
    finally:
        os.close(descriptor)
