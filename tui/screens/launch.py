"""The form for new runs, generated from the task's options and checked at each key."""

from __future__ import annotations

import os
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Button, Input, Static

from engine.config.options import nearest
from engine.config.tasks import config_class, task_packages
from engine.errors import HeatsError
from engine.launch.actions import LaunchRequest
from tui.actions import LAUNCH, bindings
from tui.copying import copy
from tui.form_fields import RUN_FIELDS, FormField, make_fields
from tui.launch_form import (
    BACKENDS,
    Check,
    Filled,
    changed_values,
    check_filled,
    command_text,
    options_by_section,
    requests_of,
    starts_queued,
)
from tui.screens.launch_filling import FillingScreen
from tui.screens.runs import update_text
from tui.widgets.form_view import FormView
from tui.widgets.key_bar import KeyBar

_FIND_HINT = "A part of an option's name or help narrows the form; KEY=VALUE and Enter sets one; Esc shows all again."

_USUAL = "multiplication"
"""The task of a first run: it needs no data, and trains in a minute anywhere."""


class LaunchScreen(FillingScreen):
    """New runs of a task.

    Args:
        task: which; that of the newest run unless said, or of the run that is cloned.
        clone_of: the id of a run whose options fill the form and which becomes the parent.
    """

    CSS_PATH = "launch.tcss"
    WHERE = LAUNCH
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(LAUNCH)]

    def __init__(self, task: str | None = None, *, clone_of: str | None = None) -> None:
        super().__init__(clone_of)
        self.tasks = tuple(task_packages())
        self.outcome = Check()
        self.busy = False
        self._asked_for = task
        usual = [name for name in self.tasks if name == _USUAL]
        self._use(task or next(iter([*usual, *self.tasks]), ""))

    def _use(self, task: str) -> None:
        self.task_name = task
        self.kind = config_class(task)
        self.sections = options_by_section(self.kind)
        self.options = {option.key: option for options in self.sections.values() for option in options}

    def compose(self) -> ComposeResult:
        if self.clone_of is not None:
            run = self.heats.tracker.find(self.clone_of)
            if run is not None and run.task in self.tasks:
                self._use(run.task)
        elif self._asked_for is None:  # what was trained last is what is trained next
            newest = next((run.task for run in reversed(self.heats.tracker.runs or ()) if run.task in self.tasks), None)
            self._use(newest or self.task_name)
        yield Static(id="title", markup=False)
        yield Input(id="find", placeholder="show options that hold this text, or set one: KEY=VALUE", compact=True)
        tasks = self.tasks if self.clone_of is None else ()
        yield FormView(make_fields(self.sections, task=self.task_name, tasks=tasks), id="form")
        yield Static(id="hint", markup=False)
        yield Static(id="problem", markup=False)
        with Horizontal(id="submit-row"):
            yield Static(id="command", markup=False)
            yield Button("Launch", id="submit", compact=True, variant="primary")
        yield KeyBar(LAUNCH)

    def on_mount(self) -> None:
        find, form = self.query_one("#find", Input), self.form
        find.display = False
        for field in (find, form.input):
            field.cursor_blink = not self.heats.low_bandwidth
        self._field("run notify").placeholder = os.environ.get("HEATS_NOTIFY", "") or "nobody"
        self._field("run backend").placeholder = BACKENDS[0]
        form.go_to(next((field for field in form.every if field.option is not None), form.every[0]))
        self.show_title()
        self.ask("slots", "counts the slots", _free_slots, self._took_slots)
        self.begin()

    def _took_slots(self, text: str) -> None:
        self._field("run start").hint_text = f"{RUN_FIELDS['start']} {text}"

    def put(self, key: str, text: str) -> None:
        """Fill in one line."""
        self._field(key).value = text
        self.check()

    def on_resize(self) -> None:
        self.set_class(self.size.height < 16, "short")

    def _put(self, name: str, text: str) -> None:
        """Show a line of text; everything is laid out anew only where it takes more rows, or fewer."""
        widget = self.query_one(f"#{name}", Static)
        width = max(1, widget.size.width)
        rows = [-(-len(words) // width) for words in (text, getattr(widget, "shown_text", ""))]
        update_text(widget, text, layout=rows[0] != rows[1] or width == 1)

    def show_title(self) -> None:
        """Say what the form is for."""
        what = f"Clone of {self.clone_of}" if self.clone_of else f"New run of {self.task_name}: {self.kind.summary}"
        update_text(self.query_one("#title", Static), what)

    def _field(self, key: str) -> FormField:
        return next(field for field in self.form.every if field.key == key)

    # What the form says

    def values(self) -> dict[str, str]:
        """What was typed and differs from the defaults, by key."""
        typed = {field.key: field.value for field in self.form.every if field.option is not None}
        return changed_values(self.options, typed)

    def filled(self) -> Filled:
        """All that the form says."""
        values, typed = self.values(), {key: text.strip() for key, text in self.typed().items()}
        seeds = values.pop("seed", "")
        tags = tuple(typed.get("run tags", "").split())
        return Filled(
            self.task_name, values, seeds, name=typed.get("run name", ""), tags=tags,
            note=typed.get("run note", ""), start=typed.get("run start", ""), backend=typed.get("run backend", ""),
            notify=typed.get("run notify", ""),
        )  # fmt: skip

    def requests(self) -> list[LaunchRequest]:
        """The runs that the form describes.

        Raises:
            HeatsError: the seeds make no sense.
        """
        return requests_of(self.filled(), root=self.heats.store_root, origin=self.origin)

    @on(Input.Changed, "#find")
    def _searched(self, message: Input.Changed) -> None:
        message.stop()
        self._narrow(message.value)

    @on(FormView.Typed)
    def _filled_in(self, message: FormView.Typed) -> None:
        message.stop()
        if message.field.key != "task":
            self.check()
        elif message.field.value in self.tasks and message.field.value != self.task_name:
            self.app.switch_screen(LaunchScreen(message.field.value))

    def check(self) -> None:
        """Check what is typed, and say what it makes."""
        filled = self.filled()
        self.outcome = check_filled(self.kind, filled)
        wrong = self.outcome.key if self.outcome.problem else None
        for field in self.form.every:
            field.wrong = wrong is not None and wrong in (field.key, field.label)
            field.changed = bool(field.value) and not (field.option is not None and field.key not in filled.values)
            field.changed |= field.key == "seed" and bool(filled.seeds)
        self._field("run start").placeholder = "queue" if starts_queued(filled) else "now"
        self.form.show_values()
        self._say(filled)
        command = command_text(filled, root=self.heats.store_root, origin=self.origin)
        self._put("command", command)
        self.keep_draft()

    def _say(self, filled: Filled) -> None:
        """One sentence below the form: what is wrong, else what would be made."""
        line = self.query_one("#problem", Static)
        line.set_class(bool(self.outcome.problem), "wrong")
        if self.outcome.problem:
            sign = "x" if self.heats.ascii_only else "✘"
            self._put("problem", f"{sign} {self.outcome.problem}")
            return
        count = len(self.requests())
        what = f"a run {self.outcome.slug}" if count == 1 else f"{count} runs {self.outcome.slug}"
        changed = len(filled.values)
        how = "when a slot is free" if starts_queued(filled) else "at once"
        differ = "1 option differs" if changed == 1 else f"{changed} options differ"
        self._put("problem", f"makes {what}, {how}; {differ} from the defaults")

    # Finding and moving

    def _narrow(self, text: str) -> None:
        wanted = text.strip().lower().partition("=")[0].strip()
        if self.form.narrow(wanted):
            self._show_hint()
            return
        near = nearest(wanted, list(self.options))
        told = f"no option holds {wanted!r}" + (f"; did you mean {near}?" if near else "")
        self._put("hint", told)

    def on_descendant_focus(self) -> None:
        self._show_hint()

    @on(FormView.Moved)
    def _show_hint(self) -> None:
        self._put("hint", _FIND_HINT if self.focused is self.query_one("#find") else self.form.current.hint_text)

    @on(Input.Submitted)
    def _entered(self, message: Input.Submitted) -> None:
        message.stop()
        if message.input.id != "find":
            self.action_next_field()
            return
        key, equals, value = message.value.partition("=")
        if equals:
            self._set(key.strip(), value.strip())
            return
        if self.form.shown:
            self.form.go_to(self.form.shown[0])

    def _set(self, key: str, value: str) -> bool:
        """Set an option that was written as KEY=VALUE; whether there is such an option."""
        found = key if key in self.options else nearest(key, list(self.options))
        if found is None or (found != key and found.rpartition(".")[2] != key):
            near = f"; did you mean {found}?" if found else ""
            self._put("hint", f"there is no option {key!r}{near}")
            return False
        self.query_one("#find", Input).value = ""
        self.query_one("#find").display = False
        self.put(found, value)
        self.form.go_to(self._field(found))
        return True

    def action_next_field(self) -> None:
        """To the next option."""
        self.form.turn(1)

    def action_previous_field(self) -> None:
        """To the option before."""
        self.form.turn(-1)

    def action_next_section(self, direction: int) -> None:
        """To the first field of another section."""
        self.form.turn_section(direction)

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
            self.form.go_to(self.form.current)
            return
        self.dismiss()

    def action_copy_command(self) -> None:
        """The equivalent command line to the clipboard."""
        text = command_text(self.filled(), root=self.heats.store_root, origin=self.origin)
        copy(self.heats, text, "the command")

    # Launching

    @on(Button.Pressed, "#submit")
    def action_submit(self) -> None:
        """Launch."""
        if self.busy or self.heats.refuses():
            return
        key, equals, value = self.query_one("#find", Input).value.partition("=")
        if equals and not self._set(key.strip(), value.strip()):
            return  # typed, though not entered
        if self.outcome.problem:
            # The sentence stands below the form already: go to what it speaks of.
            keys = (self.outcome.key, f"run {self.outcome.key}")
            culprit = next((field for field in self.form.every if field.key in keys), None)
            if culprit is not None:
                self.form.go_to(culprit)
            return
        self.busy = True
        requests, queue, root = self.requests(), starts_queued(self.filled()), self.heats.store_root
        self._put("problem", "launching")

        def act() -> tuple[str, str | None]:
            from engine.launch.submit import submit

            done = submit(root, requests, queue=queue)
            ids = [started.run.id for started in done.started]
            told = []
            if ids:
                told.append(f"launched {ids[0]}" if len(ids) == 1 else f"launched {len(ids)} runs: {', '.join(ids)}")
            if done.waiting:
                waiting = [run.id for run in done.waiting]
                told.append(f"queued {waiting[0]}" if len(waiting) == 1 else f"queued {len(waiting)} runs")
            warnings = dict.fromkeys(warning for started in done.started for warning in started.warnings)
            return "\n".join([*told, *warnings]), (ids or [run.id for run in done.waiting])[0]

        self.heats.acts.do("launches a run", act)

    def launch_ended(self, *, failed: bool) -> None:
        """The launch came back: leave, or stay so that nothing typed is lost."""
        self.busy = False
        if failed:
            if self.query("#form"):
                self.check()
            return
        self.keep_draft(launched=True)
        self.dismiss()


def _free_slots() -> str:
    """How many slots are free, in words; nothing where that can't be said."""
    from engine.launch import slots

    try:
        every, taken = len(slots.machine_slots()), len(slots.claims())
    except HeatsError as error:
        return str(error)
    return f"Free now: {max(0, every - taken)} of {every}."
