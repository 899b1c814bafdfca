"""Every act of the app, once: bindings, footer, help sheet and command palette are all made of this table."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding

APP, RUNS, RUN, LAUNCH = "app", "runs", "run", "launch"
_BOTH = frozenset({RUNS, RUN})


@dataclass(frozen=True)
class Action:
    """One act.

    `handler` is the name of the screen's (or app's) method behind `action_`; `where` are the screens that have it.
    """

    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    handler: str
    where: frozenset[str] = _BOTH
    group: str = "Move"
    destructive: bool = False
    changes: bool = False
    """Whether it changes the store, and so is refused when read-only."""
    footer: int = 0
    """Rank in the footer, 1 first; 0 leaves it out."""
    short: str = ""
    """The label where room is dear."""

    @property
    def shown_keys(self) -> str:
        """The keys as people read them."""
        return " ".join(key_name(key) for key in self.keys)


_NAMES = {
    "slash": "/", "question_mark": "?", "colon": ":", "plus": "+", "minus": "-", "equals_sign": "=",
    "left_square_bracket": "[", "right_square_bracket": "]", "enter": "Enter", "escape": "Esc", "tab": "Tab",
    "shift+tab": "Shift+Tab", "up": "↑", "down": "↓", "left": "←", "right": "→", "pageup": "PgUp", "pagedown": "PgDn",
    "home": "Home", "end": "End",
}  # fmt: skip


def key_name(key: str) -> str:
    """`ctrl+d` as Ctrl+d, `question_mark` as ?."""
    return _NAMES.get(key) or (f"Ctrl+{key[5:]}" if key.startswith("ctrl+") else key)


_ONLY_RUNS, _ONLY_RUN, _ONLY_LAUNCH, _APP = (frozenset({name}) for name in (RUNS, RUN, LAUNCH, APP))

ACTIONS: tuple[Action, ...] = (
    Action("down", ("j", "down"), "Down", "One row down.", "move(1)"),
    Action("up", ("k", "up"), "Up", "One row up.", "move(-1)"),
    Action("half_down", ("ctrl+d", "pagedown"), "Half a page down", "Half a page down.", "move_page(1)"),
    Action("half_up", ("ctrl+u", "pageup"), "Half a page up", "Half a page up.", "move_page(-1)"),
    Action("first", ("g", "home"), "First", "To the first row.", "move_start"),
    Action("last", ("G", "end"), "Last", "To the last row.", "move_end"),
    Action("left", ("h", "left"), "Left", "See the beginning of long log lines again.", "sideways(-1)"),
    Action("right", ("L", "right"), "Right", "See more of long log lines.", "sideways(1)"),
    Action("focus", ("tab",), "Next pane", "Move to the next pane.", "next_pane"),
    Action("focus_back", ("shift+tab",), "Previous pane", "Move to the pane before.", "previous_pane"),
    Action(
        "open",
        ("enter",),
        "Open",
        "Open the selected run: chart, log, config and events.",
        "open_run",
        _ONLY_RUNS,
        "Runs",
        footer=2,
    ),
    Action(
        "new",
        ("n",),
        "New run",
        "Launch a run from a form.",
        "launch_form",
        _ONLY_RUNS,
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
        _BOTH,
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
        _BOTH,
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
        _ONLY_RUNS,
        "Runs",
        footer=6,
    ),
    Action(
        "sort",
        ("o",),
        "Sort by next column",
        "Goes through the columns on the screen.",
        "sort_next",
        _ONLY_RUNS,
        "Runs",
        footer=7,
        short="Sort",
    ),
    Action("reverse", ("O",), "Reverse order", "Turn the order round.", "sort_reverse", _ONLY_RUNS, "Runs"),
    Action("clear", ("escape",), "Clear filter", "Show all runs again.", "clear_filter", _ONLY_RUNS, "Runs"),
    Action("back", ("escape", "backspace"), "Back", "Back to the runs.", "back", _ONLY_RUN, "Run", footer=2),
    Action(
        "tab_chart",
        ("1",),
        "Chart",
        "The chart, with the log below where there is room.",
        "show_tab('chart')",
        _ONLY_RUN,
        "Run",
    ),
    Action("tab_log", ("2",), "Log", "What the run printed.", "show_tab('log')", _ONLY_RUN, "Run"),
    Action(
        "tab_config", ("3",), "Config", "The config, every default filled in.", "show_tab('config')", _ONLY_RUN, "Run"
    ),
    Action("tab_events", ("4",), "Events", "What happened, newest last.", "show_tab('events')", _ONLY_RUN, "Run"),
    Action(
        "search",
        ("slash",),
        "Search",
        "Find a text in the log, the config or the events.",
        "search",
        _ONLY_RUN,
        "Run",
        footer=6,
    ),
    Action(
        "next_match",
        ("n",),
        "Next match",
        "To the next line that holds the text.",
        "next_match(False)",
        _ONLY_RUN,
        "Run",
    ),
    Action(
        "previous_match",
        ("N",),
        "Previous match",
        "To the line before that holds the text.",
        "next_match(True)",
        _ONLY_RUN,
        "Run",
    ),
    Action(
        "metric",
        ("m",),
        "Next metric",
        "Show the curves of the next metric.",
        "next_metric",
        _BOTH,
        "Charts",
        footer=8,
        short="Metric",
    ),
    Action(
        "metric_back",
        ("M",),
        "Previous metric",
        "Show the curves of the metric before.",
        "previous_metric",
        _BOTH,
        "Charts",
    ),
    Action(
        "log_y",
        ("l",),
        "Log scale",
        "Logarithmic y axis, on or off.",
        "log_y",
        _BOTH,
        "Charts",
        footer=9,
        short="Log y",
    ),
    Action(
        "smoother",
        ("plus", "right_square_bracket", "equals_sign"),
        "Smooth more",
        "Smooth the curves more; the raw ones stay, dimmed.",
        "smooth(1)",
        _BOTH,
        "Charts",
        footer=10,
        short="Smooth",
    ),
    Action(
        "rougher",
        ("minus", "left_square_bracket"),
        "Smooth less",
        "Smooth the curves less.",
        "smooth(-1)",
        _BOTH,
        "Charts",
    ),
    Action(
        "follow",
        ("f",),
        "Follow log",
        "Keep the end of the log in view, on or off.",
        "follow",
        _BOTH,
        "Charts",
        footer=11,
        short="Follow",
    ),
    Action(
        "submit",
        ("ctrl+g",),
        "Launch",
        "Launch the run as the form says.",
        "submit",
        _ONLY_LAUNCH,
        "Form",
        changes=True,
        footer=1,
    ),
    Action("next_field", ("down", "enter"), "Next field", "To the next option.", "next_field", _ONLY_LAUNCH, "Form"),
    Action(
        "previous_field", ("up",), "Previous field", "To the option before.", "previous_field", _ONLY_LAUNCH, "Form"
    ),
    Action(
        "find_option",
        ("ctrl+f",),
        "Find an option",
        "Show only options that hold a text.",
        "find_option",
        _ONLY_LAUNCH,
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
        _ONLY_LAUNCH,
        "Form",
        footer=2,
        short="Back",
    ),
    Action("help", ("question_mark",), "Help", "This sheet.", "help", _BOTH, "App", footer=1),
    Action(
        "palette",
        ("colon", "ctrl+p"),
        "Commands",
        "Find any act by its name.",
        "command_palette",
        _APP,
        "App",
        footer=12,
    ),
    Action(
        "quit", ("q", "ctrl+q", "ctrl+c"), "Quit", "Close the app. Runs keep running.", "quit", _APP, "App", footer=13
    ),
)


def actions_of(where: str) -> list[Action]:
    """The acts of one screen, those of the whole app last."""
    return [action for action in ACTIONS if where in action.where] + (
        [] if where == APP else [action for action in ACTIONS if APP in action.where]
    )


def bindings(where: str) -> list[Binding]:
    """The key bindings of a screen or of the app."""
    return [
        Binding(key, action.handler, action.label, show=bool(action.footer), id=f"{where}.{action.id}.{key}")
        for action in ACTIONS
        if where in action.where
        for key in action.keys
    ]


def footer(where: str) -> list[Action]:
    """What the footer shows on a screen, the most useful first."""
    return sorted((action for action in actions_of(where) if action.footer), key=lambda action: action.footer)


def help_groups(where: str) -> dict[str, list[Action]]:
    """The help sheet of a screen: all its acts by group."""
    groups: dict[str, list[Action]] = {}
    for action in actions_of(where):
        groups.setdefault(action.group, []).append(action)
    return groups
