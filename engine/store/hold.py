"""Making sure that nothing of a run lives: before it is started, and while its folder is being changed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from engine.errors import HeatsError, MachineError
from engine.store import host, lock
from engine.store.evidence import gather
from engine.store.paths import RunPaths, Store, open_store
from engine.store.records import read_run
from engine.store.status import Evidence, State, Status, decide

_PATIENCE_SECONDS = 1.0


def is_live(run: RunPaths) -> bool:
    """Whether processes of a run are known or believed to exist; a run on a silent host may be alive, too."""
    _, status = _look(run)
    return status is not None and may_live(status)


def may_live(status: Status) -> bool:
    """Whether processes of a run with this status are known or believed to exist, or will without further asking."""
    return status.state.is_live or status.state is State.SILENT or status.job is not None


def refuse_if_live(run: RunPaths) -> None:
    """Do nothing, unless processes of the run are known or believed to exist.

    Raises:
        HeatsError: they are.
    """
    evidence, status = _look(run)
    if evidence is None or status is None:
        return
    if evidence.leftovers and evidence.lock_missing:  # a new lock of the same name would not show them
        raise _left(run, evidence.leftovers)
    if may_live(status):
        raise HeatsError(
            f"it is still {status.state} ({status.reason})", place=run.id, remedy=f"stop it first: heats stop {run.id}"
        )


def take_lock(store: Store, run: RunPaths, patience_seconds: float = _PATIENCE_SECONDS) -> int:
    """Take a run's lock; the descriptor, which whoever calls closes.

    Args:
        store, run: the run.
        patience_seconds: how long to wait for what is left of it to end.

    Raises:
        HeatsError: processes of it are left.
        MachineError: the lock can't be taken.
    """
    try:
        path = lock.lock_path(store.id, run.id)
        descriptor = lock.acquire(path, patience_seconds)
    except OSError as error:
        raise MachineError(f"its lock can't be taken ({error.strerror})", place=run.id) from error
    if descriptor is None:
        raise _left(run, host.lock_holders(path))
    return descriptor


@contextlib.contextmanager
def hold(run: RunPaths) -> Iterator[None]:
    """Keep a run from being started while its folder is changed, by holding its lock.

    Raises:
        HeatsError: it is live, or processes of it are left.
        MachineError: its lock can't be taken.
    """
    refuse_if_live(run)
    descriptor = take_lock(open_store(run.folder.parent), run)
    try:
        refuse_if_live(run)  # it may have been started, elsewhere, since the first look
        yield
    finally:
        os.close(descriptor)


def _look(run: RunPaths) -> tuple[Evidence | None, Status | None]:
    """What a run is doing, without a look at its figures; nothing before its first attempt."""
    attempts = run.attempts()
    if not attempts:
        return None, None
    evidence = gather(run, attempts[-1], read_run(run.record))
    return evidence, decide(evidence)


def _left(run: RunPaths, holders: Sequence[int]) -> HeatsError:
    named = ", ".join(map(str, holders)) or "unknown"
    return HeatsError(
        f"processes of it are left (pid {named})", place=run.id, remedy=f"end them with `heats stop {run.id}`"
    )
