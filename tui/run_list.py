"""The list of all runs, kept up to date at little cost. Used by the app's one reading thread."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from engine.errors import HeatsError
from engine.store.checkpoints import has_checkpoint
from engine.store.index import config_values, newest_runs, runs_and_stamps, stamps
from engine.store.paths import Store, open_store
from engine.store.summary import RunSummary, summarize
from tui.messages import NO_FACTS, Facts, NewestRead

_SCAN_EVERY = 30
_QUIET_TICKS = 4
"""A live run that writes nothing is looked at this rarely: its processes may have died."""
_CHECKED_A_TICK = 200
_NEWEST = 200
"""So many runs are shown before all of a larger store are read: more than a screen holds."""


class RunList:
    """The summaries of all runs. Settled runs are looked at by two stats, a slice of them a tick; others are read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problem: str | None = None
        self._store: Store | None = None
        self._summaries: dict[str, RunSummary] = {}
        self._stamps: dict[str, str | None] = {}
        self._traces: dict[str, tuple[object, ...]] = {}
        self._loaded: str | None = None
        """The id of the store whose runs are known."""
        self._modified = -1
        self._ticks = 0
        self._order: list[str] = []
        self._turn = 0
        self._unsettled: set[str] = set()
        self._facts = NO_FACTS
        self._options_of: dict[str, int] = {}
        """Of which runs the options are known, as of which attempt."""
        self._counted = -_SCAN_EVERY

    @property
    def store(self) -> Store | None:
        """The store; None while there is none."""
        return self._store

    def summary(self, run_id: str) -> RunSummary | None:
        """The newest summary of a run."""
        return self._summaries.get(run_id)

    def poll(self, near: Iterable[str] = ()) -> tuple[RunSummary, ...] | None:
        """All runs, oldest first; None when nothing changed.

        Args:
            near: runs to check at each call, since somebody looks at them.
        """
        before = self.problem
        if not self._open():
            cleared = self._clear()
            return () if cleared or self.problem != before else None
        assert self._store is not None
        changed = before != self.problem
        if self._loaded != self._store.id:
            changed |= self._load(self._store)
        changed |= self._scan(self._store)
        changed |= self._read_again(self._store, near)
        self._ticks += 1
        if not changed:
            return None
        return tuple(self._summaries[run_id] for run_id in sorted(self._summaries))

    def newest(self) -> NewestRead | None:
        """Before the first `poll` of a large store: its newest runs, which take little time. None otherwise."""
        if self._loaded is not None or not self._open() or self._store is None:
            return None
        try:
            found = newest_runs(self._store, _NEWEST)
        except HeatsError:
            return None
        everything = found.everything if found.everything > _NEWEST * 2 else 0
        return NewestRead(tuple(reversed(found.runs)), everything) if everything else None

    def facts(self, *, options: bool, checkpoints: bool) -> Facts | None:
        """What a filter asks of the runs; None when that is as before."""
        store, before = self._store, self._facts
        if store is None:
            return None
        configs, saved = before.configs, before.saved
        if options:
            unread = [run for run in self._summaries.values() if self._options_of.get(run.id) != run.attempts]
            if unread:
                configs = {**configs, **config_values(store, unread)}
                self._options_of |= {run.id: run.attempts for run in unread}
        if checkpoints and self._ticks - self._counted >= _SCAN_EVERY // 3:
            self._counted = self._ticks
            saved = frozenset(run_id for run_id in self._summaries if has_checkpoint(store.run(run_id)))
        if configs is before.configs and saved == before.saved:
            return None
        self._facts = Facts(configs, saved)
        return self._facts

    def _open(self) -> bool:
        if self._store is not None and self._store.id != "empty" and self._store.root.is_dir():
            return True
        had_runs = bool(self._summaries)
        was_gone = self.problem is not None and self._store is None
        self._store = None
        if not self.root.exists():
            self.problem = f"{self.root} is not there any more" if had_runs or was_gone else None
            return False
        self.problem = None
        try:
            self._store = open_store(self.root)
        except HeatsError as error:
            self.problem = str(error)
            return False
        return True

    def _clear(self) -> bool:
        """Forget what was known; whether a viewer has to hear of it."""
        had = bool(self._summaries) or self._ticks == 0
        self._ticks += 1
        self._summaries, self._stamps, self._unsettled = {}, {}, set()
        self._loaded, self._modified = None, -1
        self._facts, self._options_of, self._counted = NO_FACTS, {}, -_SCAN_EVERY
        return had

    def _load(self, store: Store) -> bool:
        """The first look goes through the index. Stamps are taken before, so that no change falls between."""
        self._loaded = store.id
        runs, taken = runs_and_stamps(store)
        self._summaries = {run.id: run for run in runs}
        self._stamps = {run_id: taken.get(run_id) for run_id in self._summaries}
        self._unsettled = {run.id for run in self._summaries.values() if not run.settled}
        return True

    def _scan(self, store: Store) -> bool:
        """Look for runs that are new or gone, where the folder says that its names have changed."""
        try:
            modified = os.stat(store.root).st_mtime_ns
            if modified == self._modified and self._ticks % _SCAN_EVERY:
                return False
            names = set(store.run_ids())
        except (OSError, HeatsError):
            return False
        self._modified = modified
        gone = self._summaries.keys() - names
        for run_id in gone:
            del self._summaries[run_id]
            self._stamps.pop(run_id, None)
            self._unsettled.discard(run_id)
        added = False
        for run_id in names - self._summaries.keys():
            added |= self._summarize(store, run_id)
            if run_id not in self._summaries:
                self._modified = -1  # being made: its run.json comes last
        return bool(gone) or added

    def _read_again(self, store: Store, near: Iterable[str]) -> bool:
        near = dict.fromkeys(run_id for run_id in near if run_id in self._summaries)
        changed = False
        for run_id in near | dict.fromkeys(self._next_slice()):
            if self._summaries[run_id].settled and _stamp(store, run_id) != self._stamps.get(run_id):
                changed |= self._summarize(store, run_id)
        for run_id in list(self._unsettled):
            if self._live_is_due(store, self._summaries[run_id]):
                changed |= self._summarize(store, run_id)
        return changed

    def _next_slice(self) -> list[str]:
        """Each run has its turn, so that a change by somebody else is seen in the end."""
        if self._turn >= len(self._order):
            self._order, self._turn = list(self._summaries), 0
        begin, self._turn = self._turn, self._turn + _CHECKED_A_TICK
        return [run_id for run_id in self._order[begin : self._turn] if run_id in self._summaries]

    def _live_is_due(self, store: Store, summary: RunSummary) -> bool:
        """Whether to read a run again: it wrote something, or its processes were not looked at for some ticks."""
        trace = _trace(store, summary)
        if trace == self._traces.get(summary.id) and (self._ticks + hash(summary.id)) % _QUIET_TICKS:
            return False
        self._traces[summary.id] = trace
        return True

    def _summarize(self, store: Store, run_id: str) -> bool:
        stamp = _stamp(store, run_id)
        summary = summarize(store.run(run_id))
        if summary is None:
            return False
        self._stamps[run_id] = stamp
        known = self._summaries.get(run_id)
        if known == summary and known.events == summary.events:
            return False  # the same object stays, so that a look at identities finds what changed
        self._summaries[run_id] = summary
        (self._unsettled.discard if summary.settled else self._unsettled.add)(run_id)
        return True


def _trace(store: Store, summary: RunSummary) -> tuple[object, ...]:
    """What changes when a run, its supervisor or somebody who wants it to stop writes anything."""
    run = store.run(summary.id)
    try:
        with os.scandir(run.attempt(summary.attempts).folder) as entries:
            files = tuple((entry.name, entry.stat().st_size, entry.stat().st_mtime_ns) for entry in entries)
        return (*files, os.stat(run.requests).st_mtime_ns, _stamp(store, summary.id))
    except OSError:
        return ()


def _stamp(store: Store, run_id: str) -> str | None:
    """Changes when a settled run gets a new attempt or an edited note."""
    return stamps(store, (run_id,)).get(run_id)
