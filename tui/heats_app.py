"""The full-screen app: a viewer of the store that can act. It keeps no state that matters."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from rich.terminal_theme import TerminalTheme
from textual import events, on
from textual.actions import ActionParseResult, parse
from textual.app import App
from textual.binding import BindingType
from textual.command import Provider
from textual.dom import DOMNode
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Input
from textual.worker import Worker, WorkerState

from engine.errors import HeatsError
from tui import view_state
from tui.actions import APP, LAUNCH, actions_of, bindings, rebind, use_keys
from tui.acts import Acts
from tui.bell import any_news, wants_bell
from tui.keymap import NO_KEYMAP, Keymap
from tui.machine import MachineMemory
from tui.messages import ActDone, FactsRead, NewestRead, PollEnded, RunRead, RunsListed, SparksRead
from tui.palette import ActionProvider
from tui.screens.pane import HeatsScreen
from tui.screens.runs import RunsScreen
from tui.themes import TERMINAL_THEMES, THEME_NAMES, first_theme, register, theme_named
from tui.tracker import PERIOD_SECONDS, RunTracker
from tui.typed_ahead import KeysInTurn

_SAVE_AFTER_SECONDS = 0.4
_QUIET_SECONDS = 30.0


def pace(*, focused: bool, live: bool, quiet_seconds: float) -> float:
    """Seconds from one look to the next. Pure.

    Args:
        focused: whether the terminal has the focus, as far as it tells.
        live: whether any run is live.
        quiet_seconds: since a key was pressed, or anything changed in the store.
    """
    if not focused:
        return 3.0 if live else 5.0
    return 1.0 if live or quiet_seconds < _QUIET_SECONDS else 3.0


class HeatsApp(App[None], inherit_bindings=False):
    """The app over one store, which may not exist yet.

    Args:
        store_root: the store's folder.
        read_only: refuse whatever would change the store.
        low_bandwidth: for slow links: nothing moves by itself, the table scrolls by half pages.
        ascii_only: no glyphs beyond ASCII.
        theme: `dark`, `light` or `contrast`; else as chosen last.
        keymap: the user's own keys; else the usual ones.
    """

    TITLE = "heats"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[type[Provider]]] = {ActionProvider}  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(APP)]
    CSS_PATH = "app.tcss"

    def __init__(
        self,
        store_root: Path,
        *,
        read_only: bool = False,
        low_bandwidth: bool = False,
        ascii_only: bool = False,
        theme: str | None = None,
        keymap: Keymap = NO_KEYMAP,
    ) -> None:
        use_keys(keymap.keys)
        no_color = bool(os.environ.get("NO_COLOR"))
        # With NO_COLOR only an ANSI theme drops the colour codes; the others turn grey.
        super().__init__(ansi_color=True if no_color else None)
        rebind(self._bindings, APP)
        self.colourless = no_color
        self._theme_given = theme is not None
        self.keymap = keymap
        self.store_root = store_root
        self.read_only = read_only
        self.low_bandwidth = low_bandwidth
        self.ascii_only = ascii_only
        self.state = view_state.load(view_state.state_path(store_root))
        if theme is not None:
            self.state = replace(self.state, theme=theme)
        register(self)
        self._wear_theme()
        self.tracker = RunTracker(self, store_root)
        self.acts = Acts(self, store_root)
        self.machine = MachineMemory(store_root)
        self._save_timer: Timer | None = None
        self._select_next: str | None = None
        self._stirred = time.monotonic()
        self._ticked = 0.0
        self._keys_in_turn = KeysInTurn(self)

    def on_mount(self) -> None:
        self.set_class(self.ascii_only, "ascii-only")
        if self.low_bandwidth:
            self.animation_level = "none"
        self.push_screen(RunsScreen())
        if self._theme_given:
            self._save_state()
        self.call_after_refresh(self.tracker.start)  # ten thousand runs are read beside the first paint, not before it
        self.set_interval(PERIOD_SECONDS, self._tick)
        for problem in self.keymap.problems:
            self.tell(problem, failed=True)
        self._offer_low_bandwidth()

        # Not where hang-ups are ignored (nohup), and nowhere but in a main thread.
        with suppress(NotImplementedError, ValueError, RuntimeError):
            if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hang_up)

    def _hang_up(self) -> None:
        """The line is cut: keep what the viewer chose a moment ago, and leave as one does who takes no notice."""
        with suppress(OSError):
            view_state.save(view_state.state_path(self.store_root), self.state)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGHUP)

    def _offer_low_bandwidth(self) -> None:
        """Once, to whoever comes over SSH."""
        if os.environ.get("SSH_CONNECTION") and not self.low_bandwidth and not self.state.hinted:
            self.tell("over a slow link? `heats --low-bandwidth` sends less")
            self.change_state(hinted=True)

    @on(events.DescendantFocus)
    def _calm_cursor(self, event: events.DescendantFocus) -> None:
        """On a slow link no cursor blinks: each blink is sent."""
        if self.low_bandwidth and isinstance(event.widget, Input):
            event.widget.cursor_blink = False

    # The pace

    @property
    def pace_seconds(self) -> float:
        """How often to look for news: the screen and the store are left alone while nobody looks or nothing happens."""
        live = any(run.status.is_live for run in self.tracker.runs or ())
        return pace(focused=self.app_focus, live=live, quiet_seconds=time.monotonic() - self._stirred)

    async def on_event(self, event: events.Event) -> None:
        """A key or the mouse: somebody is there."""
        if isinstance(event, events.InputEvent):
            self._stirred = time.monotonic()
        if isinstance(event, events.Key) and (letter := self._after_escape(event)):
            self.post_message(events.Key("escape", "\x1b"))
            self.post_message(events.Key(letter, letter))
            return
        if isinstance(event, (events.Key, events.Paste)) and not event.is_forwarded and self._keys_in_turn.holds(event):
            return
        await super().on_event(event)

    def _after_escape(self, event: events.Key) -> str:
        """The letter typed right after Esc where a slow line delivered both as one: terminals send Alt the same way."""
        letter = event.character or ""
        if not (event.key.startswith("alt+") and len(letter) == 1 and letter.isalpha()):
            return ""
        bound = any(event.key in act.keys for act in actions_of(getattr(self.screen, "WHERE", APP)))
        return "" if bound else letter

    def on_app_focus(self) -> None:
        """Somebody looks again: show how things are now."""
        self._stirred = time.monotonic()
        self.tracker.kick()
        self._ticked = 0.0
        self._tick()

    @property
    def _background_screens(self) -> list[Screen[Any]]:
        """The screens that are seen behind the one on top: none behind one that fills its ground.

        Textual names the next one below even then; each change in it would draw the whole screen again, ten
        kilobytes a second while a run is live.
        """
        return [] if self.screen.styles.background.a == 1 else super()._background_screens

    def _tick(self) -> None:
        """The one clock: only the screen that is shown hears it."""
        if time.monotonic() - self._ticked < self.pace_seconds - PERIOD_SECONDS / 2:
            return
        self._ticked = time.monotonic()
        if self.is_running and isinstance(self.screen, HeatsScreen) and self.screen.is_mounted:
            self.screen.tick()

    # Themes

    def _wear_theme(self) -> None:
        name = self.state.theme if self.state.theme in THEME_NAMES else first_theme()
        self.theme = "ansi-dark" if self.colourless else theme_named(name)

    @property
    def ansi_theme(self) -> TerminalTheme:
        """What the terminal's own colours look like: statuses and logs name them."""
        return TERMINAL_THEMES.get(self.theme) or super().ansi_theme

    def action_theme(self, name: str) -> None:
        """Wear a theme from now on."""
        if self.colourless:
            self.tell("NO_COLOR is set: no theme has colours", failed=True)
            return
        self.change_state(theme=name)
        self._wear_theme()

    def action_next_theme(self) -> None:
        """Dark, light, high contrast, and round."""
        now = self.theme.rpartition("-")[2]
        at = THEME_NAMES.index(now) if now in THEME_NAMES else -1
        self.action_theme(THEME_NAMES[(at + 1) % len(THEME_NAMES)])

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

    @on(NewestRead)
    def _newest_read(self, message: NewestRead) -> None:
        if self.tracker.runs is None:
            self.tracker.newest.publish(message)

    @on(RunsListed)
    def _runs_listed(self, message: RunsListed) -> None:
        if wants_bell() and any_news(self.tracker.runs, message.runs):
            self.bell()
        self._stirred = time.monotonic()
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
        # By its name: importing the form takes as long as all the rest of the app, and who only looks never needs it.
        if getattr(self.screen, "WHERE", "") == LAUNCH and getattr(self.screen, "busy", False):
            self.screen.launch_ended(failed=message.failed)  # type: ignore[attr-defined]
        if message.run_id is not None and message.told.startswith("launched"):
            self._select_next = message.run_id
        if message.then is not None:
            message.then()
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

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Do an act, unless it changes something and nothing may be changed: by key, palette or mouse alike."""
        if self.read_only and self._changes(action):
            return self.refuses()
        return await super().run_action(action, default_namespace, namespaces)

    def _changes(self, action: str | ActionParseResult) -> bool:
        """Whether an act of the shown screen changes something; with its arguments, which may be all that parts two."""
        _, *wanted = parse(action) if isinstance(action, str) else action
        where = getattr(self.screen, "WHERE", APP)
        return any(act.changes and [*parse(act.handler)[1:]] == wanted for act in actions_of(where))

    async def action_quit(self) -> None:
        """Close the app and say how many runs go on."""
        view_state.save(view_state.state_path(self.store_root), self.state)
        live = sum(run.status.is_live for run in self.tracker.runs or ())
        one = f"{live} run keeps running; `heats` shows it again"
        several = f"{live} runs keep running; `heats` shows them again"
        self.exit(message=(one if live == 1 else several) if live else None)
