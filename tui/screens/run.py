"""One run: what it is doing above, and below one of its tabs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget
from textual.widgets import Input, Static

from engine.store.log_places import Jump
from engine.store.paths import RunPaths
from engine.store.status import State
from engine.store.summary import RunSummary
from tui.actions import RUN, bindings
from tui.actions.run import TABS
from tui.copying import Copyable, fixed
from tui.messages import RunView
from tui.run_header import progress_line, title_line, wrong_lines
from tui.screens.chart import ChartScreen
from tui.screens.chart_acts import ChartActs
from tui.screens.run_acts import OneRunActs
from tui.screens.run_tabs.charts import ChartsTab
from tui.screens.run_tabs.checkpoints import CheckpointsTab
from tui.screens.run_tabs.config import ConfigTab
from tui.screens.run_tabs.environment import EnvironmentTab
from tui.screens.run_tabs.events import EventsTab
from tui.screens.run_tabs.log import LogTab
from tui.screens.run_tabs.pictures import PicturesTab, has_pictures
from tui.screens.run_tabs.system import SystemTab
from tui.screens.run_tabs.tab import RunTab
from tui.screens.runs import update_text
from tui.stop_countdown import Ladder
from tui.widgets.key_bar import KeyBar
from tui.widgets.log_view import LogView
from tui.widgets.tab_bar import TabBar

_KINDS: dict[str, type[RunTab]] = {
    kind.NAME: kind
    for kind in (ChartsTab, LogTab, ConfigTab, CheckpointsTab, EventsTab, SystemTab, EnvironmentTab, PicturesTab)
}  # fmt: skip
_TALL, _MEDIUM, _SHORT = 26, 20, 14


class RunScreen(OneRunActs, ChartActs):
    """One run in full."""

    CSS_PATH = "run.tcss"
    WHERE = RUN
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(RUN)]

    def __init__(self, run_id: str, tab: str | None = None) -> None:
        super().__init__()
        self.run_id = run_id
        self.tab = ""
        """Which tab is open."""
        self._first = tab
        self._last: RunSummary | None = None
        """The run as it was when it was last there."""
        self._ladder: Ladder | None = None
        self._search_of = ""
        """The tab on which / was pressed."""

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield Static(id="progress", markup=False)
        yield Static(id="wrong", markup=False)
        yield TabBar(self._tabs(), id="tabs")
        with Container(id="panes"):
            yield ChartsTab()
        yield Input(id="search", placeholder="text to find; capitals matter if there are any", compact=True)
        yield KeyBar(RUN, read_only=self.heats.read_only)

    async def on_mount(self) -> None:
        app = self.heats
        field = self.query_one("#search", Input)
        field.cursor_blink, field.display = not app.low_bandwidth, False
        app.tracker.listed.subscribe(self, self._on_listed)
        app.tracker.viewed.subscribe(self, self._on_viewed)
        app.tracker.watch(self.run_id, app.state.metric)
        self._show_header()
        first = self._first or app.state.tab
        await self.action_show_tab(first if first in TABS else TABS[0])

    def on_resize(self) -> None:
        height = self.size.height
        self.set_class(height >= _TALL, "tall")
        self.set_class(height >= _MEDIUM, "medium")
        self.set_class(height < _SHORT, "short")
        self._show_header()

    def on_screen_resume(self) -> None:
        """Back from a dialog: take in what came meanwhile."""
        self._on_listed(())
        self._on_viewed(self.heats.tracker.view)

    @property
    def run_paths(self) -> RunPaths:
        """Where the run lies."""
        return self.heats.tracker.run_paths(self.run_id)

    def selected_run(self) -> RunSummary | None:
        return self.heats.tracker.find(self.run_id)

    # The tabs

    def _tabs(self) -> tuple[str, ...]:
        """The tabs that the bar names: that of pictures only where there are any, for it takes others' room."""
        shown = self.tab == PicturesTab.NAME or has_pictures(self.run_paths)
        return tuple(name for name in TABS if name != PicturesTab.NAME or shown)

    @property
    def open_tab(self) -> RunTab | None:
        """The tab on the screen."""
        found = self.query(f"#panes > #{self.tab}") if self.tab else None
        return found.first(RunTab) if found else None

    async def action_show_tab(self, name: str) -> None:
        """Turn to a tab; it is made when it is first looked at."""
        panes = self.query_one("#panes", Container)
        if not panes.query(f"#{name}"):
            await panes.mount(_KINDS[name]())
        self.tab = name
        for tab in panes.query(RunTab):
            tab.display = name == tab.NAME
        bar = self.query_one(TabBar)
        bar.names = self._tabs()
        bar.show(name)
        self.query_one(KeyBar).show_tab(name)
        self.heats.change_state(tab=name)
        self._end_search(focus=False)
        opened = self.open_tab
        if opened is not None:
            opened.opened()
            shown = opened.panes()
            self.set_focus(shown[0] if shown else None)
        self._on_viewed(self.heats.tracker.view)

    @on(TabBar.Chosen)
    async def _tab_clicked(self, message: TabBar.Chosen) -> None:
        message.stop()
        await self.action_show_tab(message.name)

    def panes(self) -> list[Widget]:
        tab = self.open_tab
        return tab.panes() if tab is not None else []

    async def _turn_tab(self, direction: int) -> None:
        tabs = self._tabs()
        await self.action_show_tab(tabs[(tabs.index(self.tab) + direction) % len(tabs)])

    def _turn_pane(self, direction: int) -> None:
        """Tab goes through the tabs: there is one pane on each."""
        self.call_next(self._turn_tab, direction)

    def action_tab_act(self, name: str) -> None:
        """Do what a key means on the open tab."""
        tab = self.open_tab
        act = getattr(tab, f"do_{name}", None)
        if act is not None:
            act()
            return
        places = [kind.NAME for kind in _KINDS.values() if hasattr(kind, f"do_{name}")]
        digits = " and ".join(f"{TABS.index(place) + 1} {place.capitalize()}" for place in places)
        self.heats.tell(f"that key means something on {digits}")

    def show_in_log(self, jump: Jump, attempt: int) -> None:
        """Turn to the log, and to a place in it."""

        async def go() -> None:
            await self.action_show_tab("log")
            tab = self.open_tab
            if isinstance(tab, LogTab):
                tab.jump(jump, attempt)

        self.call_next(go)

    def action_back(self) -> None:
        """Out of a search, then out of what goes on in the tab, then back to where one came from."""
        tab = self.open_tab
        view = tab.searched() if tab is not None else None
        if tab is not None and view is not None and view.pattern:
            self.query_one("#search", Input).value = ""
            self._end_search()
            tab.search_for(view, "")
        elif tab is None or not tab.leave():
            self.dismiss()

    # News

    def tick(self) -> None:
        """Ages and countdowns go on even when nothing is written."""
        self._show_header()
        self._read_ladder()
        if (tab := self.open_tab) is not None:
            tab.tick()
        if isinstance(tab, ChartsTab):
            self._on_viewed(
                self.heats.tracker.view
            )  # it came before the tab was there, and of an ended run none follows

    def _on_listed(self, runs: tuple[RunSummary, ...]) -> None:
        self._show_header()
        self._read_ladder()
        tab, run = self.open_tab, self.selected_run()
        if tab is not None and self.is_current:
            tab.update_run(run)

    def _on_viewed(self, view: RunView | None) -> None:
        tab = self.open_tab
        if isinstance(tab, ChartsTab) and view is not None and view.run_id == self.run_id and tab.query(LogView):
            tab.show_view(view)

    def _show_header(self) -> None:
        run = self.selected_run()
        self._last = run or self._last
        known, width, plain = self._last, self.size.width, self.heats.ascii_only
        if known is None or not width or not self.query("#title"):  # not there yet, or not any more
            return
        gone = run is None and self.heats.tracker.runs is not None
        title = title_line(known, width, time.time(), ascii_only=plain, with_step=self.size.height < _SHORT)
        if gone:
            title = f"{known.name} isn't in the store any more: it was deleted or moved. Esc goes back"
        update_text(self.query_one("#title", Static), title)
        update_text(self.query_one("#progress", Static), progress_line(known, width, ascii_only=plain))
        if self._ladder is not None and known.status is State.STOPPING:
            wrong = [self._ladder.text(time.time())]
        else:
            wrong = wrong_lines(known, width, 2 if self.size.height >= _TALL else 1, ascii_only=plain)
        line = self.query_one("#wrong", Static)
        line.display = bool(wrong)
        update_text(line, "\n".join(wrong), layout=True)

    def _read_ladder(self) -> None:
        """While it stops: how far the ladder has come."""
        run, paths = self.selected_run(), self.run_paths
        if run is None or run.status is not State.STOPPING:
            self._ladder = None
            return
        asked_here = run.id in self.heats.acts.stopped

        def read() -> Ladder | None:
            from engine.launch.actions import kill_unsupervised, last_launch
            from engine.store.requests import read_stop

            request, launch = read_stop(paths), last_launch(paths)
            if request is None or launch is None:
                return None
            ladder = Ladder(request, launch.grace_seconds)
            if asked_here and ladder.over_since(time.time()) > 0:
                kill_unsupervised(paths)  # a supervisor climbs the ladder itself; without one whoever asked does
            return ladder

        def take(ladder: Ladder | None) -> None:
            self._ladder = ladder
            self._show_header()

        self.ask("ladder", "reads how far stopping is", read, take, anew=False)

    # Charts

    def action_open_chart(self) -> None:
        """The chosen chart in full, or from another tab all charts."""
        if self.grid() is not None:
            super().action_open_chart()
        else:
            self.app.push_screen(ChartScreen((self.run_id,)))

    def action_follow(self) -> None:
        """Follow the end of a zoomed chart or of the log, or stay."""
        if self.grid() is not None:
            self.action_tail()
        else:
            super().action_follow()

    # Search

    def action_search(self) -> None:
        """Type what to find."""
        tab = self.open_tab
        if tab is None or tab.searched() is None:
            self.heats.tell("there are no lines to search here: 2 shows the log")
            return
        self._search_of = self.tab
        field = self.query_one("#search", Input)
        field.display = True
        field.value = ""
        field.focus()

    @on(Input.Submitted, "#search")
    def _search(self, message: Input.Submitted) -> None:
        message.stop()
        self._end_search()
        tab = self.open_tab
        view = tab.searched() if tab is not None else None
        if tab is not None and view is not None and message.value:
            tab.search_for(view, message.value)

    def _end_search(self, *, focus: bool = True) -> None:
        field = self.query_one("#search", Input)
        if field.display:
            field.display = False
            panes = self.panes()
            if focus and panes:
                panes[0].focus()

    def action_next_match(self, backwards: bool) -> None:
        """To the next line that holds the text, or to the one before."""
        tab = self.open_tab
        view = tab.searched() if tab is not None else None
        if view is None or not view.pattern:
            self.heats.tell("nothing is searched for yet: / asks for a text")
        elif not view.turn_match(backwards=backwards):
            self.heats.tell(f"{view.pattern!r} is nowhere in it", failed=True)
        elif isinstance(tab, LogTab):
            tab.show_head()

    # Taking away

    def _log_view(self) -> LogView | None:
        return next((pane for pane in self.panes() if isinstance(pane, LogView)), None)

    def copyables(self) -> Sequence[Copyable]:
        tab = self.open_tab
        return (fixed("i", "the run's id", self.run_id, "id.txt"), *(tab.copyables() if tab is not None else ()))

    def readable(self) -> tuple[Copyable | None, int]:
        tab = self.open_tab
        return tab.readable() if tab is not None else (None, 1)

    def wanted_checkpoint(self) -> str:
        tab = self.open_tab
        return tab.wanted_checkpoint() if isinstance(tab, CheckpointsTab) else "best"

    def action_open_editor(self) -> None:
        """A copy of the config on its tab, else the run's note."""
        tab = self.open_tab
        if isinstance(tab, ConfigTab):
            tab.edit_copy()
        else:
            self.edit_note()
