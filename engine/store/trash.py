"""Deleting runs is a rename into the store's `.trash`; restoring is one back; purging removes for good.

Plans are values: what would be done, and what stands against it. Carrying a plan out is a rename a run, so that a
kill in the middle leaves each run either in its place or in the trash.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import HeatsError, MachineError
from engine.store import lock
from engine.store.evidence import gather
from engine.store.files import fsync_folder, read_json, write_json
from engine.store.paths import RunPaths, Store, is_run_id
from engine.store.queue import dequeue
from engine.store.records import read_run
from engine.store.status import State, decide
from engine.store.submission import submissions_of_nobody

_DELETED = "deleted.json"
_PURGING = ".purging-"
_AGAIN = "~"


@dataclass(frozen=True)
class Leaving:
    """A run that would go to the trash: its size, and runs elsewhere in the store that name it as their parent."""

    run: RunPaths
    status: State
    bytes: int
    files: int
    children: tuple[str, ...] = ()


@dataclass(frozen=True)
class DeletePlan:
    """What a deletion would do. `refused`: a sentence for each run that must stay; then nothing is to be deleted."""

    leaving: tuple[Leaving, ...]
    refused: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.leaving)

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(
            f"{item.run.id} is the parent of {', '.join(item.children)}" for item in self.leaving if item.children
        )


@dataclass(frozen=True)
class Trashed:
    """A run in the trash. `entry` is the folder's name there; `deleted` in seconds since 1970."""

    folder: Path
    id: str
    name: str
    deleted: float
    bytes: int
    files: int

    @property
    def entry(self) -> str:
        return self.folder.name


def plan_delete(store: Store, runs: Sequence[RunPaths], *, silent_too: bool = False) -> DeletePlan:
    """What deleting runs would do.

    Args:
        store: whose runs they are.
        runs: which to delete.
        silent_too: also runs of other machines whose sign of life is overdue.
    """
    children = _children(store, {run.id for run in runs})
    leaving, refused = [], []
    for run in runs:
        attempts = run.attempts()
        status = decide(gather(run, attempts[-1] if attempts else None, read_run(run.record)))
        if status.state.is_live:
            refused.append(f"{run.id}: it is still {status.state} ({status.reason}); stop it first")
        elif status.job is not None:
            refused.append(f"{run.id}: job {status.job} of the cluster waits to train it; stop it first")
        elif status.state is State.SILENT and not silent_too:
            refused.append(f"{run.id}: it is silent ({status.reason}); --silent deletes it all the same")
        elif "processes of it are left" in status.reason:
            refused.append(f"{run.id}: {status.reason}")
        size, files = measure(run.folder)
        leaving.append(Leaving(run, status.state, size, files, children.get(run.id, ())))
    return DeletePlan(tuple(leaving), tuple(refused))


def delete(store: Store, plan: DeletePlan) -> Iterator[RunPaths]:
    """Carry out a plan: each run is renamed into the trash, under its lock, so that no attempt starts meanwhile.

    Yields:
        Each run in its place in the trash, once it is there.

    Raises:
        HeatsError: the plan has refusals, or a run came to life since it was made.
        MachineError: the trash can't be written or lies on another file system.
    """
    if plan.refused:
        raise HeatsError(plan.refused[0])
    trash = _trash(store)
    for item in plan.leaving:
        target = _free_entry(trash, item.run.id)
        with _held(store, item.run):
            dequeue(item.run)  # brought back one day, it must not start by itself
            _move(item.run.folder, target)
        with contextlib.suppress(MachineError):  # then the folder's change time stands for it
            if not target.is_symlink():
                write_json(target / _DELETED, {"schema": 1, "time": time.time(), "id": item.run.id})
        yield RunPaths(target)


def list_trash(store: Store) -> list[Trashed]:
    """What is in the trash, the oldest deletion first. Sizes are measured, so every folder is walked."""
    found = []
    for folder in _entries(store):
        record = read_json(folder / "run.json") or {}
        size, files = measure(folder)
        found.append(Trashed(folder, _run_id(folder.name), str(record.get("name", "")), _deleted(folder), size, files))
    return sorted(found, key=lambda item: (item.deleted, item.entry))


def find_trashed(trashed: Sequence[Trashed], wanted: str) -> Trashed:
    """The one entry that a word names: its name there, any unique part of it, or the run's name.

    Raises:
        HeatsError: none, or several.
    """
    exact = [item for item in trashed if wanted in (item.entry, item.name)]
    matches = exact or [item for item in trashed if wanted and wanted in item.entry]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        remedy = "`heats restore --list` shows what is there" if trashed else "the trash is empty"
        raise HeatsError(f"no run in the trash is called `{wanted}`", remedy=remedy)
    shown = ", ".join(item.entry for item in matches[-8:])
    raise HeatsError(f"`{wanted}` could be any of {len(matches)} runs in the trash", remedy=f"say which: {shown}")


