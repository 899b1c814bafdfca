"""The acts of one run's screen: its tabs, what they can do, and what can be done with the run."""

from __future__ import annotations

from tui.actions.action import ONLY_RUN, Action

TABS = ("charts", "log", "config", "checkpoints", "events", "system", "environment", "pictures")
"""The tabs of a run's screen, in the order of their digits."""

TABS_OF = {"Charts": ("charts",), "follow": ("charts", "log")}
"""Acts of other groups that mean something on some tabs only, by group or id."""

_WHAT = (
    "The curves, with the log below where there is room.",
    "What the run printed, in any of its attempts.",
    "Every option, and which differ from the defaults.",
    "What was saved, whether it can be trusted, and what can be done with it.",
    "What happened, newest last, with all facts.",
    "Processor, memory, disk and GPUs while it trained.",
    "Code, machine, packages and command line.",
    "Pictures of the data, and of what the model looks at, where there are any.",
)


def _tab_act(
    name: str, keys: tuple[str, ...], label: str, help: str, tabs: tuple[str, ...], *, footer: int = 0, short: str = "",
    changes: bool = False, destructive: bool = False,
) -> Action:  # fmt: skip
    group = f"On {' and '.join(tab.capitalize() for tab in tabs)}"
    return Action(
        name, keys, label, help, f"tab_act('{name}')", ONLY_RUN, group, footer=footer, short=short, tabs=tabs,
        changes=changes, destructive=destructive,
    )  # fmt: skip


ACTIONS: tuple[Action, ...] = (
    *(
        Action(f"tab_{tab}", (str(digit),), tab.capitalize(), what, f"show_tab('{tab}')", ONLY_RUN, "Tabs")
        for digit, (tab, what) in enumerate(zip(TABS, _WHAT, strict=True), 1)
    ),
    Action(
        "search", ("slash",), "Search", "Find a text in the log, the config, the events or the environment.", "search",
        ONLY_RUN, "Search", footer=6, tabs=("charts", "log", "config", "events", "system", "environment"),
    ),
    Action(
        "next_match", ("n",), "Next match", "To the next line that holds the text.", "next_match(False)", ONLY_RUN,
        "Search",
    ),
    Action(
        "previous_match", ("N",), "Previous match", "To the line before that holds the text.", "next_match(True)",
        ONLY_RUN, "Search",
    ),
    _tab_act(
        "filter", ("i",), "Filter",
        "Log: only warnings and errors, only errors, all. Events: one kind after the other. System: the span of time.",
        ("log", "events", "system"), footer=20,
    ),
    _tab_act(
        "jump", ("L",), "Go to", "Log: to a moment, a step or a line. Charts: to the crosshair's place in the log.",
        ("charts", "log"), footer=21, short="Log",
    ),
    _tab_act("wrap", ("w",), "Wrap", "Break long lines, or cut them at the edge.", ("log",), footer=22),
    _tab_act(
        "attempt", ("a",), "Next attempt", "The log, or what it stood on, of the next attempt.",
        ("log", "environment"), footer=23, short="Attempt",
    ),
    _tab_act("attempt_back", ("A",), "Attempt before", "The same of the attempt before.", ("log", "environment")),
    _tab_act(
        "only_changed", ("d",), "Only differences", "Only options that aren't as the task's default, or all.",
        ("config",), footer=24, short="Differing",
    ),
    _tab_act(
        "open", ("enter",), "Open",
        "Charts: the chosen one over the whole screen. Checkpoints: resume from the one under the cursor, after "
        "asking. Events: its place in the log.",
        ("charts", "checkpoints", "events"), footer=25,
    ),
    _tab_act(
        "check", ("V",), "Check every byte", "Read every byte of the checkpoints and compare its hash; Esc ends it.",
        ("checkpoints",), footer=26, short="Check",
    ),
    _tab_act(
        "rewind", ("B",), "Go back to it", "Let the next resume go on from the checkpoint under the cursor.",
        ("checkpoints",), footer=27, short="Rewind", changes=True,
    ),
    _tab_act(
        "prune", ("P",), "Prune", "Delete for good what the policy doesn't keep; the plan comes first.",
        ("checkpoints",), footer=28, changes=True, destructive=True,
    ),
    _tab_act(
        "fix", ("F",), "Fix", "Repair pointers and move what is broken to the trash; the plan comes first.",
        ("checkpoints",), footer=29, changes=True,
    ),
    _tab_act(
        "export", ("E",), "Export", "Write the weights under the cursor to a folder, as plain files.",
        ("checkpoints",), footer=30,
    ),
    Action(
        "clone", ("c",), "Clone", "A new run like this one: the form opens filled in.", "clone_run", ONLY_RUN, "Runs",
        changes=True, footer=31,
    ),
    Action(
        "save_now", ("S",), "Save now", "Ask the run for a checkpoint at the end of its step.", "save_now", ONLY_RUN,
        "Runs", changes=True,
    ),
    Action(
        "star", ("asterisk",), "Star", "Star the run, or take the star away.", "star_run", ONLY_RUN, "Runs",
        changes=True,
    ),
    Action(
        "tags", ("t",), "Tags", "Add tags, or take them away with a - before.", "tag_run", ONLY_RUN, "Runs",
        changes=True,
    ),
    Action(
        "archive", ("Z",), "Archive", "Out of the way of lists, or back again.", "archive_run", ONLY_RUN, "Runs",
        changes=True,
    ),
    Action(
        "evaluate", ("u",), "Evaluate", "Evaluate its best checkpoint in the background; the outcome is told.",
        "evaluate_run", ONLY_RUN, "Runs", footer=44, short="Evaluate",
    ),
    Action(
        "verify", ("R",), "Verify", "Train a stretch again in the background and say whether the same bits come out.",
        "verify_run", ONLY_RUN, "Runs",
    ),
    Action(
        "delete", ("D",), "Delete", "Move the run to the trash, after asking.", "delete_run", ONLY_RUN, "Runs",
        changes=True, destructive=True,
    ),
)  # fmt: skip
