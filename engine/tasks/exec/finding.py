"""Finds the files in which a script writes its figures, and says of each why it was taken.

A file counts that a process of the script holds open for writing, that lies in the run's own folder for it, or that
appears below its working folder while no other run works there. Which file is whose can't be told otherwise.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import HeatsError
from engine.store.lock import lock_folder
from engine.tasks.exec.files import Kind, kind_of

_DEEPEST = 6
_MOST_ENTRIES = 5000
_PASSED_OVER = frozenset({"node_modules", "__pycache__", "site-packages", "venv", "env"})


@dataclass(frozen=True)
class Found:
    """A file that is the run's, from which byte on, and why."""

    path: Path
    kind: Kind
    why: str
    offset: int = 0
    named: bool = False
    """Whether a person named it, so that it is read whatever its columns are called."""


class Finder:
    """Looks for files again and again; each is told once.

    Args:
        folder: the script's working folder.
        own: the run's folder for the script's files.
        store: the store's folder, whose runs are nobody's figures.
        patterns: what a person named; nothing else counts then.
    """

    def __init__(self, folder: Path, own: Path, store: Path, patterns: Sequence[str] = ()) -> None:
        self.folder, self.own, self.store, self.patterns = folder, own, store, tuple(patterns)
        self.note = ""
        """Why files weren't looked for somewhere."""
        self._told: set[Path] = set()
        self._before = {path: _size(path) for path in self._candidates()}
        self._shared = _shared_lock(folder) if not self.patterns else None

    def look(self, pids: Iterable[int]) -> list[Found]:
        """The files that are new since the last look.

        Args:
            pids: the script's processes.
        """
        new = []
        for found in self._all(pids):
            if found.path not in self._told:
                self._told.add(found.path)
                new.append(found)
        return new

    def close(self) -> None:
        """Let others know that nobody works here any more."""
        if self._shared is not None:
            os.close(self._shared)
            self._shared = None

    def _all(self, pids: Iterable[int]) -> Iterator[Found]:
        for path in self._candidates():
            kind = kind_of(path)
            if kind is None or path in self._told:
                continue
            size = self._before.get(path)
            if self.patterns:
                if _size(path) != size:
                    yield Found(path, kind, "named by exec.files", self._start(path), named=True)
            elif size is None and path.is_relative_to(self.own):
                yield Found(path, kind, "in the run's own folder for the script")
        if self.patterns:
            return
        for path in open_for_writing(pids):
            kind = kind_of(path)
            inside = path.is_relative_to(self.store) and not path.is_relative_to(self.own)
            if kind is not None and not (inside and _is_of_a_run(path, self.store)):
                yield Found(path, kind, "the script holds it open", self._start(path))
        for path in self._candidates():
            kind = kind_of(path)
            if kind is None or path in self._before or path in self._told:
                continue
            if self._is_alone():
                yield Found(path, kind, "appeared in its working folder")
            else:
                self._before[path] = 0  # whose it is will never be known
                self.note = f"other runs work in {self.folder}: of the new files there those count that are held open"

    def _start(self, path: Path) -> int:
        before = self._before.get(path, 0)
        return before if before <= _size(path) else 0

    def _candidates(self) -> list[Path]:
        if self.patterns:
            found = [
                Path(os.path.abspath(name))
                for pattern in self.patterns
                for name in glob.glob(os.path.join(self.folder, os.path.expanduser(pattern)), recursive=True)
            ]
            return [path for path in dict.fromkeys(found) if path.is_file()]
        return [*_below(self.own, None), *_below(self.folder, self.store)]

    def _is_alone(self) -> bool:
        """Whether no other run's script works in the folder."""
        if self._shared is None:
            return True
        try:
            fcntl.flock(self._shared, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with contextlib.suppress(OSError):  # a try that fails loses the share
                fcntl.flock(self._shared, fcntl.LOCK_SH)
            return False
        with contextlib.suppress(OSError):
            fcntl.flock(self._shared, fcntl.LOCK_SH)
        return True


def open_for_writing(pids: Iterable[int]) -> list[Path]:
    """The files that processes hold open for writing. Nothing where there is no /proc."""
    found: dict[Path, None] = {}
    for pid in pids:
        try:
            numbers = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for number in numbers:
            try:
                target = os.readlink(f"/proc/{pid}/fd/{number}")
                if not target.startswith("/") or kind_of(Path(target)) is None:
                    continue
                with open(f"/proc/{pid}/fdinfo/{number}") as file:
                    flags = next((line.split()[1] for line in file if line.startswith("flags:")), "0")
            except OSError:
                continue
            if int(flags, 8) & os.O_ACCMODE != os.O_RDONLY and os.path.isfile(target):
                found[Path(target)] = None
    return list(found)


def _below(root: Path, but: Path | None) -> list[Path]:
    """Files of figures below a folder, a bounded number of looks deep. Links aren't followed."""
    found: list[Path] = []
    waiting, seen = [(str(root), 0)], 0
    barred = str(but) if but is not None else ""
    while waiting and seen < _MOST_ENTRIES:
        place, depth = waiting.pop(0)
        try:
            entries = list(os.scandir(place))
        except OSError:
            continue
        for entry in entries:
            seen += 1
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    hidden = entry.name.startswith(".") or entry.name in _PASSED_OVER
                    if depth < _DEEPEST and not hidden and entry.path != barred:
                        waiting.append((entry.path, depth + 1))
                elif kind_of(Path(entry.name)) is not None:
                    found.append(Path(entry.path))
    return found


def _is_of_a_run(path: Path, store: Path) -> bool:
    """Whether a file in a store belongs to a run, and not to a folder that only shares the name `runs`."""
    return (store / path.relative_to(store).parts[0] / "attempts").is_dir()


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _shared_lock(folder: Path) -> int | None:
    """A lock that all scripts share which work in a folder, so that one can tell whether it is alone."""
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:24]
    try:
        descriptor = os.open(lock_folder() / f"folder-{name}", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except (OSError, HeatsError):
        return None
    return descriptor
