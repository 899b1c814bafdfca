"""The tab of the machine while the run trained: processor, memory, disk and GPUs, now and before."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Static

from engine.store.summary import RunSummary
from engine.store.system import SystemHistory, figure
from tui import format
from tui.copying import Copyable, fixed
from tui.screens.run_tabs.tab import RunTab
from tui.screens.runs import update_text
from tui.system_lines import Shown, ceiling_of, figure_lines
from tui.widgets.log_view import LogView, TextLines

_SPANS = (("the last 10 minutes", 600.0), ("the last hour", 3600.0), ("the last day", 86400.0), ("the whole run", 0.0))


class SystemTab(RunTab):
    """The host's figures over the run's life."""

    NAME = "system"

    def __init__(self) -> None:
        super().__init__()
        self.figures: tuple[Shown, ...] = ()
        self.span = 3
        """Which of the spans is shown."""
        self._history: SystemHistory | None = None
        self._lock = threading.Lock()

    def compose(self) -> ComposeResult:
        yield Static(id="system-head", classes="head", markup=False)
        yield LogView(id="system-lines", empty_text="no figures of the machine were kept for this run")

    def on_mount(self) -> None:
        self._history = SystemHistory(self.run_paths)

    @property
    def view(self) -> LogView:
        """The lines."""
        return self.query_one("#system-lines", LogView)

    def panes(self) -> list[Widget]:
        return [self.view]

    def update_run(self, run: RunSummary | None) -> None:
        self._read()

    def tick(self) -> None:
        run = self.run_screen.selected_run()
        if run is not None and run.status.is_live:
            self._read()

    def _read(self) -> None:
        history, lock = self._history, self._lock
        if history is not None:
            self.run_screen.ask(
                "system", "reads the machine's figures", lambda: _read(history, lock), self._take, anew=False
            )

    def _take(self, figures: tuple[Shown, ...] | None) -> None:
        if figures is not None:
            self.figures = figures
        self._show()

    def on_resize(self) -> None:
        self._show()

    def _show(self) -> None:
        head = self.query_one("#system-head", Static)
        if not self.figures:
            update_text(head, "")
            return
        last = max(float(item.times[-1]) for item in self.figures)
        first = min(float(item.times[0]) for item in self.figures)
        word, seconds = _SPANS[self.span]
        start = max(first, last - seconds) if seconds else first
        lines, kinds = figure_lines(
            self.figures, self.size.width, self.view.size.height, span=(start, last), ascii_only=self.ascii_only
        )
        fresh = TextLines(lines, kinds)
        if fresh != self.view.source:
            top = self.view.top
            self.view.show(fresh)
            self.view.move_by(top)
        age = time.time() - last
        when = f"; the last figures are {format.duration(age)} old" if age > 60 else ""
        dates = (
            f"{time.strftime('%m-%d %H:%M', time.localtime(start))} to {time.strftime('%H:%M', time.localtime(last))}"
        )
        update_text(head, f"{word} ({dates}), each column its greatest; i: another span{when}")

    def do_filter(self) -> None:
        """Another span of time."""
        self.span = (self.span + 1) % len(_SPANS)
        self._show()

    def copyables(self) -> Sequence[Copyable]:
        path = self.run_paths.folder / "attempts"
        text = "\n".join(self.view.source.lines(0, self.view.source.line_count))
        return (
            fixed("a", "the figures", text, f"{self.run_paths.id}-system.txt"),
            fixed("p", "the folder of system.jsonl", str(path)),
        )


def _read(history: SystemHistory, lock: threading.Lock) -> tuple[Shown, ...] | None:
    """In a thread: the figures; None where nothing is new. Totals aren't shown, they bound what is."""
    with lock:
        changed = history.refresh()
        names = history.names()
        latest = history.latest()
        if not changed and names:
            return None
        bounds = {name for name in names if any(figure(other).ceiling == name for other in names)}
        found = []
        for name in names:
            if name in bounds or name == "power_limit":
                continue
            times, values = history.curve(name)
            if len(times):
                what = figure(name)
                found.append(
                    Shown(
                        what.group, what.label, what.unit, np.asarray(times), np.asarray(values),
                        ceiling_of(what.ceiling, latest),
                    )
                )  # fmt: skip
        return tuple(found)
