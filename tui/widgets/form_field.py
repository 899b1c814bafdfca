"""The fields of the launch form: one line to type into each, with its label and what it means."""

from __future__ import annotations

from textual import events
from textual.widgets import Input, Static

from engine.config.options import Option
from tui.launch_form import choices_of, default_text, hint


class Field(Input):
    """One line to type into. Space walks through the choices where there are any."""

    def __init__(
        self, label: str, hint_text: str, *, placeholder: str = "", choices: tuple[str, ...] = (), key: str = ""
    ) -> None:
        super().__init__(placeholder=placeholder, compact=True, select_on_focus=False)
        self.label = label
        self.key = key or label
        """What its value is kept under."""
        self.hint_text = hint_text
        self.choices = choices
        self.label_widget = Static(label, classes="label", markup=False)
        self.heading: Static | None = None
        """The title of the section that it stands in."""

    def on_key(self, event: events.Key) -> None:
        if event.key == "space" and self.choices:
            event.stop()
            event.prevent_default()
            now = self.value or self.placeholder
            at = self.choices.index(now) if now in self.choices else -1
            self.value = self.choices[(at + 1) % len(self.choices)]
            self.cursor_position = len(self.value)


class OptionField(Field):
    """The field of one option of the task."""

    def __init__(self, option: Option) -> None:
        more = " Several make several runs: 0 1 2 or 0-4." if option.key == "seed" else ""
        super().__init__(
            option.key.rpartition(".")[2],
            hint(option) + more,
            placeholder=default_text(option),
            choices=choices_of(option),
            key=option.key,
        )
        self.option = option
