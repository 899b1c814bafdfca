"""The acts on runs, those of the screen of runs, and those of the trash."""

from __future__ import annotations

from tui.actions.action import BOTH, ONLY_RUNS, TRASH, Action

ONLY_TRASH = frozenset({TRASH})


def _act(
    name: str, keys: str, label: str, help: str, handler: str, footer: int = 0, short: str = "", *,
    changes: bool = False, destructive: bool = False, group: str = "Runs",
) -> Action:  # fmt: skip
    """An act of the screen of runs; its keys with spaces between."""
    return Action(
        name, tuple(keys.split()), label, help, handler, ONLY_RUNS, group, destructive, changes, footer, short
    )


ACTIONS: tuple[Action, ...] = (
    _act("open", "enter", "Open", "Open the selected run; fold or open a group.", "open_run", 2),
    _act("new", "n", "New run", "Launch a run from a form.", "launch_form", 3, "New", changes=True),
    Action(
        "stop",
        ("s",),
        "Stop",
        "Ask the selected or marked runs to save a checkpoint and end. Asks first; once a run is stopping, "
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
        "Go on with the selected or marked runs from their newest checkpoints.",
        "resume_run",
        BOTH,
        "Runs",
        changes=True,
        footer=5,
    ),
    _act("clone", "c", "Clone", "A new run with the options of the selected one.", "clone_run", 16, changes=True),
    _act("compare", "d", "Compare", "The marked runs side by side: options, metrics, code.", "compare_runs", 15),
    _act("overlay", "z", "Overlay", "The curves of the marked runs in one chart, full screen.", "overlay_runs", 17),
    _act("tag", "t", "Tag", "Add tags to the selected or marked runs; -tag takes one away.", "tag_runs", 18,
         changes=True),
    _act("note", "i", "Note", "Write a note on the selected run.", "note_run", changes=True),
    _act("star", "asterisk", "Star", "Star the selected or marked runs, or take the stars away.", "star_runs",
         changes=True),
    _act("archive", "Z", "Archive", "Put runs out of sight, or back. Nothing is moved or deleted.", "archive_runs",
         changes=True),
    _act("delete", "D delete", "Delete", "Move the selected or marked runs to the trash. Asks first.", "delete_runs",
         changes=True, destructive=True),
    _act("undo", "u", "Undo delete", "Bring back the runs that were deleted last.", "undo_delete", changes=True),
    _act("trash", "T", "Trash", "What was deleted: bring it back, or delete it for good.", "open_trash"),
    _act("mark", "space", "Mark", "Mark the run or the group, and go to the next row.", "mark", 7, group="Mark"),
    _act("mark_all", "A", "Mark all shown", "Mark every run that the filter lets through.", "mark_all", group="Mark"),
    _act("mark_none", "U", "Unmark all", "Take all marks away.", "mark_none", group="Mark"),
    _act("mark_invert", "I", "Invert marks", "Mark the shown runs that aren't, and unmark those that are.",
         "mark_invert", group="Mark"),
    _act("pin", "p", "Pin", "Keep the run at the top of the table, or let it go.", "pin", group="Mark"),
    _act("filter", "slash", "Filter", "Show only runs that fit: words, status:running, loss<0.5, lr>=1e-3.", "filter",
         6, group="List"),
    _act("filters", "F", "Saved filters", "Use, keep or delete a filter.", "saved_filters", group="List"),
    _act("sort", "o", "Sort by next column", "Goes through the columns on the screen.", "sort_next", 14, "Sort",
         group="List"),
    _act("reverse", "O", "Reverse order", "Turn the order round.", "sort_reverse", group="List"),
    _act("group", "b", "Group by", "Group by study, arm, task, seeds or any option.", "group_by", 19, "Group",
         group="List"),
    _act("fold", "B", "Fold groups", "Fold all groups, or open them all.", "fold_all", group="List"),
    _act("columns", "C", "Columns", "Choose columns, options and metrics among them.", "choose_columns", group="List"),
    _act("archived", "H", "Show archived", "Show the archived runs, or hide them.", "show_archived", group="List"),
    _act("clear", "escape", "Clear filter", "Show all runs again.", "clear_filter", group="List"),
    Action("restore", ("r", "enter"), "Restore", "Bring the selected or marked runs back.", "restore", ONLY_TRASH,
           "Trash", changes=True, footer=3),
    Action("mark_trash", ("space",), "Mark", "Mark the run, and go to the next row.", "mark", ONLY_TRASH, "Trash",
           footer=4),
    Action("purge", ("D", "delete"), "Delete for good", "Delete the selected or marked runs for good. Asks first.",
           "purge", ONLY_TRASH, "Trash", destructive=True, changes=True, footer=5),
)  # fmt: skip
