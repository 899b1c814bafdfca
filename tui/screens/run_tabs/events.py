"""The tab of what happened to the run: one line an event, all its facts below, and a way to its place in the log."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Static

from engine.store.log_places import Jump
from engine.store.paths import RunPaths
from engine.store.records import read_events, read_launch
from engine.store.summary import RunSummary
from tui.copying import Copyable, fixed
from tui.event_lines import Happening, chosen, details, event_line, kind, kinds_of
from tui.screens.run_tabs.tab import RunTab
from tui.screens.runs import update_text
from tui.widgets.cursor_view import CursorView


class EventsTab(RunTab):
    """The run's events, of all attempts."""

    NAME = "events"

    def __init__(self) -> None:
        super().__init__()
        self.everything: tuple[Happening, ...] = ()
        self.kind = ""
        """The kind that is shown; `wrong` for all that speak of trouble, nothing for all."""
        self._shown: list[Happening] = []
        self._run: RunSummary | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="events-head", classes="head", markup=False)
        yield CursorView(id="events-lines", follow=True, empty_text="nothing happened yet")
        yield Static(id="events-facts", markup=False)

    @property
    def view(self) -> CursorView:
        """The lines."""
        return self.query_one("#events-lines", CursorView)

    def panes(self) -> list[Widget]:
        return [self.view]

    def update_run(self, run: RunSummary | None) -> None:
        if run is not self._run or not self.everything:
            self._run = run
            paths = self.run_paths
            self.run_screen.ask("events", "reads the events", lambda: read_all(paths), self._take)

    def _take(self, everything: tuple[Happening, ...]) -> None:
        if everything != self.everything:
            self.everything = everything
            self._show()

    def on_resize(self) -> None:
        self._show_facts()

    def _show(self) -> None:
        self._shown = chosen(self.everything, self.kind)
        several = len({item.attempt for item in self.everything}) > 1
        self.view.show_lines(
            [event_line(item, attempts=several) for item in self._shown], [kind(item) for item in self._shown]
        )
        if self.view.pattern:
            self.view.set_matches("", self.view.matches[:0])
        what = {"": "", "wrong": ", only what speaks of trouble"}.get(self.kind, f", only {self.kind}")
        count = (
            f"{len(self._shown):,} of {len(self.everything):,} events" if self.kind else f"{len(self._shown):,} events"
        )
        update_text(self.query_one("#events-head", Static), f"{count}{what}; Enter shows one's place in the log")
        self._show_facts()

    @property
    def selected(self) -> Happening | None:
        """The event under the cursor."""
        return self._shown[self.view.cursor] if self.view.cursor < len(self._shown) else None

    def on_cursor_view_moved(self, message: CursorView.Moved) -> None:
        """All facts of the event under the cursor."""
        message.stop()
        self._show_facts()

    def on_cursor_view_opened(self, message: CursorView.Opened) -> None:
        """A click on the line of the cursor."""
        message.stop()
        self.do_open()

    def _show_facts(self) -> None:
        item, facts = self.selected, self.query_one("#events-facts", Static)
        if item is None or not self.screen.has_class("medium"):
            update_text(facts, "")
            return
        lines, room = details(item, self.size.width), max(2, self.size.height * 2 // 5)
        if len(lines) > room:
            lines = [*lines[: room - 1], f"and {len(lines) - room + 1} more lines: Y copies, v shows all"]
        update_text(facts, "\n".join(lines), layout=True)

    # Acts

    def do_filter(self) -> None:
        """The next kind, then all again."""
        kinds = kinds_of(self.everything)
        choices = ["", *(["wrong"] if any(kind(item) == "bad" for item in self.everything) else []), *kinds]
        self.kind = choices[(choices.index(self.kind) + 1) % len(choices)] if self.kind in choices else ""
        self._show()

    def do_open(self) -> None:
        """Its place in the log."""
        if (item := self.selected) is not None:
            self.run_screen.show_in_log(Jump("time", item.event.time), item.attempt)

    def leave(self) -> bool:
        if self.kind:
            self.kind = ""
            self._show()
            return True
        return False

    # Taking away

    def copyables(self) -> Sequence[Copyable]:
        if not self._shown:
            return ()
        shown, item, name = list(self._shown), self.selected, f"{self.run_paths.id}-events.txt"
        lines = "\n".join(event_line(happening, attempts=True) for happening in shown)
        items = [fixed("a", f"all {len(shown):,} events", lines, name)]
        return [fixed("o", "this event", "\n".join(details(item, 100)), name), *items] if item is not None else items

    def readable(self) -> tuple[Copyable | None, int]:
        shown = list(self._shown)

        def text() -> str:
            return "\n\n".join("\n".join(details(item, 120)) for item in shown)

        return (Copyable("a", "the events", text, "events.txt") if shown else None), 1


def read_all(run: RunPaths) -> tuple[Happening, ...]:
    """The events of all attempts in order; those past the step at which a later one went on are shadowed."""
    found: list[Happening] = []
    for attempt in run.attempts():
        launch = read_launch(attempt.launch)
        start = launch.resumed_from_step if launch else None
        if start is not None:
            found = [
                Happening(item.attempt, item.event, item.shadowed or (item.event.step or 0) > start) for item in found
            ]
        found += [Happening(attempt.number, event) for event in read_events(attempt.events)[0]]
    return tuple(found)
