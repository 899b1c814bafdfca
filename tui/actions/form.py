"""The acts of the launch form."""

from __future__ import annotations

from tui.actions.action import ONLY_LAUNCH, Action

ACTIONS: tuple[Action, ...] = (
    Action(
        "submit",
        ("ctrl+g",),
        "Launch",
        "Launch the run as the form says.",
        "submit",
        ONLY_LAUNCH,
        "Form",
        changes=True,
        footer=1,
    ),
    Action("next_field", ("down", "enter"), "Next field", "To the next option.", "next_field", ONLY_LAUNCH, "Form"),
    Action("previous_field", ("up",), "Previous field", "To the option before.", "previous_field", ONLY_LAUNCH, "Form"),
    Action(
        "find_option",
        ("ctrl+f",),
        "Find an option",
        "Show only options that hold a text.",
        "find_option",
        ONLY_LAUNCH,
        "Form",
        footer=3,
        short="Find",
    ),
    Action(
        "cancel",
        ("escape",),
        "Back without launching",
        "Leave the form.",
        "cancel",
        ONLY_LAUNCH,
        "Form",
        footer=2,
        short="Back",
    ),
)
