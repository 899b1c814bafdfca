"""Reads a store for the app, in its one reading thread: what changed since the last time, and nothing twice."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.store.buckets import Buckets, Curve, GrowingCurve
from engine.store.logs import LogFile
from engine.store.metrics import RunHistory
from engine.store.paths import RunPaths
from engine.store.summary import RunSummary, summarize
from tui.messages import RunView
from tui.widgets.sparkline import spark_buckets

SPARK_CELLS = 12
_KEPT_HISTORIES = 64
DEFAULT_GROUP = "loss"


def group_of(metric: str) -> str:
    """What a metric measures, wherever it was measured: `loss` for train/loss and val/loss."""
    return metric.partition("/")[2] or metric


def groups_of(metrics: Iterable[str]) -> tuple[str, ...]:
    """The groups there are, the loss first."""
    found = dict.fromkeys(group_of(metric) for metric in metrics)
    return tuple(sorted(found, key=lambda group: (group != DEFAULT_GROUP, group)))


@dataclass
class _Book:
    """One run's curves and log, kept up to date by what was appended."""

    run: RunPaths
    history: RunHistory
    growing: dict[str, GrowingCurve] = field(default_factory=dict)
    generation: int = 0
    version: int = 0
    """Grows with each change of the curves."""
    viewed: int = -1
    log: LogFile | None = None
    config: str | None = None
    summary: RunSummary | None = None

    def refresh(self) -> None:
        """Take in new metrics."""
        if self.history.refresh():
            self.version += 1
        if self.history.generation != self.generation:
            self.generation = self.history.generation
            self.growing.clear()

    def curve(self, metric: str) -> Curve | None:
        series = self.history.series.get(metric)
        if series is None:
            return None
        growing = self.growing.setdefault(metric, GrowingCurve())
        known = len(growing)
        if len(series) > known:
            # Slices are copies: a view of the arrays themselves would keep them from growing.
            growing.extend(
                np.frombuffer(series.steps[known:], np.int64),
                np.frombuffer(series.values[known:], np.float64),
                np.frombuffer(series.times[known:], np.float64),
            )
        return growing.snapshot()

    def refresh_log(self) -> bool:
        """Take in what was appended to the newest attempt's output; whether anything was."""
        attempts = self.run.attempts()
        path = next((attempt.output for attempt in reversed(attempts) if attempt.output.exists()), None)
        if path is None:
            return False
        if self.log is None or self.log.path != path:
            self.log = LogFile(path)
            self.log.refresh()
            return True
        return self.log.refresh()


class RunReader:
    """Curves, logs, configs and events of single runs. Keeps those looked at last, so that going back is instant."""

    def __init__(self) -> None:
        self._books: OrderedDict[str, _Book] = OrderedDict()
        self._sparks: dict[str, int] = {}

    def _book(self, run: RunPaths) -> _Book:
        book = self._books.get(run.id)
        if book is None:
            book = self._books[run.id] = _Book(run, RunHistory(run))
            if len(self._books) > _KEPT_HISTORIES:
                dropped, _ = self._books.popitem(last=False)
                self._sparks.pop(dropped, None)
        self._books.move_to_end(run.id)
        return book

    def spark(self, run: RunPaths) -> Buckets | None:
        """The loss as a sparkline wants it; None when it is as before."""
        book = self._book(run)
        book.refresh()
        name = next((name for name in ("train/loss", "loss", "val/loss") if name in book.history.series), None)
        curve = book.curve(name) if name else None
        if curve is None or not len(curve) or self._sparks.get(run.id) == _mark(book, curve):
            return None
        self._sparks[run.id] = _mark(book, curve)
        return spark_buckets(curve, SPARK_CELLS)

    def view(self, run: RunPaths, group: str, summary: RunSummary | None, *, fresh: bool) -> RunView | None:
        """What the panes show of a run; None when nothing changed.

        Args:
            run: which run.
            group: the metrics to show; the nearest thing to the loss where the run has none of them.
            summary: the run in the newest list.
            fresh: answer even when nothing changed.
        """
        book = self._book(run)
        book.refresh()
        changed = book.refresh_log() or book.version != book.viewed or summary is not book.summary
        book.viewed, book.summary = book.version, summary
        if not (changed or fresh):
            return None
        if book.config is None:
            book.config = _read_text(run.config)
        groups = groups_of(book.history.series)
        shown = group if group in groups else next(iter(groups), group)
        curves: dict[str, Any] = {name: book.curve(name) for name in book.history.series if group_of(name) == shown}
        if summary is not None and not summary.events:
            summary = summarize(run) or summary  # one out of the index comes without its events
        return RunView(
            run_id=run.id,
            groups=groups,
            group=shown,
            curves=curves,
            log=book.log,
            log_size=book.log.size if book.log else 0,
            events=summary.events if summary else (),
            alerts=summary.alerts if summary else (),
            config=book.config,
            problems=summary.problems if summary else (),
        )


def _mark(book: _Book, curve: Curve) -> int:
    return hash((book.generation, len(curve), int(curve.steps[-1])))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
