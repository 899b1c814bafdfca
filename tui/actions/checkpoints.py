"""The acts of the screen of checkpoints."""

from __future__ import annotations

from tui.actions.action import CHECKPOINTS, Action

_HERE = frozenset({CHECKPOINTS})


def _act(
    name: str, keys: str, label: str, help: str, handler: str, footer: int = 0, short: str = "", *,
    changes: bool = False, destructive: bool = False,
) -> Action:  # fmt: skip
    return Action(
        f"checkpoints_{name}", tuple(keys.split()), label, help, handler, _HERE, "Checkpoints", destructive, changes,
        footer, short,
    )  # fmt: skip


ACTIONS: tuple[Action, ...] = (
    _act("open", "enter", "Open the run", "The screen of the run that the checkpoint is of.", "open_run"),
    _act("scope", "b", "Which runs", "The marked runs, the selected run's study, or all.", "turn_scope", 3),
    _act("mark", "space", "Mark", "Mark the run, and go to the next one.", "mark", 4),
    _act("deep", "V", "Check every byte", "Read every byte of the marked runs' checkpoints (or the selected run's) and "
         "compare its hash; V again ends it.", "deep_check(False)", 5, "Check"),
    _act("deep_all", "X", "Check all", "Read every byte of all that is shown.", "deep_check(True)"),
    _act("problems", "p", "Problems first", "Runs with something wrong on top, or the newest.", "problems_first", 6,
         "Problems"),
    _act("sync", "t", "Sync (bring together)", "Bring the marked runs, or the study of the selected one, to the "
         "greatest step that all have. The plan comes first.", "sync", 7, "Sync", changes=True),
    _act("undo", "u", "Undo sync", "Take the last sync back.", "undo_sync", changes=True),
    _act("rewind", "B", "Go back to it", "Set the run back to this checkpoint: its next resume goes on from it. Asks "
         "first.", "rewind", 8, "Rewind", changes=True),
    _act("resume", "r", "Resume from here", "Start a new attempt from this checkpoint. Asks first.", "resume_here", 9,
         "Resume", changes=True),
    _act("fix", "F", "Fix", "Repair pointers and move what is broken to the trash. The plan comes first.", "fix", 10,
         changes=True),
    _act("prune", "P", "Prune", "Delete what the policy doesn't keep, for good. The plan comes first.", "prune", 11,
         changes=True, destructive=True),
    _act("export", "E", "Export", "Write this checkpoint's weights and config to a folder.", "export"),
    _act("again", "R", "Look again", "Look at all checkpoints anew.", "look_again"),
)  # fmt: skip
