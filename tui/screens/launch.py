"""The form for a new run, generated from the task's options and checked at each key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Button, Input, Static

from engine.config.options import Option
from engine.config.tasks import config_class, task_packages
from engine.launch.actions import LaunchRequest
from tui.actions import LAUNCH, bindings
from tui.launch_form import (
    Check,
    changed_values,
    check,
    choices_of,
    command_line,
    command_words,
    default_text,
    hint,
    options_by_section,
)
from tui.screens.pane import HeatsScreen
from tui.screens.runs import update_text
from tui.widgets.key_bar import KeyBar


class Field(Input):
    """One line to type into. Space walks through the choices where there are any."""

    def __init__(self, label: str, hint_text: str, *, placeholder: str = "", choices: tuple[str, ...] = ()) -> None:
        super().__init__(placeholder=placeholder, compact=True, select_on_focus=False)
        self.label = label
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
        super().__init__(
            option.key.rpartition(".")[2], hint(option), placeholder=default_text(option), choices=choices_of(option)
        )
        self.option = option


class LaunchScreen(HeatsScreen):
    """A new run of a task."""

    CSS_PATH = "launch.tcss"
    WHERE = LAUNCH
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(LAUNCH)]

    def __init__(self, task: str | None = None) -> None:
        super().__init__()
        tasks = tuple(task_packages())
        self.task_name = task or (tasks[0] if tasks else "")
        self.kind = config_class(self.task_name)
        self.sections = options_by_section(self.kind)
        self.options = {option.key: option for options in self.sections.values() for option in options}
        self.outcome = Check()
        self.busy = False
        self._tasks = tasks

    def compose(self) -> ComposeResult:
        yield Static(f"New run of {self.task_name}: {self.kind.summary}", id="title", markup=False)
        yield Input(id="find", placeholder="show options that hold this text; Enter to go on", compact=True)
        with VerticalScroll(id="form", can_focus=False):
            heading: Static | None = None
            for field in self._made():
                if field.heading is not heading and field.heading is not None:
                    heading = field.heading
                    yield heading
                yield field.label_widget
                yield field
        yield Static(id="hint", markup=False)
        yield Static(id="problem", markup=False)
        with Horizontal(id="submit-row"):
            yield Static(id="command", markup=False)
            yield Button("Launch", id="submit", compact=True, variant="primary")
        yield KeyBar(LAUNCH)

    def _made(self) -> Iterator[Field]:
        """The fields of the run itself, then those of the task's options."""
        if len(self._tasks) > 1:
            yield Field("task", "Kind of training. Space changes.", placeholder=self.task_name, choices=self._tasks)
        yield Field("name", "A name for the run; without one it is made of what matters in its config.")
        yield Field("tags", "Words to find it by, apart by spaces.")
        for section, options in self.sections.items():
            heading = Static(section, classes="section", markup=False) if section else None
            for option in options:
                field = OptionField(option)
                field.heading = heading
                yield field

    def on_mount(self) -> None:
        self.query_one("#find").display = False
        for field in self.query(Input):
            field.cursor_blink = not self.heats.low_bandwidth
        self._check()
        fields = self._fields()
        first = next((field for field in fields if isinstance(field, OptionField)), fields[0])
        first.focus()

    def on_resize(self) -> None:
        self.set_class(self.size.height < 16, "short")

    def _fields(self) -> list[Field]:
        return [field for field in self.query(Field) if field.display]

    def _text(self, label: str) -> str:
        found = (field for field in self.query(Field) if field.label == label)
        return next((field.value.strip() for field in found if not isinstance(field, OptionField)), "")

    def values(self) -> dict[str, str]:
        """What was typed and differs from the defaults, by key."""
        typed = {field.option.key: field.value for field in self.query(OptionField)}
        return changed_values(self.options, typed)

    def request(self) -> LaunchRequest:
        """The run that the form describes."""
        values, name, tags = self.values(), self._text("name"), tuple(self._text("tags").split())
        words = command_words(self.task_name, values, name=name, tags=tags, root=self.heats.store_root)
        return LaunchRequest(task=self.task_name, values=values, name=name or None, tags=tags, command=tuple(words))

    @on(Input.Changed)
    def _changed(self, message: Input.Changed) -> None:
        message.stop()
        if message.input.id == "find":
            self._narrow(message.value)
            return
        if isinstance(message.input, Field) and message.input.label == "task" and message.value in self._tasks:
            if message.value != self.task_name:
                self.app.switch_screen(LaunchScreen(message.value))
            return
        self._check()

    def _check(self) -> None:
        self.outcome = check(self.kind, self.values())
        for field in self.query(OptionField):
            wrong = bool(self.outcome.problem) and field.option.key == self.outcome.key
            field.set_class(wrong, "wrong")
            field.set_class(bool(field.value), "changed")
        sign = "x" if self.heats.ascii_only else "✘"
        good = f"makes a run {self.outcome.slug}"
        problem = self.query_one("#problem", Static)
        problem.set_class(bool(self.outcome.problem), "wrong")
        update_text(problem, f"{sign} {self.outcome.problem}" if self.outcome.problem else good, layout=True)
        update_text(self.query_one("#command", Static), command_line(list(self.request().command)), layout=True)

    def _narrow(self, text: str) -> None:
        wanted = text.strip().lower()
        shown: set[Static] = set()
        for field in self.query(Field):
            fits = wanted in f"{field.label} {field.hint_text}".lower()
            field.display = field.label_widget.display = fits
            if fits and field.heading is not None:
                shown.add(field.heading)
        for heading in self.query(".section").results(Static):
            heading.display = heading in shown

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if isinstance(event.widget, Field):
            update_text(self.query_one("#hint", Static), event.widget.hint_text, layout=True)

    @on(Input.Submitted)
    def _entered(self, message: Input.Submitted) -> None:
        message.stop()
        if message.input.id == "find":
            fields = self._fields()
            (fields[0] if fields else message.input).focus()
        else:
            self.action_next_field()

    def action_next_field(self) -> None:
        """To the next option."""
        self._turn_field(1)

    def action_previous_field(self) -> None:
        """To the option before."""
        self._turn_field(-1)

    def _turn_field(self, direction: int) -> None:
        fields = self._fields()
        focused = self.focused
        if not fields:
            return
        if isinstance(focused, Field) and focused in fields:
            fields[(fields.index(focused) + direction) % len(fields)].focus()
        else:
            fields[0 if direction > 0 else -1].focus()

    def action_find_option(self) -> None:
        """Type which options to show."""
        field = self.query_one("#find", Input)
        field.display = True
        field.focus()

    def action_cancel(self) -> None:
        """Leave the form; first show all options again where some are hidden."""
        field = self.query_one("#find", Input)
        if field.display:
            field.value = ""
            field.display = False
            self.action_next_field()
            return
        self.dismiss()

    @on(Button.Pressed, "#submit")
    def action_submit(self) -> None:
        """Launch."""
        if self.busy or self.heats.refuses():
            return
        if self.outcome.problem:
            # The sentence stands below the form already: go to what it speaks of.
            wrong = (field for field in self._fields() if isinstance(field, OptionField))
            culprit = next((field for field in wrong if field.option.key == self.outcome.key), None)
            if culprit is not None:
                culprit.focus()
            return
        self.busy = True
        update_text(self.query_one("#problem", Static), "launching", layout=True)
        self.heats.acts.launch(self.request())

    def launch_ended(self, *, failed: bool) -> None:
        """The launch came back: leave, or stay so that nothing typed is lost."""
        self.busy = False
        if failed:
            self._check()
        else:
            self.dismiss()
