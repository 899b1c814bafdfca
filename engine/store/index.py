"""An index of a store's runs: a throw-away cache on local disk. Delete it at any time; the folders are the truth.

Only settled runs are kept in it, each with the times of its folder at that moment; whatever changes a settled run (a
new attempt, an edited note) changes those times, so that two `stat` calls tell whether an entry still holds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from engine.store import first_look
from engine.store.files import decode_number
from engine.store.index_file import Entry, IndexFile
from engine.store.paths import EMPTY_STORE, Store
from engine.store.plain_yaml import YamlValues
from engine.store.slow_disk import read_each
from engine.store.summary import RunSummary, summarize

_READS_A_SUMMARY = 10
_AT_ONCE = 1000
"""So many runs are read before they are kept: an interrupted first look is not lost."""
_FEW = 2000
"""A store of so many runs is looked at in full, whatever is shown of it."""
_TICK_NS = 20_000_000
"""A folder's time is no finer than the kernel's clock tick."""
_COARSE_NS = 2_500_000_000
"""Where times are whole seconds (FAT, some network file systems), a folder may change again within the same one."""


class Line(NamedTuple):
    """What lists sort and filter settled runs by. Has what `RunSummary` has under the same names."""

    id: str
    name: str
    task: str
    status: str
    created: float
    step: int
    total_steps: int | None
    study: str | None
    arm: str | None
    seed: int | None
    host: str | None
    attempts: int
    tags: Sequence[str]
    note: str
    star: bool
    archived: bool
    alerts: Sequence[str]
    overrides: Mapping[str, Any]
    metrics: Mapping[str, Any]
    """Non-finite ones as words."""
    problems: Sequence[str] = ()
    rate: float | None = None
    left: float | None = None

    @property
    def loss(self) -> float | None:
        """The loss to show and sort by."""
        return decode_number(self.metrics.get("val/loss", self.metrics.get("train/loss")))


Listed = Line | RunSummary
_KEPT = Line._fields[:19]


def index_path(store: Store) -> Path:
    """Where the index of a store lies: never in the store, which may be shared or read-only.

    Raises:
        RuntimeError: nothing says where this user's home is.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "heats" / f"{store.id}.sqlite"


def list_runs(store: Store, *, rescan: bool = False) -> list[RunSummary]:
    """All runs of a store, oldest first. Only runs that could have changed are read again.

    Args:
        store: which store.
        rescan: drop the index and read everything anew.
    """
    return runs_and_stamps(store, rescan=rescan)[0]


def runs_and_stamps(store: Store, *, rescan: bool = False) -> tuple[list[RunSummary], dict[str, str]]:
    """All runs of a store, oldest first, and of each what `stamps` said just before it was read."""
    if store.id == EMPTY_STORE:
        return [], {}
    with IndexFile(_path(store), anew=rescan) as file:
        ids = store.run_ids()
        kept = file.load("summaries")
        if file.is_open and _help_to_learn(store, ids, len(kept)):
            kept = file.load("summaries")
        taken = stamps(store, ids)
        found: dict[str, RunSummary] = {}
        unknown = []
        for run_id in ids:
            entry = kept.get(run_id)
            whole = _decode(entry.content) if entry is not None and entry.stamp == taken.get(run_id) else None
            if whole is None:
                unknown.append(run_id)
            else:
                found[run_id] = whole
        for begin in range(0, len(unknown), _AT_ONCE):
            found |= _read(store, file, unknown[begin : begin + _AT_ONCE], taken)[0]
        _forget_gone(file, ids)
    return [found[run_id] for run_id in ids if run_id in found], taken


def list_lines(store: Store, *, rescan: bool = False) -> list[Listed]:
    """All runs of a store, oldest first, as much of them as it takes to sort and filter; see `summaries`."""
    if store.id == EMPTY_STORE:
        return []
    ids = store.run_ids()
    with IndexFile(_path(store), anew=rescan) as file:
        known = file.load("lines")
        if file.is_open and _help_to_learn(store, ids, len(known)):
            known = file.load("lines")
        found = _look(store, file, ids, known)
        _forget_gone(file, ids)
    return found


