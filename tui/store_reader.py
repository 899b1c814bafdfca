"""Reads a store for the app, in its one reading thread: what changed since the last time, and nothing twice."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from engine.late import np
from engine.store.buckets import Buckets, Curve, GrowingCurve
from tui.messages import RunView
from tui.run_curves import ChartsView, RunCurves, group_of, groups_of
from tui.widgets.sparkline import spark_buckets

if TYPE_CHECKING:
    from engine.store.logs import LogFile
    from engine.store.metrics import RunHistory
    from engine.store.paths import RunPaths
    from engine.store.summary import RunSummary
    from tui.widgets.scale import Axis

SPARK_CELLS = 12
_KEPT_HISTORIES = 64
_STEPS_AN_EPOCH_FROM = "training"


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
    epoch_steps: float | None = None
    clock: tuple[int, Any] | None = None

    def refresh(self) -> None:
        """Take in new metrics."""
        if self.history.refresh():
            self.version += 1
        if self.history.generation != self.generation:
            self.generation = self.history.generation
            self.growing.clear()
            self.clock = None

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

    def places(self, curves: Mapping[str, Curve], axis: Axis) -> dict[str, Any]:
        """Where the points of curves lie on an axis; a curve is left out where that isn't known."""
        if axis == "step":
            return {}
        if axis == "epoch":
            return self._epochs(curves)
        timed = {name: found for name, found in curves.items() if len(found) and found.times[0] > 0}
        if axis == "time":
            return {name: np.maximum.accumulate(found.times) for name, found in timed.items()}
        if not timed:
            return {}
        longest = max(timed.values(), key=len)
        from engine.store.elapsed import training_time

        if self.clock is None or self.clock[0] != len(longest):
            self.clock = len(longest), training_time(longest.times)
        elapsed = self.clock[1]
        return {name: _between(found.steps, longest.steps, elapsed) for name, found in timed.items()}

    def _epochs(self, curves: Mapping[str, Curve]) -> dict[str, Any]:
        """By the run's own count of epochs where it logs one, else by its steps an epoch."""
        for own in ("epoch", "train/epoch"):
            if own in curves and len(curves[own]):
                steps, values = curves[own].steps, np.maximum.accumulate(curves[own].values)
                return {name: _between(found.steps, steps, values) for name, found in curves.items()}
        if self.epoch_steps is None:
            self.epoch_steps = _steps_an_epoch(self.run)
        if not self.epoch_steps:
            return {}
        return {name: found.steps / self.epoch_steps for name, found in curves.items()}

    def refresh_log(self) -> bool:
        """Take in what was appended to the newest attempt's output; whether anything was."""
        attempts = self.run.attempts()
        path = next((attempt.output for attempt in reversed(attempts) if attempt.output.exists()), None)
        if path is None:
            return False
        if self.log is None or self.log.path != path:
            from engine.store.logs import LogFile

            self.log = LogFile(path)
            self.log.refresh()
            return True
        return self.log.refresh()


class RunReader:
    """Curves, logs, configs and events of single runs. Keeps those looked at last, so that going back is instant."""

    def __init__(self) -> None:
        self._books: OrderedDict[str, _Book] = OrderedDict()
        self._sparks: dict[str, int] = {}
        # The tracker's thread and those of screens read; a book is nobody's while another fills it.
        self._lock = RLock()

    def _book(self, run: RunPaths) -> _Book:
        book = self._books.get(run.id)
        if book is None:
            from engine.store.metrics import RunHistory

            book = self._books[run.id] = _Book(run, RunHistory(run, cached=True))
            if len(self._books) > _KEPT_HISTORIES:
                dropped, _ = self._books.popitem(last=False)
                self._sparks.pop(dropped, None)
        self._books.move_to_end(run.id)
        return book

    def spark(self, run: RunPaths) -> Buckets | None:
        """The loss as a sparkline wants it; None when it is as before."""
        with self._lock:
            return self._spark(run)

    def _spark(self, run: RunPaths) -> Buckets | None:
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
        with self._lock:
            return self._view(run, group, summary, fresh=fresh)

    def charts(
        self, runs: Sequence[tuple[RunPaths, str, str | None]], axis: Axis, known: ChartsView | None = None
    ) -> ChartsView | None:
        """All curves of some runs; None where nothing has changed.

        Args:
            runs: which, each with what it is called and the arm it belongs to.
            axis: for which places are wanted.
            known: what is shown already.
        """
        with self._lock:
            found, version = [], []
            for run, _, _ in runs:
                book = self._book(run)
                book.refresh()
                version.append((run.id, book.generation, book.version))
            if known is not None and (known.axis, known.version) == (axis, tuple(version)):
                return None
            for run, label, arm in runs:
                book = self._book(run)
                curves = {name: curve for name in book.history.series if (curve := book.curve(name)) is not None}
                found.append(RunCurves(run.id, label, curves, book.places(curves, axis), arm))
            return ChartsView(tuple(found), axis, tuple(version))

    def _view(self, run: RunPaths, group: str, summary: RunSummary | None, *, fresh: bool) -> RunView | None:
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
            from engine.store.summary import summarize

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


def _between(steps: Any, known: Any, values: Any) -> Any:
    """Values at steps, from those at known steps."""
    return values if np.array_equal(steps, known) else np.interp(steps, known, values)


def _steps_an_epoch(run: RunPaths) -> float:
    """Optimizer steps of one epoch, as the newest attempt that trained says; 0 where none does."""
    from engine.store.records import read_events

    for attempt in reversed(run.attempts()):
        for event in read_events(attempt.events)[0]:
            batches = event.facts.get("batches_per_epoch")
            if event.name == _STEPS_AN_EPOCH_FROM and isinstance(batches, int) and batches > 0:
                settings = event.facts.get("settings")
                accumulation = settings.get("accumulation") if isinstance(settings, dict) else None
                return batches / (accumulation if isinstance(accumulation, int) and accumulation > 0 else 1)
    return 0.0


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
