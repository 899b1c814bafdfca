"""The acts of the whole app."""

from __future__ import annotations

from tui.actions.action import ONLY_APP, PANES, Action

ACTIONS: tuple[Action, ...] = (
    Action("help", ("question_mark",), "Help", "This sheet.", "help", PANES, "App", footer=1),
    Action(
        "copy",
        ("Y",),
        "Copy",
        "Copy what is chosen to the clipboard, through the terminal (OSC 52), in tmux too.",
        "copy_text",
        PANES,
        "Take away",
        footer=40,
    ),
    Action(
        "write",
        ("W",),
        "Write to a file",
        "The same into a file: a terminal may refuse to copy.",
        "write_text",
        PANES,
        "Take away",
        footer=41,
        short="Write",
    ),
    Action(
        "pager",
        ("v",),
        "View in the pager",
        "Show the log, the config or the code's changes in $PAGER.",
        "open_pager",
        PANES,
        "Take away",
        footer=42,
        short="Pager",
    ),
    Action(
        "editor",
        ("e",),
        "Edit",
        "Edit the run's note, or a copy of its config, in $VISUAL or $EDITOR.",
        "open_editor",
        PANES,
        "Take away",
        footer=43,
    ),
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
    Action("theme", ("ctrl+t",), "Next theme", "Dark, light, high contrast, and round.", "next_theme", ONLY_APP, "App"),
    Action("theme_dark", (), "Dark theme", "Light text on a dark background.", "theme('dark')", ONLY_APP, "App"),
    Action("theme_light", (), "Light theme", "Dark text on a light background.", "theme('light')", ONLY_APP, "App"),
    Action(
        "theme_contrast", (), "High contrast theme", "White and yellow on black.", "theme('contrast')", ONLY_APP, "App"
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
