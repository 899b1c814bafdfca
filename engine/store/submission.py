"""What was submitted to a cluster: one folder a submission under `.slurm` of the store, one run or an array of runs."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.store.files import read_json, write_json
from engine.store.paths import Store
from engine.store.records import from_content

FOLDER = ".slurm"
_RECORD = "submission.json"
_SCRIPT = "job.sh"
_CLAIM = ".alone"
_CLAIM_HOLDS_SECONDS = 600.0
_UNREADABLE_SECONDS = 86400.0
"""A submission that can't be read may be in the making for so long."""


@dataclass(frozen=True)
class Submission:
    """submission.json: written before sbatch is called, and again with the job's number once that is known.

    `name` is the job's name, by which it is found in the queue even where whoever submitted it died before it could
    write the number down. `runs` are ids in the order of the array; `submitted` is in seconds since 1970.
    """

    name: str
    submitted: float
    runs: tuple[str, ...]
    is_array: bool = False
    host: str = ""
    cluster: str | None = None
    profile: str | None = None
    job: str | None = None
    schema: int = 1


@dataclass(frozen=True)
class SubmissionPaths:
    """The files of one submission."""

    folder: Path

    @property
    def record(self) -> Path:
        return self.folder / _RECORD

    @property
    def script(self) -> Path:
        return self.folder / _SCRIPT

    @property
    def output(self) -> Path:
        """Where SLURM writes what the job says before and after training; SLURM fills in the job's number."""
        return self.folder / "slurm-%j.out"

    @property
    def store_root(self) -> Path:
        return self.folder.parent.parent


def submission_paths(store_root: Path, name: str) -> SubmissionPaths:
    """Where a submission lies."""
    return SubmissionPaths(store_root / FOLDER / name)


def write_submission(paths: SubmissionPaths, record: Submission) -> None:
    """Record a submission.

    Raises:
        MachineError: the store can't be written.
    """
    write_json(paths.record, asdict(record))


def read_submission(paths: SubmissionPaths) -> Submission | None:
    """The record of a submission; None where it is missing or damaged."""
    found: Submission | None = from_content(Submission, read_json(paths.record))
    return found


def submissions_of_nobody(store: Store, kept: Collection[str]) -> list[Path]:
    """The folders of submissions whose runs have all gone, and of a day ago those that can't be read.

    Args:
        store: whose.
        kept: the ids of the runs that there are, in their place or in the trash.
    """
    found = []
    if (store.root / FOLDER).is_symlink():  # it leads out of the store
        return []
    try:
        names = sorted(os.listdir(store.root / FOLDER))
    except OSError:
        return []
    for paths in (submission_paths(store.root, name) for name in names if not name.startswith(".")):
        record = read_submission(paths)
        try:
            old = time.time() - paths.folder.lstat().st_mtime > _UNREADABLE_SECONDS
        except OSError:
            continue
        if old if record is None else not any(run in kept for run in record.runs):
            found.append(paths.folder)
    return found


def has_submissions(store: Store) -> bool:
    """Whether anything of a store was ever submitted: a stat, for those who only pass by."""
    return os.path.isdir(store.root / FOLDER)


@contextlib.contextmanager
def alone_on_all_hosts(store: Store, patience_seconds: float = 60.0) -> Iterator[bool]:
    """Hold what only one process of all hosts may hold, by making a folder; False where another kept it for long.

    Jobs end on many nodes and share nothing but the store, where locks may be emulated or missing. A claim that is
    ten minutes old is that of a process that was killed.
    """
    claim = store.root / FOLDER / _CLAIM
    deadline = time.monotonic() + patience_seconds
    held = False
    while not held:
        try:
            claim.parent.mkdir(exist_ok=True)
            claim.mkdir()
            held = True
        except FileExistsError:
            with contextlib.suppress(OSError):
                if time.time() - claim.stat().st_mtime > _CLAIM_HOLDS_SECONDS:
                    claim.rmdir()
            if time.monotonic() >= deadline:
                break
            time.sleep(0.2)
        except OSError:
            break
    try:
        yield held
    finally:
        if held:
            with contextlib.suppress(OSError):
                claim.rmdir()
