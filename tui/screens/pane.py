"""What all screens share: keys out of the table of actions, movement, the clock, and reading in threads."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, cast, runtime_checkable

from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from engine.errors import HeatsError
from tui import copying, outside
from tui.actions import rebind
from tui.actions.action import CHECKPOINTS, DOCTOR, MACHINE, RUNS, STUDIES
from tui.screens.help import HelpScreen

if TYPE_CHECKING:
    from tui.app import HeatsApp
    from tui.copying import Copyable

T = TypeVar("T")

HOMES: dict[str, tuple[str, str]] = {
    STUDIES: ("tui.screens.studies", "StudiesScreen"),
    CHECKPOINTS: ("tui.screens.checkpoints", "CheckpointsScreen"),
    MACHINE: ("tui.screens.machine", "MachineScreen"),
    DOCTOR: ("tui.screens.doctor", "DoctorScreen"),
}
"""Where the digits lead, beside the runs themselves. Imported when somebody goes there."""


@runtime_checkable
class Pane(Protocol):
    """What the movement keys move in."""

    def move_by(self, rows: int) -> None: ...

    def move_page(self, halves: int) -> None: ...

    def move_to_start(self) -> None: ...

    def move_to_end(self) -> None: ...


@runtime_checkable
class WidePane(Protocol):
    """What also moves to the left and right."""

    def move_sideways(self, columns: int) -> None: ...


class Answered(Message):
    """A thread of a screen has read what it was asked for, or can't: then `problem` says why."""

    def __init__(self, key: str, generation: int, value: Any, problem: str | None) -> None:
        super().__init__()
        self.key = key
        self.generation = generation
        self.value = value
        self.problem = problem


class HeatsScreen(Screen[Any]):
    """A screen whose keys come from the table of actions, under the name `WHERE`."""

    WHERE: ClassVar[str]
    AUTO_FOCUS = ""

    def __init__(self) -> None:
        super().__init__()
        self._asked: dict[str, int] = {}
        self._takers: dict[str, Callable[[Any], None]] = {}
        self._reading: set[str] = set()
        rebind(self._bindings, self.WHERE)

    @property
    def heats(self) -> HeatsApp:
        """The app, by its own type."""
        return cast("HeatsApp", self.app)

    def tick(self) -> None:
        """Once a second, by the app's one clock, while this screen is the one that is shown."""

    def action_help(self) -> None:
        """Show all keys of this screen."""
        self.heats.push_screen(HelpScreen(self.WHERE))

    def action_back(self) -> None:
        """Back to where one came from."""
        self.dismiss()

    # What it lends: to the clipboard, to a file, to other programs

    def copyables(self) -> Sequence[Copyable]:
        """What there is to copy here, or to write to a file."""
        return ()

    def readable(self) -> tuple[Copyable | None, int]:
        """What a pager would show, and the line to begin at."""
        return None, 1

    def action_copy_text(self) -> None:
        """Ask what, and copy it."""
        copying.ask_copy(self)

    def action_write_text(self) -> None:
        """Ask what and where, and write it."""
        copying.ask_write(self)

    def action_open_pager(self) -> None:
        """Show it in the pager."""
        outside.open_pager(self)

    def action_open_editor(self) -> None:
        """Edit what can be edited here."""
        self.heats.tell("there is nothing to edit here")

    def action_go(self, place: str) -> None:
        """To another place, which stands right above the runs: going round never piles screens up."""
        if place == self.WHERE:
            return
        home = self.app.screen_stack[1]
        while self.app.screen is not home:
            self.app.pop_screen()
        if place != RUNS:
            module, name = HOMES[place]
            self.app.push_screen(getattr(import_module(module), name)())

    # Reading

    def ask(self, key: str, what: str, read: Callable[[], T], take: Callable[[T], None], *, anew: bool = True) -> None:
        """Read something in a thread; `take` gets it in the app's own thread.

        Args:
            key: what is asked; of several answers to it only that to the newest question counts.
            what: what the part does, for the sentence when it fails ("reads the studies").
            read: called in a thread; touches no widget. What it raises of HeatsError is told in a toast.
            take: gets the answer; called only while the screen is there.
            anew: ask even while the same is being read. False for what a clock asks, so that slow disks get no pile.
        """
        if not anew and key in self._reading:
            return
        generation = self._asked[key] = self._asked.get(key, 0) + 1
        self._takers[key] = take
        self._reading.add(key)

        def work() -> None:
            value, problem = None, None
            try:
                value = read()
            except HeatsError as error:
                problem = str(error)
            except Exception as error:  # noqa: BLE001  told, never fatal: the app is a viewer
                problem = f"the part that {what} failed: {type(error).__name__}: {error}"
                self.app.log.error(error)
            self.post_message(Answered(key, generation, value, problem))

        self.app.run_worker(work, name=key, group="screens", description=what, exit_on_error=False, thread=True)

    def on_answered(self, message: Answered) -> None:
        """A thread is done."""
        message.stop()
        if self._asked.get(message.key) != message.generation:
            return  # asked again since
        self._reading.discard(message.key)
        if message.problem is not None:
            self.heats.tell(message.problem, failed=True)
        elif self.is_attached:
            self._takers[message.key](message.value)


class PaneScreen(HeatsScreen):
    """A screen of panes, with the keys that move in them."""

    @abstractmethod
    def panes(self) -> list[Widget]:
        """What Tab goes through, where it is on the screen."""

    def panned(self, direction: int) -> None:
        """Left or right, where the focused pane knows nothing of it."""

    # Movement

    def _pane(self) -> Pane | None:
        focused: object = self.focused
        if isinstance(focused, Pane):
            return focused
        return next((pane for pane in self.panes() if isinstance(pane, Pane)), None)

    def action_move(self, rows: int) -> None:
        """Up or down."""
        if pane := self._pane():
            pane.move_by(rows)

    def action_move_page(self, halves: int) -> None:
        """By half pages."""
        if pane := self._pane():
            pane.move_page(halves)

    def action_move_start(self) -> None:
        """To the first row."""
        if pane := self._pane():
            pane.move_to_start()

    def action_move_end(self) -> None:
        """To the last row."""
        if pane := self._pane():
            pane.move_to_end()

    def action_sideways(self, direction: int) -> None:
        """Left or right in long lines."""
        pane: object = self._pane()
        if isinstance(pane, WidePane):
            pane.move_sideways(direction * 16)
        else:
            self.panned(direction)

    def action_next_pane(self) -> None:
        """Tab."""
        self._turn_pane(1)

    def action_previous_pane(self) -> None:
        """Shift+Tab."""
        self._turn_pane(-1)

    def _turn_pane(self, direction: int) -> None:
        panes = self.panes()
        if panes:
            at = panes.index(self.focused) if self.focused in panes else -direction
            panes[(at + direction) % len(panes)].focus()
