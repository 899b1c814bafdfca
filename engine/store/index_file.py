"""The SQLite file behind the index: a cache that may be missing, damaged, locked, read-only or on a full disk.

Nothing here raises for any of that: what can't be read isn't known, what can't be kept is lost. Every entry carries
a checksum, since SQLite notices damage to its pages' structure but not to what is in them.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from zlib import crc32

_VERSION = 4
_TABLES = ("lines", "summaries", "configs")
_SCHEMA = (
    # Lists read all lines, so they are narrow and lie apart from the summaries, of which only those shown are read.
    "CREATE TABLE lines (id TEXT PRIMARY KEY, stamp TEXT NOT NULL, sum INTEGER NOT NULL, content BLOB NOT NULL)"
    " WITHOUT ROWID",
    "CREATE TABLE summaries (id TEXT PRIMARY KEY, stamp TEXT NOT NULL, sum INTEGER NOT NULL, content BLOB NOT NULL)",
    "CREATE TABLE configs (id TEXT PRIMARY KEY, stamp TEXT NOT NULL, sum INTEGER NOT NULL, content BLOB NOT NULL)",
)
_PATIENCE_SECONDS = 2.0
_MOST_NAMED = 500


class Entry(NamedTuple):
    """What was kept of a run, and what its folder's times were then."""

    stamp: str
    content: bytes


class IndexFile:
    """A context: the file is open within it, or nothing is known and nothing kept."""

    def __init__(self, path: Path | None, *, anew: bool = False) -> None:
        self._path = path
        self._anew = anew
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> IndexFile:
        if self._path is None:
            return self
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._anew:
                _forget(self._path)
            self._connection = _connect(self._path)
        except sqlite3.OperationalError as error:
            if not _is_busy(error):
                self._make_anew()
        except (sqlite3.Error, OSError, UnicodeError):
            self._make_anew()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def is_open(self) -> bool:
        """Whether anything can be known or kept."""
        return self._connection is not None

    def load(self, table: str, ids: Sequence[str] | None = None) -> dict[str, Entry]:
        """What is known of some runs, or of all; damaged entries are left out."""
        found: dict[str, Entry] = {}
        if self._connection is None:
            return found
        columns = f"SELECT id, stamp, sum, content FROM {table}"
        try:
            if ids is None:
                _take(self._connection.execute(columns), found)
            for some in _parts(ids or ()):
                marks = ",".join("?" * len(some))
                _take(self._connection.execute(f"{columns} WHERE id IN ({marks})", some), found)
        except sqlite3.Error as error:
            if not _is_busy(error):
                self._make_anew()  # damaged inside
        except (UnicodeError, ValueError, OverflowError):  # text that is no text any more
            self._make_anew()
        return found

    def ids(self) -> set[str]:
        """Of which runs anything is known."""
        if self._connection is None:
            return set()
        try:
            return {row[0] for row in self._connection.execute("SELECT id FROM lines")}
        except (sqlite3.Error, UnicodeError):
            return set()

    def keep(self, entries: dict[str, dict[str, Entry]], gone: Iterable[str] = ()) -> bool:
        """Keep entries by table and id, and forget runs that are gone; whether that worked."""
        absent = [(run_id,) for run_id in gone]
        if self._connection is None:
            return False
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for table, content in entries.items():
                rows = [(run_id, entry.stamp, crc32(entry.content), entry.content) for run_id, entry in content.items()]
                self._connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?)", rows)
            for table in _TABLES:
                self._connection.executemany(f"DELETE FROM {table} WHERE id = ?", absent)
            self._connection.execute("COMMIT")
        except (sqlite3.Error, UnicodeError) as error:
            with contextlib.suppress(sqlite3.Error, UnicodeError):
                self._connection.execute("ROLLBACK")
            if not isinstance(error, sqlite3.OperationalError):
                self._make_anew()
            return False
        return True

    def _make_anew(self) -> None:
        self._close()
        if self._path is None:
            return
        _forget(self._path)
        with contextlib.suppress(sqlite3.Error, OSError, UnicodeError):
            self._connection = _connect(self._path)

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error, UnicodeError):
                self._connection.close()
            self._connection = None


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_PATIENCE_SECONDS, isolation_level=None)
    try:
        # A power cut may cost the file, which is no loss; waiting for the disk would cost each listing.
        connection.execute("PRAGMA synchronous = OFF")
        if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            _make_tables(connection)
        for table in _TABLES:
            connection.execute(f"SELECT id, stamp, sum, content FROM {table} LIMIT 0")
    except (sqlite3.Error, UnicodeError):
        connection.close()
        raise
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:  # nobody else did meanwhile
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            if not name.startswith("sqlite_"):
                quoted = name.replace('"', '""')
                connection.execute(f'DROP TABLE "{quoted}"')
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute("COMMIT")


def _take(rows: Iterable[tuple[Any, Any, Any, Any]], found: dict[str, Entry]) -> None:
    for run_id, stamp, total, content in rows:
        if type(content) is bytes and type(stamp) is str and crc32(content) == total:
            found[run_id] = Entry(stamp, content)


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(ids), _MOST_NAMED):
        yield ids[begin : begin + _MOST_NAMED]


def _is_busy(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _forget(path: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        with contextlib.suppress(OSError):
            os.unlink(f"{path}{suffix}")
