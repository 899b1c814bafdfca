"""The acts of the whole app."""

from __future__ import annotations

from tui.actions.action import ONLY_APP, PANES, Action

ACTIONS: tuple[Action, ...] = (
    Action("help", ("question_mark",), "Help", "This sheet.", "help", PANES, "App", footer=1),
    Action(
        "palette",
        ("colon", "ctrl+p"),
        "Commands",
        "Find any act by its name.",
        "command_palette",
        ONLY_APP,
        "App",
        footer=12,
    ),
    Action(
        "quit",
        ("q", "ctrl+q", "ctrl+c"),
        "Quit",
        "Close the app. Runs keep running.",
        "quit",
        ONLY_APP,
        "App",
        footer=13,
    ),
)
