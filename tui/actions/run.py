"""The acts of one run's screen."""

from __future__ import annotations

from tui.actions.action import ONLY_RUN, Action

ACTIONS: tuple[Action, ...] = (
    Action(
        "tab_chart",
        ("1",),
        "Chart",
        "The chart, with the log below where there is room.",
        "show_tab('chart')",
        ONLY_RUN,
        "Run",
    ),
    Action("tab_log", ("2",), "Log", "What the run printed.", "show_tab('log')", ONLY_RUN, "Run"),
    Action(
        "tab_config", ("3",), "Config", "The config, every default filled in.", "show_tab('config')", ONLY_RUN, "Run"
    ),
    Action("tab_events", ("4",), "Events", "What happened, newest last.", "show_tab('events')", ONLY_RUN, "Run"),
    Action(
        "search",
        ("slash",),
        "Search",
        "Find a text in the log, the config or the events.",
        "search",
        ONLY_RUN,
        "Run",
        footer=6,
    ),
    Action(
        "next_match",
        ("n",),
        "Next match",
        "To the next line that holds the text.",
        "next_match(False)",
        ONLY_RUN,
        "Run",
    ),
    Action(
        "previous_match",
        ("N",),
        "Previous match",
        "To the line before that holds the text.",
        "next_match(True)",
        ONLY_RUN,
        "Run",
    ),
)
