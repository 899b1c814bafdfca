"""The acts that move in lists and panes, the same on every screen."""

from __future__ import annotations

from tui.actions.action import INNER, Action

ACTIONS: tuple[Action, ...] = (
    Action("down", ("j", "down"), "Down", "One row down.", "move(1)"),
    Action("up", ("k", "up"), "Up", "One row up.", "move(-1)"),
    Action("half_down", ("ctrl+d", "pagedown"), "Half a page down", "Half a page down.", "move_page(1)"),
    Action("half_up", ("ctrl+u", "pageup"), "Half a page up", "Half a page up.", "move_page(-1)"),
    Action("first", ("g", "home"), "First", "To the first row.", "move_start"),
    Action("last", ("G", "end"), "Last", "To the last row.", "move_end"),
    Action("left", ("h", "left"), "Left", "See the beginning of long log lines again.", "sideways(-1)"),
    Action("right", ("l", "right"), "Right", "See more of long log lines.", "sideways(1)"),
    Action("focus", ("tab",), "Next pane", "Move to the next pane.", "next_pane"),
    Action("focus_back", ("shift+tab",), "Previous pane", "Move to the pane before.", "previous_pane"),
    Action("back", ("escape", "backspace"), "Back", "Back to where you came from.", "back", INNER, "Move", footer=2),
)