def restore(store: Store, item: Trashed) -> RunPaths:
    """Bring a run back to its place.

    Raises:
        HeatsError: a run of its id is there.
        MachineError: the store can't be written.
    """
    run = store.run(item.id)
    if os.path.lexists(run.folder):
        raise HeatsError("a run of this id is in the store", place=item.entry, remedy="delete that one first")
    # Before the move, so that nothing strange is ever in the store; without the note the change time stands in.
    if not item.folder.is_symlink():
        (item.folder / _DELETED).unlink(missing_ok=True)
    _move(item.folder, run.folder)
    return run


def purge(store: Store, items: Iterable[Trashed]) -> Iterator[Trashed]:
    """Delete runs of the trash for good, what an interrupted purge left, and what was submitted for runs now gone.

    Each is first renamed so that a half deleted run can't be restored. Links are removed, never followed.

    Yields:
        Each run that is gone.

    Raises:
        MachineError: something can't be deleted; what is left goes with the next purge.
    """
    for folder in half_purged(store):
        _remove(folder)
    for item in items:
        doomed = item.folder.with_name(f"{_PURGING}{item.entry}-{os.getpid()}")
        _move(item.folder, doomed)
        _remove(doomed)
        yield item
    for folder in left_submissions(store):
        _remove(folder)


def left_submissions(store: Store, going: Iterable[Trashed] = ()) -> list[Path]:
    """What was submitted to a cluster for runs that are neither in the store nor in the trash any more.

    Args:
        store: whose.
        going: entries of the trash that don't count any more.
    """
    doomed = {item.entry for item in going}
    there = {_run_id(folder.name) for folder in _entries(store) if folder.name not in doomed}
    return submissions_of_nobody(store, there | set(store.run_ids()))


def half_purged(store: Store) -> list[Path]:
    """What an interrupted purge left behind."""
    return [store.trash / name for name in _names(store) if name.startswith(_PURGING)]


def measure(folder: Path) -> tuple[int, int]:
    """Bytes and files below a folder; links count as themselves. What goes away meanwhile isn't counted."""
    size = files = 0
    waiting = [folder] if not folder.is_symlink() else []
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                        continue
                    with contextlib.suppress(OSError):
                        size += entry.stat(follow_symlinks=False).st_size
                        files += 1
        except OSError:
            continue
    return size, files


def _children(store: Store, ids: set[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for run_id in store.run_ids():
        record = read_run(store.run(run_id).record) if run_id not in ids else None
        if record is not None and record.parent in ids:
            found[str(record.parent)] = (*found.get(str(record.parent), ()), run_id)
    return found


@contextlib.contextmanager
def _held(store: Store, run: RunPaths) -> Iterator[None]:
    try:
        descriptor = lock.acquire(lock.lock_path(store.id, run.id))
    except OSError as error:
        raise MachineError(f"its lock can't be taken ({error.strerror})", place=run.id) from error
    if descriptor is None:
        raise HeatsError("processes of it are running", place=run.id, remedy=f"stop it first: heats stop {run.id}")
    try:
        yield
    finally:
        os.close(descriptor)


def _trash(store: Store) -> Path:
    try:
        store.trash.mkdir(exist_ok=True)
        if not stat.S_ISDIR(store.trash.lstat().st_mode):  # a link could lead out of the store
            raise MachineError("is no folder of its own", place=str(store.trash), remedy="remove the link")
    except OSError as error:
        raise MachineError(f"can't be made ({error.strerror})", place=str(store.trash)) from error
    return store.trash


def _free_entry(trash: Path, run_id: str) -> Path:
    """The run's id; where a run of that id is in the trash already, the id with a number."""
    number = 1
    while os.path.lexists(target := trash / (run_id if number == 1 else f"{run_id}{_AGAIN}{number}")):
        number += 1
    return target


def _run_id(entry: str) -> str:
    head, mark, number = entry.rpartition(_AGAIN)
    return head if mark and number.isdecimal() else entry


def _names(store: Store) -> list[str]:
    try:
        if not stat.S_ISDIR(store.trash.lstat().st_mode):
            return []
        return sorted(os.listdir(store.trash))
    except OSError:
        return []


def _entries(store: Store) -> list[Path]:
    return [store.trash / name for name in _names(store) if is_run_id(_run_id(name))]


def _deleted(folder: Path) -> float:
    moment = (read_json(folder / _DELETED) or {}).get("time")
    if isinstance(moment, (int, float)):
        return float(moment)
    try:
        return folder.lstat().st_ctime
    except OSError:
        return 0.0


def _move(source: Path, target: Path) -> None:
    try:
        os.rename(source, target)
        for folder in {source.parent, target.parent}:
            fsync_folder(folder)
    except OSError as error:
        raise MachineError(f"can't be moved to {target} ({error.strerror})", place=str(source)) from error


def _remove(folder: Path) -> None:
    try:
        if folder.is_symlink() or not folder.is_dir():
            folder.unlink()
        else:
            shutil.rmtree(folder)
    except OSError as error:
        remedy = "put that right and purge again"
        raise MachineError(f"can't be deleted ({error.strerror})", place=str(error.filename), remedy=remedy) from error