def _help_to_learn(store: Store, ids: Sequence[str], known: int) -> bool:
    """Where there is much to read, let several processes fill the index; whether they did."""
    count = first_look.processes()
    if count < 2 or len(ids) - known < first_look.MANY:
        return False
    with first_look.helped(store, count):
        learn(store, ids[::count])
    return True


def _forget_gone(file: IndexFile, ids: Sequence[str]) -> None:
    gone = file.ids() - set(ids)
    if gone:
        file.keep({}, gone)


def learn(store: Store, ids: Sequence[str]) -> None:
    """Take runs into the index, as far as they are settled and it doesn't know them."""
    with IndexFile(_path(store)) as file:
        _look(store, file, ids, file.load("lines", ids))


@dataclass(frozen=True)
class Newest:
    """The newest runs, newest first, and how many were left out: archived ones, and older ones not looked at."""

    runs: list[RunSummary]
    archived: int
    older: int
    everything: int


def newest_runs(store: Store, count: int, *, archived: bool = False) -> Newest:
    """The newest runs, looking at no more of the others than it takes to know which these are.

    Args:
        store: which store.
        count: how many, at least 1.
        archived: archived ones too.
    """
    if store.id == EMPTY_STORE:
        return Newest([], 0, 0, 0)
    ids = store.run_ids()
    found: list[Listed] = []
    hidden, begin = 0, len(ids)
    with IndexFile(_path(store)) as file:
        while begin > 0 and len(found) < count:
            end = begin
            begin = max(0, end - (len(ids) if len(ids) <= _FEW else 2 * count))
            while begin > 0 and ids[begin - 1][:15] == ids[begin][:15]:
                begin -= 1  # only their records say which of one second's runs came first
            some = _look(store, file, ids[begin:end], file.load("lines", ids[begin:end]))
            hidden += sum(run.archived for run in some if not archived)
            found += by_age([run for run in some if archived or not run.archived])
    older = len(found) - len(found[:count]) + begin
    return Newest(summaries(store, found[:count]), hidden, older, len(found) + hidden + begin)


def by_age(runs: Iterable[Listed]) -> list[Listed]:
    """Runs, newest first. Ids tell the second; within one, the record does."""
    return sorted(runs, key=lambda run: (run.id[:15], run.created, run.id), reverse=True)


def summaries(store: Store, lines: Sequence[Listed]) -> list[RunSummary]:
    """All there is to say of listed runs; those gone since are left out."""
    wanted = [line.id for line in lines if isinstance(line, Line)]
    with IndexFile(_path(store) if wanted else None) as file:
        kept = file.load("summaries", None if len(wanted) > _AT_ONCE else wanted)
        taken = stamps(store, wanted)
        found = []
        for line in lines:
            if isinstance(line, RunSummary):
                found.append(line)
                continue
            entry = kept.get(line.id)
            whole = _decode(entry.content) if entry is not None and entry.stamp == taken.get(line.id) else None
            if whole is None:
                whole = summarize(store.run(line.id), events=False)
            if whole is not None:
                found.append(whole)
    return found


def config_values(store: Store, runs: Iterable[Listed]) -> dict[str, Mapping[str, Any]]:
    """The options that runs trained by, flat by dotted key: config.yaml with every attempt's overrides.

    Files that were read before come from the index; runs without a readable one have none.
    """
    reader = YamlValues()
    found: dict[str, Mapping[str, Any]] = {}
    fresh: dict[str, Entry] = {}
    with IndexFile(_path(store)) as file:
        wanted = list(runs)
        kept = file.load("configs", None if len(wanted) > _AT_ONCE else [run.id for run in wanted])
        for run in wanted:
            path = f"{store.root}/{run.id}/config.yaml"
            try:
                status = os.stat(path)
            except OSError:
                continue
            stamp = f"{status.st_mtime_ns}-{status.st_size}"
            entry = kept.get(run.id)
            values = _object(entry.content) if entry is not None and entry.stamp == stamp else None
            if values is None:
                values = reader.read(path)
                if values is None:
                    continue
                fresh[run.id] = Entry(stamp, orjson.dumps(values, default=str))
            found[run.id] = {**values, **run.overrides} if run.overrides else values
        if fresh:
            file.keep({"configs": fresh})
    return found


