"""Changing what people say of a run: tags, a note, a star, archived. The command line and the app go through here."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engine.errors import HeatsError, MachineError
from engine.store.files import read_json, write_atomic, write_json
from engine.store.paths import SCHEMA, RunPaths
from engine.store.records import READABLE_SCHEMAS, Notes, from_fields

TAG_LENGTH = 64
TAG_MARKS = "_.-/+@"
"""What a tag may hold beside letters and digits of any alphabet. No space, comma, colon or quote: they have a
meaning in filters and on command lines."""

_PATIENCE_SECONDS = 10.0
_STALE_SECONDS = 30.0
_NO_FLOCK = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def edit_notes(run: RunPaths, change: Callable[[Notes], Notes]) -> Notes:
    """Change a run's notes so that nobody's edit is lost: read, change and replace under a short lock.

    Fields that this version doesn't know stay as they are; of a damaged file a copy is kept beside it.

    Args:
        run: whose notes.
        change: gives the new notes for those that stand in the file; called with the lock held, so quick.

    Returns:
        The notes as they stand now.

    Raises:
        HeatsError: the file is of a newer schema, or `change` refused.
        MachineError: the run's folder can't be written, or somebody holds the lock for too long.
    """
    with _locked(run):
        content, before = _stored(run)
        after = change(before)
        if after == before and content is not None:
            return after
        fields = {**asdict(after), "tags": list(after.tags)}
        write_json(run.notes, {"schema": SCHEMA} | (content or {}) | fields)
    return after


def with_tags(notes: Notes, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Notes:
    """The notes with tags added (at the end, none twice) and removed.

    Raises:
        HeatsError: a tag to be added is none.
    """
    gone = set(remove)
    kept = [tag for tag in notes.tags if tag not in gone]
    return replace(notes, tags=tuple(dict.fromkeys([*kept, *map(check_tag, add)])))


def check_tag(tag: str) -> str:
    """The tag, if it may be one.

    Raises:
        HeatsError: it holds other characters, begins with a mark, or is too long.
    """
    fits = 0 < len(tag) <= TAG_LENGTH and tag[0].isalnum() and all(c.isalnum() or c in TAG_MARKS for c in tag)
    if fits:
        return tag
    remedy = f"use up to {TAG_LENGTH} letters, digits and {' '.join(TAG_MARKS)}, a letter or digit first"
    raise HeatsError(f"{tag!r} can't be a tag", remedy=remedy)


def nearest_tag(text: str) -> str:
    """What comes nearest to a text among the tags that are allowed (`two words` as two-words); empty for none."""
    kept = "".join(c if c.isalnum() or c in TAG_MARKS else "-" for c in text.strip())
    return kept.lstrip(TAG_MARKS)[:TAG_LENGTH]


def _stored(run: RunPaths) -> tuple[dict[str, Any] | None, Notes]:
    """The file's whole content (None where it is missing or damaged) and the notes in it."""
    content = read_json(run.notes)
    schema = content.get("schema", SCHEMA) if content is not None else SCHEMA
    if content is not None and isinstance(schema, int) and schema > SCHEMA:
        raise HeatsError(f"is of schema {schema}, which a newer heats wrote", place=str(run.notes))
    notes = from_fields(Notes, content) if content is not None and schema in READABLE_SCHEMAS else None
    if notes is not None:
        return content, notes
    with contextlib.suppress(FileNotFoundError):
        try:
            write_atomic(run.notes.with_name("notes.damaged.json"), run.notes.read_bytes())
        except IsADirectoryError as error:
            raise MachineError("is a folder", place=str(run.notes)) from error
    return None, Notes()


@contextlib.contextmanager
def _locked(run: RunPaths) -> Iterator[None]:
    """One editor at a time. Readers take no lock: the file is replaced in one step."""
    path = run.folder / ".notes.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise MachineError(f"its notes can't be changed ({error.strerror})", place=run.id) from error
    try:
        if _flock(descriptor, run):
            yield
        else:
            with _claimed(path.with_name(".notes.claim"), run):
                yield
    finally:
        os.close(descriptor)


def _flock(descriptor: int, run: RunPaths) -> bool:
    """Wait for the lock; False where this file system has none."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _wait(deadline, run)
        except OSError as error:
            if error.errno in _NO_FLOCK:
                return False
            raise MachineError(f"its notes can't be locked ({error.strerror})", place=run.id) from error
        else:
            return True


@contextlib.contextmanager
def _claimed(path: Path, run: RunPaths) -> Iterator[None]:
    """The same by a file that only one can make; one left by a dead editor goes stale."""
    deadline = time.monotonic() + _PATIENCE_SECONDS + _STALE_SECONDS
    while True:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            break
        except FileExistsError:
            _remove_stale(path)
            _wait(deadline, run)
        except OSError as error:
            raise MachineError(f"its notes can't be locked ({error.strerror})", place=run.id) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _remove_stale(path: Path) -> None:
    """Renamed before it goes, so that of two who find it stale only one removes it."""
    aside = path.with_name(f"{path.name}.{os.uname().nodename}.{os.getpid()}")
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > _STALE_SECONDS:
            os.rename(path, aside)
            aside.unlink()


def _wait(deadline: float, run: RunPaths) -> None:
    if time.monotonic() > deadline:
        raise MachineError("somebody else is changing its notes", place=run.id, remedy="try again")
    time.sleep(0.005)
