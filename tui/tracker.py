"""The app's one view of the store: one clock, one reading thread at a time, results as messages and signals."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.signal import Signal
from textual.worker import get_current_worker

from engine.store.paths import RunPaths
from tui.messages import NO_FACTS, FactsRead, NewestRead, PollEnded, RunRead, RunsListed, RunView, SparksRead
from tui.store_reader import RunReader

if TYPE_CHECKING:
    from textual.app import App

    from engine.store.buckets import Buckets
    from engine.store.summary import RunSummary
    from tui.run_list import RunList

PERIOD_SECONDS = 1.0
_DEBOUNCE_SECONDS = 0.08
_PATIENCE_SECONDS = 0.4
_KEPT_VIEWS = 32
_MOST_SPARKS = 60


@dataclass(frozen=True)
class Wanted:
    """What somebody looks at now."""

    selected: str | None = None
    group: str = "loss"
    generation: int = 0
    near: tuple[str, ...] = ()
    options: bool = False
    """The options of all runs, for a filter."""
    checkpoints: bool = False
    """Which runs have checkpoints."""


class RunTracker:
    """Polls the store and publishes what changed. Lives in the app's thread; only `_poll` runs in another.

    Subscribe to `listed`, `sparked` and `viewed`; or read `runs`, `sparks` and `view` at any time.
    """

    def __init__(self, app: App[Any], root: Path) -> None:
        self.app = app
        self.root = root
        self.runs: tuple[RunSummary, ...] | None = None
        """None until the store was read for the first time."""
        self.problem: str | None = None
        self.sparks: dict[str, Buckets] = {}
        self.facts = NO_FACTS
        self.view: RunView | None = None
        self.listed: Signal[tuple[RunSummary, ...]] = Signal(app, "runs-listed")
        self.newest: Signal[NewestRead] = Signal(app, "newest-read")
        """Once, before the first list of a large store."""
        self.sparked: Signal[Mapping[str, Buckets]] = Signal(app, "sparks-read")
        self.viewed: Signal[RunView | None] = Signal(app, "run-read")
        self._wanted = Wanted()
        self._answered = -1
        self._views: OrderedDict[tuple[str, str], RunView] = OrderedDict()
        self.reader = RunReader()
        """Of single runs; any thread may ask it."""
        self._busy = False
        self._again = False
        self._kicked = 0.0
        self._changed: set[str] = set()

    @cached_property
    def _list(self) -> RunList:
        """Of the reading thread alone, which imports what reads the store: the first paint needs none of it."""
        from tui.run_list import RunList

        return RunList(self.root)

    def start(self) -> None:
        """Begin to read, and go on at each tick of the app's clock."""
        self.app.set_interval(PERIOD_SECONDS, self._beat)
        self.kick()

    def _beat(self) -> None:
        """Read when it is time: seldom while nobody looks or nothing happens."""
        if time.monotonic() - self._kicked >= getattr(self.app, "pace_seconds", PERIOD_SECONDS) - PERIOD_SECONDS / 2:
            self.kick()

    def run_paths(self, run_id: str) -> RunPaths:
        """Where a run lies."""
        return RunPaths(self.root.absolute() / run_id)

    def find(self, run_id: str | None) -> RunSummary | None:
        """The newest summary of a run."""
        return next((run for run in self.runs or () if run.id == run_id), None)

    def watch(self, run_id: str | None, group: str) -> None:
        """Somebody selected another run, or other metrics of it."""
        if (run_id, group) == (self._wanted.selected, self._wanted.group):
            return
        self._wanted = replace(self._wanted, selected=run_id, group=group, generation=self._wanted.generation + 1)
        self.view = self._views.get((run_id, group)) if run_id else None
        generation = self._wanted.generation
        # Holding a key down passes over many runs: only where it rests is read and shown.
        self.app.set_timer(_DEBOUNCE_SECONDS, lambda: self._rested(generation))
        # An old curve beside a new name is a lie when it lasts; until then it spares drawing an empty pane.
        self.app.set_timer(_PATIENCE_SECONDS, lambda: self._late(generation))

    def _rested(self, generation: int) -> None:
        if generation == self._wanted.generation:
            if self.view is not None or self._wanted.selected is None:
                self.viewed.publish(self.view)
            self.kick()

    def _late(self, generation: int) -> None:
        if generation == self._wanted.generation and self.view is None:
            self.viewed.publish(None)

    def look_near(self, run_ids: list[str]) -> None:
        """Which rows are on the screen."""
        near = tuple(run_ids[:_MOST_SPARKS])
        if near != self._wanted.near:
            self._wanted = replace(self._wanted, near=near)
            self.app.set_timer(_DEBOUNCE_SECONDS, self.kick)

    def want_facts(self, *, options: bool, checkpoints: bool) -> None:
        """What the filter asks of runs beyond what lists show; `facts` has it when `listed` says so."""
        if (options, checkpoints) != (self._wanted.options, self._wanted.checkpoints):
            self._wanted = replace(self._wanted, options=options, checkpoints=checkpoints)
            if options or checkpoints:
                self.kick()

    def look_again(self, run_ids: Iterable[str]) -> None:
        """Runs that were changed by the app itself, on the screen or not: their turn is now."""
        self._changed.update(run_ids)

    def kick(self) -> None:
        """Read now, or once more after the reading under way."""
        if self._busy:
            self._again = True
            return
        self._busy, self._again, self._kicked = True, False, time.monotonic()
        wanted, answered = self._wanted, self._answered
        changed, self._changed = self._changed, set()
        self.app.run_worker(
            lambda: self._poll(wanted, answered, changed),
            name="tracker", group="tracker", description="reads the store", exit_on_error=False, thread=True,
        )  # fmt: skip

    def ended(self, *, failed: bool = False) -> None:
        """The reading thread is done."""
        self._busy = False
        if self._again and not failed:
            self.kick()

    def take_runs(self, message: RunsListed) -> None:
        """A new list came."""
        self.runs, self.problem = message.runs, message.problem
        self.listed.publish(message.runs)

    def take_facts(self, message: FactsRead) -> None:
        """What a filter asked for came: what it lets through may be other runs now."""
        self.facts = message.facts
        if self.runs is not None:
            self.listed.publish(self.runs)

    def take_sparks(self, message: SparksRead) -> None:
        """New sparklines came."""
        self.sparks.update(message.sparks)
        self.sparked.publish(message.sparks)

    def take_view(self, message: RunRead) -> None:
        """News of a run came; dropped when another one has been selected since."""
        if message.generation != self._wanted.generation:
            return
        self._answered = message.generation
        self.view = message.view
        self._views[message.view.run_id, self._wanted.group] = message.view
        self._views.move_to_end((message.view.run_id, self._wanted.group))
        if len(self._views) > _KEPT_VIEWS:
            self._views.popitem(last=False)
        self.viewed.publish(message.view)

    def _poll(self, wanted: Wanted, answered: int, changed: Iterable[str]) -> None:
        """In the reading thread: read what is wanted, post what changed. Touches no widget."""
        worker = get_current_worker()
        newest = self._list.newest()
        if newest is not None:
            self.app.post_message(newest)
        near = [*wanted.near, *([wanted.selected] if wanted.selected else [])]
        runs = self._list.poll([*near, *changed])
        if runs is not None:
            self.app.post_message(RunsListed(runs, self._list.problem))
        store = self._list.store
        if store is None:
            self.app.post_message(PollEnded())
            return
        if wanted.options or wanted.checkpoints:
            facts = self._list.facts(options=wanted.options, checkpoints=wanted.checkpoints)
            if facts is not None:
                self.app.post_message(FactsRead(facts))
        summaries = {run_id: self._list.summary(run_id) for run_id in near}
        if wanted.selected is not None and not worker.is_cancelled:
            fresh = wanted.generation != answered
            selected = summaries.get(wanted.selected)
            if selected is not None:
                view = self.reader.view(store.run(wanted.selected), wanted.group, selected, fresh=fresh)
                if view is not None:
                    self.app.post_message(RunRead(view, wanted.generation))
        sparks: dict[str, Buckets] = {}
        for run_id in wanted.near:
            summary = summaries.get(run_id)
            if worker.is_cancelled:
                return
            if summary is not None and summary.status.is_live:
                spark = self.reader.spark(store.run(run_id))
                if spark is not None:
                    sparks[run_id] = spark
        if sparks and not worker.is_cancelled:
            self.app.post_message(SparksRead(sparks))
        self.app.post_message(PollEnded())
