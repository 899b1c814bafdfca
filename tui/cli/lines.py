"""Following a run as plain lines, for pipes, files and screen readers."""

from __future__ import annotations

import sys
import time

from engine.store.files import decode_number
from engine.store.paths import RunPaths
from engine.store.records import Event
from engine.store.summary import RunSummary
from tui import format as form
from tui.cli.follow import headline, watch_run
from tui.cli.terminal import safe

_BETWEEN_SECONDS = 1.0


def follow_lines(run: RunPaths, *, bell: bool = False) -> RunSummary:
    """One line a status, an evaluation and an alert, and at most one a second of progress, until the run ends."""
    printer = _Printer()
    summary = None
    for summary in watch_run(run, bell=bell):
        printer.take(summary)
        sys.stdout.flush()
    assert summary is not None
    return summary


class _Printer:
    def __init__(self) -> None:
        self._status = ""
        self._step = -1
        self._next = 0.0
        self._seen: set[tuple[str, float, int | None]] | None = None

    def take(self, summary: RunSummary) -> None:
        if summary.status != self._status and not summary.status.is_final:
            self._status = summary.status
            print(f"{summary.id} {summary.status}: {safe(summary.reason)}")
        self._print_events(summary)
        now = time.monotonic()
        if summary.step != self._step and now >= self._next and not summary.status.is_final:
            self._step, self._next = summary.step, now + _BETWEEN_SECONDS
            loss = summary.metrics.get("train/loss", summary.loss)
            words = [f"step {form.progress(summary.step, summary.total_steps)}", f"loss {form.number(loss)}"]
            words += [form.rate(summary.rate)] if summary.rate else []
            words += [f"{form.duration(summary.left)} left"] if summary.left is not None else []
            print("  ".join(words))

    def _print_events(self, summary: RunSummary) -> None:
        keys = [(event.name, event.time, event.step) for event in summary.events]
        if self._seen is None:  # what happened before we came is history
            self._seen = set(keys)
            return
        for key, event in zip(keys, summary.events, strict=True):
            if key not in self._seen:
                self._seen.add(key)
                _print_event(event, summary)


def _print_event(event: Event, summary: RunSummary) -> None:
    at = f"step {event.step:,}  " if event.step is not None else ""
    if event.name == "evaluated":
        found = event.facts.get("metrics")
        names = found if isinstance(found, dict) else {}
        decoded = {name: decode_number(value) for name, value in names.items()}
        values = {name: value for name, value in decoded.items() if value is not None}
        print(f"{at}evaluated  " + "  ".join(f"{safe(n)} {form.number(v)}" for n, v in headline(values, 6).items()))
    elif event.name == "alert":
        print(f"{at}alert  {safe(str(event.facts.get('message', event.facts.get('cause', ''))))}")
