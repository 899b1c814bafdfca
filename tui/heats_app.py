"""The full-screen app: a viewer of the store that can act. It keeps no state that matters."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import App
from textual.binding import BindingType
from textual.command import Provider
from textual.screen import Screen
from textual.timer import Timer
from textual.worker import Worker, WorkerState

from engine.errors import HeatsError
from tui import view_state
from tui.actions import APP, bindings
from tui.acts import Acts
from tui.bell import any_news, wants_bell
from tui.messages import ActDone, FactsRead, PollEnded, RunRead, RunsListed, SparksRead
from tui.palette import ActionProvider
from tui.screens.launch import LaunchScreen
from tui.screens.pane import HeatsScreen
from tui.screens.runs import RunsScreen
from tui.tracker import PERIOD_SECONDS, RunTracker

_SAVE_AFTER_SECONDS = 0.4


class HeatsApp(App[None], inherit_bindings=False):
    """The app over one store, which may not exist yet.

    Args:
        store_root: the store's folder.
        read_only: refuse whatever would change the store.
        low_bandwidth: for slow links: nothing moves by itself, the table scrolls by half pages.
        ascii_only: no glyphs beyond ASCII.
    """

    TITLE = "heats"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[type[Provider]]] = {ActionProvider}  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(APP)]
    CSS_PATH = "app.tcss"

    def __init__(
        self, store_root: Path, *, read_only: bool = False, low_bandwidth: bool = False, ascii_only: bool = False
    ) -> None:
        no_color = bool(os.environ.get("NO_COLOR"))
        # With NO_COLOR only an ANSI theme drops the colour codes; the others turn grey.
        super().__init__(ansi_color=True if no_color else None)
        if no_color:
            self.theme = "ansi-dark"
        self.store_root = store_root
        self.read_only = read_only
        self.low_bandwidth = low_bandwidth
        self.ascii_only = ascii_only
        self.state = view_state.load(view_state.state_path(store_root))
        self.tracker = RunTracker(self, store_root)
        self.acts = Acts(self, store_root)
        self._save_timer: Timer | None = None
        self._select_next: str | None = None

    def on_mount(self) -> None:
        self.set_class(self.ascii_only, "ascii-only")
        if self.low_bandwidth:
            self.animation_level = "none"
        self.push_screen(RunsScreen())
        self.tracker.start()
        self.set_interval(PERIOD_SECONDS, self._tick)

    @property
    def _background_screens(self) -> list[Screen[Any]]:
        """The screens that are seen behind the one on top: none behind one that fills its ground.

        Textual names the next one below even then; each change in it would draw the whole screen again, ten
        kilobytes a second while a run is live.
        """
        return [] if self.screen.styles.background.a == 1 else super()._background_screens

    def _tick(self) -> None:
        """The one clock: only the screen that is shown hears it."""
        if isinstance(self.screen, HeatsScreen) and self.screen.is_mounted:
            self.screen.tick()

    # View state

    def change_state(self, **changes: Any) -> None:
        """Change what the viewer chose, and keep it: a hang-up gives no time to do so at the end."""
        fresh = replace(self.state, **changes)
        if fresh == self.state:
            return
        self.state = fresh
        if self._save_timer is None:
            self._save_timer = self.set_timer(_SAVE_AFTER_SECONDS, self._save_state)

    def _save_state(self) -> None:
        self._save_timer = None
        state, root = self.state, self.store_root
        self.run_worker(
            lambda: view_state.save(view_state.state_path(root), state),
            name="view-state", group="view-state", description="keeps the view", exit_on_error=False, thread=True,
        )  # fmt: skip

    # What the threads say

    @on(RunsListed)
    def _runs_listed(self, message: RunsListed) -> None:
        if wants_bell() and any_news(self.tracker.runs, message.runs):
            self.bell()
        self.tracker.take_runs(message)
        if self._select_next is not None and self.tracker.find(self._select_next) is not None:
            home = self.screen_stack[1] if len(self.screen_stack) > 1 else None
            if isinstance(home, RunsScreen):
                home.select(self._select_next)
            self._select_next = None

    @on(FactsRead)
    def _facts_read(self, message: FactsRead) -> None:
        self.tracker.take_facts(message)

    @on(SparksRead)
    def _sparks_read(self, message: SparksRead) -> None:
        self.tracker.take_sparks(message)

    @on(RunRead)
    def _run_read(self, message: RunRead) -> None:
        self.tracker.take_view(message)

    @on(PollEnded)
    def _poll_ended(self) -> None:
        self.tracker.ended()

    @on(ActDone)
    def _act_done(self, message: ActDone) -> None:
        self.tell(message.told, failed=message.failed)
        if isinstance(self.screen, LaunchScreen) and self.screen.busy:
            self.screen.launch_ended(failed=message.failed)
        if message.run_id is not None and message.told.startswith("launched"):
            self._select_next = message.run_id
        self.tracker.kick()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """The one place where the error of any thread ends up: said, never fatal."""
        if event.state is WorkerState.ERROR:
            error = event.worker.error
            if isinstance(error, HeatsError):
                self.tell(str(error), failed=True)
            else:
                self.log.error(error)
                what = event.worker.description or event.worker.name
                self.tell(f"the part that {what} failed: {type(error).__name__}: {error}", failed=True)
        if event.worker.group == "tracker" and event.state in (WorkerState.ERROR, WorkerState.CANCELLED):
            self.tracker.ended(failed=True)

    # Telling and refusing

    def tell(self, text: str, *, failed: bool = False) -> None:
        """Say something for a few seconds."""
        self.notify(text, severity="error" if failed else "information", timeout=8 if failed else 5, markup=False)

    def refuses(self) -> bool:
        """Whether the app may change nothing; says so."""
        if self.read_only:
            self.tell("nothing is changed here: heats was opened with --read-only", failed=True)
        return self.read_only

    async def action_quit(self) -> None:
        """Close the app and say how many runs go on."""
        view_state.save(view_state.state_path(self.store_root), self.state)
        live = sum(run.status.is_live for run in self.tracker.runs or ())
        one = f"{live} run keeps running; `heats` shows it again"
        several = f"{live} runs keep running; `heats` shows them again"
        self.exit(message=(one if live == 1 else several) if live else None)
