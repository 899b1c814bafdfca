"""The lines of the launch form as plain objects: what is typed, and what is said of it. No widget each: a form has
a hundred."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.config.options import Option
from tui.launch_form import BACKENDS, STARTS, choices_of, default_text, hint

RUN_FIELDS = {
    "name": "A name for the run; without one it is made of what matters in its config.",
    "tags": "Words to find it by, apart by spaces.",
    "note": "A note to yourself.",
    "start": "now: at once, whatever else runs. queue: when a slot of this machine is free. Space changes.",
    "backend": "Where it trains: on this machine (local), or as a job of the cluster (slurm, or slurm:PROFILE).",
    "notify": "A command that is told of alerts and of the end; else HEATS_NOTIFY. `heats notify` shows examples.",
}
"""What the form asks about the run itself, each with what it means."""
_CHOICES = {"start": STARTS, "backend": BACKENDS}


@dataclass(eq=False)
class FormField:
    """One line of the form."""

    key: str
    """What its value is kept under."""
    label: str
    hint_text: str
    placeholder: str = ""
    """What an empty line means."""
    choices: tuple[str, ...] = ()
    """What Space walks through."""
    section: str = ""
    option: Option | None = None
    """The task's option that it sets, where it sets one."""
    value: str = ""
    changed: bool = False
    wrong: bool = False

    def next_choice(self) -> str:
        """What Space makes of it."""
        now = self.value or self.placeholder
        at = self.choices.index(now) if now in self.choices else -1
        return self.choices[(at + 1) % len(self.choices)]

    def holds(self, text: str) -> bool:
        """Whether a text, in small letters, stands in its name or in what it means."""
        return text in f"{self.label} {self.key} {self.hint_text}".lower()


def make_fields(sections: Mapping[str, list[Option]], *, task: str, tasks: tuple[str, ...]) -> list[FormField]:
    """The lines of a form: the task where there is a choice, the run itself, then the task's options.

    Args:
        sections: the task's options, as `launch_form.options_by_section` gives them.
        task: which task the form is for.
        tasks: those to choose from; nothing to choose with fewer than two.
    """
    return list(_lines(sections, task, tasks))


def _lines(sections: Mapping[str, list[Option]], task: str, tasks: tuple[str, ...]) -> Iterator[FormField]:
    if len(tasks) > 1:
        yield FormField("task", "task", "Kind of training. Space changes.", placeholder=task, choices=tasks)
    for label, text in RUN_FIELDS.items():
        yield FormField(f"run {label}", label, text, choices=_CHOICES.get(label, ()))
    for section, options in sections.items():
        for option in options:
            more = " Several make several runs: 0 1 2 or 0-4." if option.key == "seed" else ""
            yield FormField(
                option.key, option.key.rpartition(".")[2], hint(option) + more, placeholder=default_text(option),
                choices=choices_of(option), section=section, option=option,
            )  # fmt: skip
