"""The acts on runs, and those of the screen of runs."""

from __future__ import annotations

from tui.actions.action import BOTH, ONLY_RUNS, Action

ACTIONS: tuple[Action, ...] = (
    Action(
        "open",
        ("enter",),
        "Open",
        "Open the selected run: chart, log, config and events.",
        "open_run",
        ONLY_RUNS,
        "Runs",
        footer=2,
    ),
    Action(
        "new",
        ("n",),
        "New run",
        "Launch a run from a form.",
        "launch_form",
        ONLY_RUNS,
        "Runs",
        changes=True,
        footer=3,
        short="New",
    ),
    Action(
        "stop",
        ("s",),
        "Stop",
        "Ask the selected run to save a checkpoint and end. Asks first; once it is stopping, "
        "s offers to end it at once.",
        "stop_run",
        BOTH,
        "Runs",
        destructive=True,
        changes=True,
        footer=4,
    ),
    Action(
        "resume",
        ("r",),
        "Resume",
        "Go on with the selected run from its newest checkpoint.",
        "resume_run",
        BOTH,
        "Runs",
        changes=True,
        footer=5,
    ),
    Action(
        "filter",
        ("slash",),
        "Filter",
        "Show only runs that hold these words in id, name, task, status or tags.",
        "filter",
        ONLY_RUNS,
        "Runs",
        footer=6,
    ),
    Action(
        "sort",
        ("o",),
        "Sort by next column",
        "Goes through the columns on the screen.",
        "sort_next",
        ONLY_RUNS,
        "Runs",
        footer=7,
        short="Sort",
    ),
    Action("reverse", ("O",), "Reverse order", "Turn the order round.", "sort_reverse", ONLY_RUNS, "Runs"),
    Action("clear", ("escape",), "Clear filter", "Show all runs again.", "clear_filter", ONLY_RUNS, "Runs"),
)
