"""One run: its chart, log, config and events."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Input, Static

from engine.store.files import decode_number
from engine.store.records import Event
from engine.store.summary import RunSummary
from tui import format
from tui.actions import RUN, bindings
from tui.messages import RunView
from tui.screens.base import RunActsScreen
from tui.screens.runs import info_lines, update_text
from tui.widgets.chart import Chart
from tui.widgets.key_bar import KeyBar
from tui.widgets.log_view import LogView, TextLines
from tui.widgets.run_columns import short_name

TABS = ("chart", "log", "config", "events")
_TALL = 26


class RunScreen(RunActsScreen):
    """One run in full."""

    CSS_PATH = "run.tcss"
    WHERE = RUN
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(RUN)]

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self._config = ""
        self._events: tuple[Event, ...] | None = None

    def compose(self) -> ComposeResult:
        app = self.heats
        follow = app.state.follow
        yield Static(id="title", markup=False)
        yield Static(id="tabs")
        with ContentSwitcher(initial="chart", id="panes"):
            with Vertical(id="chart"):
                yield Static(id="info", markup=False)
                yield Chart(id="curves", ascii_only=app.ascii_only)
                yield LogView(id="chart-log", follow=follow, empty_text="nothing printed yet")
            yield LogView(id="log", follow=follow, empty_text="nothing printed yet")
            yield LogView(id="config", empty_text="no config")
            yield LogView(id="events", follow=True, empty_text="nothing happened yet")
        yield Input(id="search", placeholder="text to find; capitals matter if there are any", compact=True)
        yield KeyBar(RUN, read_only=app.read_only)

    def on_mount(self) -> None:
        app = self.heats
        self.query_one(Input).cursor_blink = not app.low_bandwidth
        self.query_one(Input).display = False
        self.query_one(Chart).set_look(self.look)
        app.tracker.listed.subscribe(self, self._on_listed)
        app.tracker.viewed.subscribe(self, self._on_viewed)
        app.tracker.watch(self.run_id, app.state.metric)
        self._on_viewed(app.tracker.view)
        self.action_show_tab("chart")

    def on_resize(self) -> None:
        self.set_class(self.size.height >= _TALL, "tall")
        self.set_class(self.size.height < 14, "short")

    def on_screen_resume(self) -> None:
        """Back from a dialog: take in what came meanwhile."""
        self._on_viewed(self.heats.tracker.view)

    @property
    def tab(self) -> str:
        """Which tab is open."""
        return self.query_one(ContentSwitcher).current or "chart"

    def selected_run(self) -> RunSummary | None:
        return self.heats.tracker.find(self.run_id)

    def panes(self) -> list[Widget]:
        if self.tab != "chart":
            return [self.query_one(f"#{self.tab}")]
        log = self.query_one("#chart-log")
        return [log] if self.has_class("tall") else []

    def _log_view(self) -> LogView | None:
        return self.query_one("#log" if self.tab == "log" else "#chart-log", LogView)

    def _on_listed(self, runs: tuple[RunSummary, ...]) -> None:
        run = self.selected_run()
        if run is not None:
            self._show_title(run)

    def _on_viewed(self, view: RunView | None) -> None:
        run = self.selected_run()
        if run is None:
            return
        self._show_title(run)
        fits = view is not None and view.run_id == self.run_id
        if self.tab == "chart":
            self.show_view(view, run)
        if not fits or view is None:
            return
        if view.config != self._config:
            self._config = view.config
            self.query_one("#config", LogView).show(TextLines(view.config.splitlines()))
        if view.events != self._events:
            self._events = view.events
            self.query_one("#events", LogView).show(TextLines(list(event_lines(view.events))))
        # Of the two views of the log only the one on the screen is kept going.
        log = self.query_one("#log" if self.tab == "log" else "#chart-log", LogView)
        if view.log is not None and self.tab in ("chart", "log"):
            log.show(view.log)

    def _show_title(self, run: RunSummary) -> None:
        left = f"{format.duration(run.left)} left" if run.left else ""
        parts = [
            short_name(run),
            format.state_label(run.status, ascii_only=self.heats.ascii_only),
            format.progress(run.step, run.total_steps),
            format.rate(run.rate) if run.rate else "",
            left,
        ]
        separator = "  ·  " if not self.heats.ascii_only else "  |  "
        update_text(self.query_one("#title", Static), separator.join(part for part in parts if part))
        text = "\n".join(info_lines(run, ascii_only=self.heats.ascii_only))
        update_text(self.query_one("#info", Static), text)

    def action_show_tab(self, name: str) -> None:
        """Turn to a tab."""
        self.query_one(ContentSwitcher).current = name
        labels = (f"{number} {tab.capitalize()}" for number, tab in enumerate(TABS, 1))
        marked = (
            f"[reverse] {label} [/reverse]" if tab == name else f" {label} "
            for tab, label in zip(TABS, labels, strict=True)
        )
        self.query_one("#tabs", Static).update("".join(marked))
        self._on_viewed(self.heats.tracker.view)
        panes = self.panes()
        if panes:
            panes[0].focus()
        else:
            self.set_focus(None)

    def action_back(self) -> None:
        """Back to the runs; first out of a search."""
        view = self._searched()
        if view is not None and view.pattern:
            view.search("")
            self.query_one("#search", Input).value = ""
            self._end_search()
            return
        self.dismiss()

    def _turn_pane(self, direction: int) -> None:
        """Tab goes through the tabs: there is one pane on each."""
        self.action_show_tab(TABS[(TABS.index(self.tab) + direction) % len(TABS)])

    # Search

    def _searched(self) -> LogView | None:
        view = self.query_one(f"#{'chart-log' if self.tab == 'chart' else self.tab}", LogView)
        return view if view.region.area else None

    def action_search(self) -> None:
        """Type what to find."""
        if self._searched() is None:
            self.action_show_tab("log")
        field = self.query_one("#search", Input)
        field.display = True
        field.value = ""
        field.focus()

    @on(Input.Submitted, "#search")
    def _search(self, message: Input.Submitted) -> None:
        message.stop()
        self._end_search()
        view = self._searched()
        if view is not None and message.value and not view.search(message.value):
            self.heats.tell(f"{message.value!r} is nowhere in it", failed=True)

    def _end_search(self) -> None:
        self.query_one("#search", Input).display = False
        view = self._searched()
        if view is not None:
            view.focus()

    def action_next_match(self, backwards: bool) -> None:
        """To the next line that holds the text, or to the one before."""
        view = self._searched()
        if view is None or not view.pattern:
            self.heats.tell("nothing is searched for yet: / asks for a text")
        elif not view.search(view.pattern, backwards=backwards, again=True):
            self.heats.tell(f"{view.pattern!r} is nowhere in it", failed=True)


def event_lines(events: Iterable[Event]) -> Iterable[str]:
    """Events as lines: when, at which step, what, and its facts."""
    for event in events:
        clock = time.strftime("%m-%d %H:%M:%S", time.localtime(event.time))
        step = f"{event.step:,}" if event.step is not None else ""
        facts = "  ".join(_fact(name, value) for name, value in event.facts.items() if value not in (None, "", [], {}))
        yield f"{clock}  {step:>9}  {event.name:<11} {facts}".rstrip()


def _fact(name: str, value: object) -> str:
    if isinstance(value, dict):
        return "  ".join(_fact(str(key), inner) for key, inner in value.items())
    number = decode_number(value)
    if number is not None and not isinstance(value, int):
        return f"{name}={format.number(number)}"
    text = str(value).replace("\n", " ")
    return text if name in ("message", "reason", "error") else f"{name}={text}"
