"""What the tabs of a run's screen have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual.containers import Vertical
from textual.widget import Widget

from engine.store.paths import RunPaths
from engine.store.summary import RunSummary
from tui.copying import Copyable
from tui.widgets.log_view import LogView

if TYPE_CHECKING:
    from tui.heats_app import HeatsApp
    from tui.screens.run import RunScreen


class RunTab(Vertical):
    """One tab. It reads only while it is the open one.

    A key that means something on some tabs only leads to a method called `do_<name>`.
    """

    NAME: ClassVar[str]

    def __init__(self) -> None:
        super().__init__(id=self.NAME)

    @property
    def run_screen(self) -> RunScreen:
        """The screen that it stands on."""
        return cast("RunScreen", self.screen)

    @property
    def heats(self) -> HeatsApp:
        """The app, by its own type."""
        return self.run_screen.heats

    @property
    def run_paths(self) -> RunPaths:
        """Where the run lies."""
        return self.run_screen.run_paths

    @property
    def ascii_only(self) -> bool:
        """Whether there are no glyphs beyond ASCII."""
        return self.heats.ascii_only

    @property
    def is_open(self) -> bool:
        """Whether this is the tab on the screen."""
        return self.is_attached and self.run_screen.tab == self.NAME

    def opened(self) -> None:
        """It has just been turned to."""
        self.update_run(self.run_screen.selected_run())

    def update_run(self, run: RunSummary | None) -> None:
        """The run has changed, or may have; only called while it is open."""

    def tick(self) -> None:
        """Once a second, while it is open."""

    def panes(self) -> list[Widget]:
        """What the movement keys move in, the most important first."""
        return []

    def searched(self) -> LogView | None:
        """The view in which / looks for a text."""
        return next((pane for pane in self.panes() if isinstance(pane, LogView)), None)

    def search_for(self, view: LogView, pattern: str) -> None:
        """Find a text that was typed; an empty one ends the search."""
        if not pattern:
            view.set_matches("", view.matches[:0])
        elif not view.search(pattern):
            self.heats.tell(f"{pattern!r} is nowhere in it", failed=True)

    def copyables(self) -> Sequence[Copyable]:
        """What of it can be copied."""
        return ()

    def readable(self) -> tuple[Copyable | None, int]:
        """What a pager would show, and the line to begin at."""
        return None, 1

    def leave(self) -> bool:
        """Esc was pressed: end what goes on here; whether there was something to end."""
        return False
