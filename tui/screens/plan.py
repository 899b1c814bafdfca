"""A plan for several runs as a table, with a question below it."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui.screens.confirm import Choice
from tui.widgets.small_table import Row, SmallTable

_MOST = 400


class PlanScreen(ModalScreen[str | None]):
    """A title, a table, some lines, and the answers. Escape is always no.

    Args:
        title: the question.
        columns: the table's heads.
        rows: its cells; the first of each is what the row stands for.
        text: lines below it.
        choices: the answers.
        default: which answer is under the cursor.
    """

    CSS_PATH = "plan.tcss"

    def __init__(
        self,
        title: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        text: Sequence[str],
        choices: Sequence[Choice],
        *,
        default: int = 0,
    ) -> None:
        super().__init__()
        self.title_text = title
        self.columns = tuple(columns)
        self.rows = tuple(tuple(row) for row in rows)
        self.text = tuple(text)
        self.choices = tuple(choices)
        self.default = default

    def compose(self) -> ComposeResult:
        with Vertical(id="plan"):
            yield Static(self.title_text, id="plan-title", markup=False)
            yield SmallTable(self.columns, id="plan-table")
            yield Static("\n".join(self.text), id="plan-text", markup=False)
            yield OptionList(*(Option(f"{choice.key}  {choice.label}") for choice in self.choices), markup=False)

    def on_mount(self) -> None:
        rows = [Row(f"{at}", row) for at, row in enumerate(self.rows[:_MOST])]
        table = self.query_one(SmallTable)
        table.show(rows)
        table.can_focus = False
        answers = self.query_one(OptionList)
        answers.highlighted = self.default
        answers.focus()

    def on_resize(self) -> None:
        """The table takes what the rest leaves; where it is low the lines below give way."""
        room = self.size.height - 4 - len(self.choices)
        text = self.query_one("#plan-text")
        text.display = room > len(self.text) + 3
        room -= len(self.text) + 1 if text.display else 0
        self.query_one(SmallTable).styles.height = max(2, min(len(self.rows) + 1, room))

    def on_key(self, event: events.Key) -> None:
        pages = {"ctrl+d": 1, "pagedown": 1, "ctrl+u": -1, "pageup": -1}
        for choice in self.choices:
            if event.key == choice.key:
                event.stop()
                self.dismiss(choice.result)
                return
        if event.key in ("escape", "q"):
            event.stop()
            self.dismiss(None)
        elif event.key in ("j", "k"):
            event.stop()
            answers = self.query_one(OptionList)
            (answers.action_cursor_down if event.key == "j" else answers.action_cursor_up)()
        elif event.key in pages:
            event.stop()
            event.prevent_default()
            self.query_one(SmallTable).move_page(pages[event.key])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self.choices[event.option_index].result)