def _path(store: Store) -> Path | None:
    try:
        return index_path(store)
    except RuntimeError:
        return None


def _look(store: Store, file: IndexFile, ids: Sequence[str], known: dict[str, Entry]) -> list[Listed]:
    """The runs of these ids in their order, out of the index where it holds; what was read anew is kept."""
    taken = stamps(store, ids)
    found: dict[str, Listed] = {}
    unknown = []
    for run_id in ids:
        entry = known.get(run_id)
        line = _line(run_id, entry.content) if entry is not None and entry.stamp == taken.get(run_id) else None
        if line is None:
            unknown.append(run_id)
        else:
            found[run_id] = line
    for begin in range(0, len(unknown), _AT_ONCE):
        runs, lines = _read(store, file, unknown[begin : begin + _AT_ONCE], taken)
        found |= runs
        found |= lines  # a quarter of a summary's memory
    return [found[run_id] for run_id in ids if run_id in found]


def _read(
    store: Store, file: IndexFile, ids: Sequence[str], stamps: Mapping[str, str]
) -> tuple[dict[str, RunSummary], dict[str, Line]]:
    """Read runs and keep those that are settled; of these also what lists sort them by."""
    found: dict[str, RunSummary] = {}
    lines: dict[str, Entry] = {}
    wholes: dict[str, Entry] = {}
    summaries = read_each(lambda run_id: summarize(store.run(run_id), events=False), ids, _READS_A_SUMMARY)
    for run_id, summary in zip(ids, summaries, strict=True):
        if summary is None:
            continue
        found[run_id] = summary
        stamp = stamps.get(run_id)
        if summary.settled and stamp is not None and file.is_open and _is_over(stamp):
            content = summary.to_json()
            kept = [content[name] for name in _KEPT if name != "overrides"]
            kept.insert(_KEPT.index("overrides"), summary.overrides)
            lines[run_id] = Entry(stamp, orjson.dumps(kept, default=str))
            content["overrides"] = summary.overrides
            wholes[run_id] = Entry(stamp, orjson.dumps(content, default=str))
    if not lines or not file.keep({"lines": lines, "summaries": wholes}):
        return found, {}
    decoded = {run_id: _line(run_id, entry.content) for run_id, entry in lines.items()}
    return found, {run_id: line for run_id, line in decoded.items() if line is not None}


def stamps(store: Store, ids: Iterable[str]) -> dict[str, str]:
    """By run, what changes whenever a settled run may have: a new attempt, or an edited note. Two stats a run."""
    stat = os.stat
    try:
        folder = os.open(store.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return {}

    def stamp(run_id: str) -> str | None:
        try:
            attempts = stat(f"{run_id}/attempts", dir_fd=folder).st_mtime_ns
            names = stat(run_id, dir_fd=folder).st_mtime_ns  # notes.json is replaced by rename
        except OSError:
            return None
        return f"{attempts}-{names}"

    try:
        wanted = list(ids)
        found = read_each(stamp, wanted, 2)
    finally:
        os.close(folder)
    return {run_id: text for run_id, text in zip(wanted, found, strict=True) if text is not None}


def _is_over(stamp: str) -> bool:
    """Whether a later change would get a later time. Within one tick of the clock two changes look like one."""
    times = [int(part) for part in stamp.split("-") if part]
    coarse = all(moment % 1_000_000_000 == 0 for moment in times)
    return time.time_ns() - max(times) > (_COARSE_NS if coarse else _TICK_NS)


def _line(run_id: str, content: bytes) -> Line | None:
    try:
        line = Line(*orjson.loads(content))
    except (ValueError, TypeError):
        return None
    return line if line.id == run_id else None


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(content)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _decode(content: bytes) -> RunSummary | None:
    try:
        return RunSummary.from_json(orjson.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
