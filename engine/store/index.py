"""A throw-away SQLite index of a store's runs on local disk. Delete it at any time; the folders are the truth."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import orjson

from engine.store.paths import EMPTY_STORE, Store
from engine.store.summary import RunSummary, summarize

_VERSION = 2
_TABLE = "CREATE TABLE runs (id TEXT PRIMARY KEY, stamp TEXT NOT NULL, summary BLOB NOT NULL) WITHOUT ROWID"


def index_path(store: Store) -> Path:
    """Where the index of a store lies: never in the store, which may be shared or read-only."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "heats" / f"{store.id}.sqlite"


def list_runs(store: Store, *, rescan: bool = False) -> list[RunSummary]:
    """All runs of a store, oldest first. Only runs that could have changed are read again.

    Args:
        store: which store.
        rescan: drop the index and read everything anew.
    """
    if store.id == EMPTY_STORE:
        return []
    path = index_path(store)
    if rescan:
        _forget(path)
    with _open(path) as connection:
        known = _load(connection, path)
        found: list[RunSummary] = []
        fresh: list[tuple[str, str, bytes]] = []
        ids = store.run_ids()
        for run_id in ids:
            stamp = _stamp(store, run_id)
            entry = known.get(run_id)
            cached = _decode(entry[1]) if entry is not None and entry[0] == stamp else None
            if cached is not None:
                found.append(cached)
                continue
            summary = summarize(store.run(run_id))
            if summary is None:
                continue
            found.append(summary)
            if summary.settled and stamp:
                fresh.append((run_id, stamp, orjson.dumps(summary.to_json())))
        gone = known.keys() - set(ids)
        _save(connection, fresh, gone)
    return found


def _stamp(store: Store, run_id: str) -> str:
    """Changes whenever a settled run may have: a new attempt, or an edited note. Two stats a run."""
    folder = os.path.join(store.root, run_id)
    try:
        attempts = os.stat(os.path.join(folder, "attempts")).st_mtime_ns
        names = os.stat(folder).st_mtime_ns  # notes.json is replaced by rename, which touches its folder
    except OSError:
        return ""
    return f"{attempts}-{names}"


def _decode(blob: bytes) -> RunSummary | None:
    try:
        return RunSummary.from_json(orjson.loads(blob))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@contextlib.contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection | None]:
    """The index, made anew where it is missing, damaged or of another version; None where it can't be had."""
    connection = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = _connect(path)
    except (sqlite3.Error, OSError):
        _forget(path)
        with contextlib.suppress(sqlite3.Error, OSError):
            connection = _connect(path)
    try:
        yield connection
    finally:
        if connection is not None:
            connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=2.0, isolation_level=None)
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != _VERSION:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DROP TABLE IF EXISTS runs")
            connection.execute(_TABLE)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
            connection.execute("COMMIT")
        connection.execute("SELECT id, stamp, summary FROM runs LIMIT 0")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _load(connection: sqlite3.Connection | None, path: Path) -> dict[str, tuple[str, bytes]]:
    if connection is None:
        return {}
    try:
        rows = connection.execute("SELECT id, stamp, summary FROM runs").fetchall()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            _forget(path)  # damaged inside: the next look makes it anew
        return {}
    return {run_id: (stamp, blob) for run_id, stamp, blob in rows if isinstance(blob, bytes)}


def _save(connection: sqlite3.Connection | None, fresh: list[tuple[str, str, bytes]], gone: set[str]) -> None:
    if connection is None or not (fresh or gone):
        return
    # Losing this costs time, never truth: another process may hold the file, or the disk may be full.
    with contextlib.suppress(sqlite3.Error):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", fresh)
        connection.executemany("DELETE FROM runs WHERE id = ?", [(run_id,) for run_id in gone])
        connection.execute("COMMIT")


def _forget(path: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        with contextlib.suppress(OSError):
            path.with_name(path.name + suffix).unlink()
