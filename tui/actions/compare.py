"""The acts of the screen that compares runs."""

from __future__ import annotations

from tui.actions.action import COMPARE, Action

_COMPARE = frozenset({COMPARE})

ACTIONS: tuple[Action, ...] = (
    Action("open_compared", ("enter",), "Open the run", "Open the run under the cursor.", "open_run", _COMPARE,
           "Compare", footer=3, short="Open"),
    Action("all_keys", ("a",), "All options", "Show all options, or only those that differ.", "all_keys", _COMPARE,
           "Compare", footer=4),
    Action("base", ("b",), "Make it A", "Compare all runs with the one under the cursor.", "make_base", _COMPARE,
           "Compare", footer=5),
    Action("drop_compared", ("x",), "Leave out", "Take the run under the cursor out of the comparison.", "leave_out",
           _COMPARE, "Compare", footer=6),
    Action("overlay_compared", ("z",), "Overlay curves",
           "The curves of all compared runs in one chart; of the metric under the cursor, if one is.",
           "overlay", _COMPARE, "Compare", footer=7, short="Overlay"),
    Action("clone_compared", ("c",), "Clone", "A form filled with the options of the run under the cursor.",
           "clone_run", _COMPARE, "Compare", changes=True, footer=8),
)  # fmt: skip
