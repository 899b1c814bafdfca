"""The tab of what the run printed: every attempt, with search, levels, and a way to any moment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Static

from engine.errors import HeatsError
from engine.store.log_levels import Level
from engine.store.log_places import Jump, find_place, parse_jump
from engine.store.summary import RunSummary
from tui import format
from tui.copying import Copyable
from tui.log_reader import LogNow, LogReader, LogWanted, log_kind, log_text
from tui.screens.prompt import PromptScreen
from tui.screens.run_tabs.tab import RunTab
from tui.screens.runs import update_text
from tui.widgets.lines import SomeLines
from tui.widgets.log_view import LogView

_LEVELS: tuple[Level | None, ...] = (None, Level.WARNING, Level.ERROR)
_LEVEL_WORDS = {None: "", Level.WARNING: "only warnings and errors", Level.ERROR: "only errors"}


class LogTab(RunTab):
    """What the run's attempts printed."""

    NAME = "log"

    def __init__(self) -> None:
        super().__init__()
        self.wanted = LogWanted()
        self.now: LogNow | None = None
        self._reader: LogReader | None = None
        self._search_backwards = False
        self._fresh_search = False

    def compose(self) -> ComposeResult:
        yield Static(id="log-head", classes="head", markup=False)
        yield LogView(
            id="log-lines", follow=self.heats.state.follow, empty_text="nothing printed yet", kind_of=log_kind
        )

    def on_mount(self) -> None:
        self._reader = LogReader(self.run_paths)
        self.view.wrap = self.heats.state.wrap

    @property
    def view(self) -> LogView:
        """The lines."""
        return self.query_one("#log-lines", LogView)

    def panes(self) -> list[Widget]:
        return [self.view]

    def update_run(self, run: RunSummary | None) -> None:
        self._read(anew=False)

    def tick(self) -> None:
        self._read(anew=False)

    def _want(self, **changes: object) -> None:
        self.wanted = replace(self.wanted, **changes)  # type: ignore[arg-type]
        self._read(anew=True)

    def _read(self, *, anew: bool) -> None:
        reader, wanted = self._reader, self.wanted
        if reader is not None:
            self.run_screen.ask("log", "reads the log", lambda: reader.read(wanted), self._take, anew=anew)

    def _take(self, now: LogNow | None) -> None:
        before, self.now = self.now, now
        view = self.view
        if now is not None:
            place = None
            if before is not None and before.attempt == now.attempt and before.source is not now.source:
                place = self._same_place(before, now)
            view.show(now.source)
            if place is not None and not view.following:
                view.go_to(place)
            view.set_matches(now.wanted.pattern, now.matches)
            if self._fresh_search and now.wanted.pattern == self.wanted.pattern:
                self._fresh_search = False
                if not view.turn_match(from_view=True):
                    self.heats.tell(f"{now.wanted.pattern!r} is nowhere in it", failed=True)
            if not self.wanted.count_levels:
                # Counted only after the lines are on the screen: in a long log that takes longer than opening it.
                self.wanted = replace(self.wanted, count_levels=True)
        self.show_head()

    def _same_place(self, before: LogNow, now: LogNow) -> int:
        """The line at which to stand, so that turning a filter on or off doesn't lose one's place."""
        top = self.view.top
        if isinstance(before.source, SomeLines) and top < len(before.source.numbers):
            top = int(before.source.numbers[top])
        return now.source.place_of(top) if isinstance(now.source, SomeLines) else top

    def show_head(self) -> None:
        """Which log it is and how much of it is shown."""
        head = self.query_one("#log-head", Static)
        now, view = self.now, self.view
        if now is None:
            update_text(head, "no attempt yet")
            return
        parts = []
        if len(now.attempts) > 1 or now.attempts[0] != 1:
            parts.append(f"attempt {now.attempt} of {now.attempts[-1]}")
            parts += [f"from step {now.resumed_from:,}"] if now.resumed_from else []
        count = now.source.line_count
        parts.append(f"{count:,} line{'s' if count != 1 else ''}")
        if now.wanted.level is not None:
            parts.append(f"{_LEVEL_WORDS[now.wanted.level]} of {now.log.line_count:,}")
        if view.pattern:
            found = len(view.matches)
            at = f"{view.match_place:,} of " if view.match_place else ""
            parts.append(f"{view.pattern!r}: {at}{found:,} line{'s' if found != 1 else ''}")
        if now.wanted.level is None:
            parts += [f"{now.warnings:,} warnings"] if now.warnings else []
            parts += [f"{now.errors:,} errors"] if now.errors else []
        parts += ["follows"] if view.following else []
        parts += ["wrapped"] if view.wrap else []
        if not now.log.path.exists():
            parts = [f"attempt {now.attempt} of {now.attempts[-1]} has printed nothing"]
        update_text(head, ("  |  " if self.ascii_only else "  ·  ").join(parts))

    def on_log_view_follow_changed(self, message: LogView.FollowChanged) -> None:
        """Scrolled away from the end, or back."""
        self.show_head()

    # Acts

    def search_for(self, view: LogView, pattern: str) -> None:
        self._fresh_search = bool(pattern)
        if not pattern:
            view.set_matches("", view.matches[:0])
        self._want(pattern=pattern)

    def turn_attempt(self, direction: int) -> None:
        """The log of another attempt."""
        now = self.now
        if now is None or len(now.attempts) < 2:
            self.heats.tell("it has only one attempt")
            return
        at = (now.attempts.index(now.attempt) + direction) % len(now.attempts)
        number = now.attempts[at]
        # The newest one isn't held on to: with the next resume there is a newer one.
        self._want(attempt=None if number == now.attempts[-1] else number)

    def do_attempt(self) -> None:
        """The next attempt."""
        self.turn_attempt(1)

    def do_attempt_back(self) -> None:
        """The attempt before."""
        self.turn_attempt(-1)

    def do_filter(self) -> None:
        """More serious lines only, then all again."""
        level = _LEVELS[(_LEVELS.index(self.wanted.level) + 1) % len(_LEVELS)]
        self._want(level=level)

    def do_wrap(self) -> None:
        """Break long lines, or cut them."""
        self.view.set_wrap(not self.view.wrap)
        self.heats.change_state(wrap=self.view.wrap)
        self.show_head()

    def do_jump(self) -> None:
        """Ask for a moment, a step or a line, and go there."""

        def check(text: str) -> str | None:
            try:
                parse_jump(text, time.time())
            except HeatsError as error:
                return error.remedy
            return None

        def answered(text: str | None) -> None:
            if text is not None:
                self.jump(parse_jump(text, time.time()))

        why = ("14:05, 2026-01-02 14:05, 10m (ago), step 1200, line 500 or 50%",)
        self.heats.push_screen(PromptScreen("Go to which place of the log?", why, check=check), answered)

    def jump(self, jump: Jump, attempt: int | None = None) -> None:
        """Go to a place, of another attempt where one is named; all lines are shown then."""
        reader = self._reader
        if reader is None:
            return
        chosen = self.wanted.attempt if attempt is None else attempt
        self.wanted = replace(self.wanted, attempt=chosen, level=None)
        wanted = self.wanted

        def find() -> tuple[LogNow | None, int]:
            now = reader.read(wanted)
            return now, find_place(now.log, jump) if now is not None else 0

        def take(found: tuple[LogNow | None, int]) -> None:
            self._take(found[0])
            self.view.go_to(found[1])
            self.show_head()

        self.view.set_following(False)
        self.run_screen.ask("log", "finds a place in the log", find, take)

    def leave(self) -> bool:
        if self.wanted.level is not None:
            self._want(level=None)
            return True
        return False

    # Taking away

    def copyables(self) -> Sequence[Copyable]:
        now = self.now
        if now is None:
            return ()
        source, name = now.source, f"{self.run_paths.id}-attempt-{now.attempt}.log"
        shown = "\n".join(self.view.shown_lines())
        matching = self.view.pattern and len(self.view.matches) > 0
        found = (
            (Copyable("m", f"the {len(self.view.matches):,} lines found", self._matching, name),) if matching else ()
        )
        return (
            Copyable("v", "the lines on the screen", lambda: shown, name),
            *found,
            Copyable("a", f"all {source.line_count:,} lines", lambda: log_text(source), name),
            Copyable("p", "the path of the log", lambda: str(now.log.path), "path.txt"),
        )

    def _matching(self) -> str:
        numbers, source = self.view.matches, self.view.source
        return "".join(f"{line}\n" for line in SomeLines(source, numbers).lines(0, len(numbers)))

    def readable(self) -> tuple[Copyable | None, int]:
        now = self.now
        if now is None:
            return None, 1
        source = now.source
        size = format.size(now.log.size)
        return Copyable("a", f"the log ({size})", lambda: log_text(source), "output.log"), self.view.top + 1
