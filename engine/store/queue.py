"""What waits to run: one small file in the run's own folder, and one for the queue's state on each machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from engine.store import host, lock
from engine.store.files import read_json, write_json
from engine.store.paths import RunPaths, Store
from engine.store.records import from_fields

QUEUE_FILE = "queue.json"
_STATE_FOLDER = ".queue"


@dataclass(frozen=True)
class Entry:
    """queue.json: a run that waits. It counts while the run has no more attempts than it had when it was queued.

    `order` sorts, smaller first; `after` are ids of runs that must finish first; `most` bounds how many runs of the
    same study may be live at once. `queued` is in seconds since 1970.
    """

    queued: float
    order: float
    host: str
    attempts: int = 0
    after: tuple[str, ...] = ()
    most: int | None = None
    stop_after: int = 3
    prune_at_evaluations: bool = False
    """Whether its search wants to look at each of its evaluations, to end it if it does badly."""
    slots: int = 1
    """How many slots it needs: one a process."""
    refused: str = ""
    """Why it could not be started, when that was tried."""
    schema: int = 1


@dataclass(frozen=True)
class QueueState:
    """The queue of one store on one machine: whether a person must say go, and why."""

    paused: bool = False
    reason: str = ""
    boot_id: str | None = None
    resumed: float = 0.0
    """When a person last said go on, in seconds since 1970: failures before that are forgiven."""
    schema: int = 1


def enqueue(
    run: RunPaths,
    *,
    after: tuple[str, ...] = (),
    most: int | None = None,
    stop_after: int = 3,
    prune_at_evaluations: bool = False,
    order: float | None = None,
    slots: int = 1,
) -> Entry:
    """Put a run at the end of the queue, or at a place.

    Raises:
        MachineError: the run's folder can't be written.
    """
    now = time.time()
    entry = Entry(
        queued=now, order=now if order is None else order, host=host.host_name(), attempts=len(run.attempts()),
        after=after, most=most, stop_after=stop_after, prune_at_evaluations=prune_at_evaluations,
        slots=slots,
    )  # fmt: skip
    rewrite(run, entry)
    return entry


def move(run: RunPaths, order: float) -> None:
    """Give a waiting run another place.

    Raises:
        MachineError: the run's folder can't be written.
    """
    entry = read_entry(run)
    if entry is not None:
        rewrite(run, replace(entry, order=order))


def read_entry(run: RunPaths) -> Entry | None:
    """The run's place in the queue; None where it doesn't wait (any more)."""
    content = read_json(run.folder / QUEUE_FILE)
    found: Entry | None = None if content is None else from_fields(Entry, content)
    if found is None or len(run.attempts()) > found.attempts:
        return None
    return found


def dequeue(run: RunPaths) -> bool:
    """Take a run out of the queue; whether it was there."""
    try:
        (run.folder / QUEUE_FILE).unlink()
    except OSError:
        return False
    return True


def rewrite(run: RunPaths, entry: Entry) -> None:
    """Replace a run's place in the queue. Under the queue's lock.

    Raises:
        MachineError: the run's folder can't be written.
    """
    write_json(run.folder / QUEUE_FILE, asdict(entry))


def has_queue(store: Store) -> bool:
    """Whether anything was ever queued here: a stat, for those who only pass by."""
    return os.path.isdir(store.root / _STATE_FOLDER)


def read_state(store: Store) -> QueueState:
    """The state of this machine's queue."""
    content = read_json(store.root / _STATE_FOLDER / f"{host.host_name()}.json")
    found: QueueState | None = None if content is None else from_fields(QueueState, content)
    return found or QueueState()


def write_state(store: Store, state: QueueState) -> None:
    """Record the state of this machine's queue.

    Raises:
        MachineError: the store can't be written.
    """
    (store.root / _STATE_FOLDER).mkdir(exist_ok=True)
    write_json(store.root / _STATE_FOLDER / f"{host.host_name()}.json", asdict(state))


@contextlib.contextmanager
def alone(store: Store, patience_seconds: float = 30.0) -> Iterator[bool]:
    """Hold this machine's queue lock of a store; False where somebody else kept it for longer than that."""
    path = lock.lock_folder() / f"{store.id}-queue.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + patience_seconds
    held = False
    try:
        while not held:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held = True
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    break
                time.sleep(0.05)
        yield held
    finally:
        os.close(descriptor)
