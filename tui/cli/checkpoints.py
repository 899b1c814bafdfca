"""`heats checkpoints`: a group of verbs. All but `check` only say what they would do until `--yes` is given."""

from __future__ import annotations

VERBS = {
    "check": ("tui.cli.checkpoints_check", "Show the checkpoints of runs, and all that is wrong with them."),
    "sync": ("tui.cli.checkpoints_sync", "Bring runs to the greatest step that all have a sound checkpoint of."),
    "rewind": ("tui.cli.checkpoints_rewind", "Set a run back to one of its checkpoints."),
    "prune": ("tui.cli.checkpoints_prune", "Delete the checkpoints that a run's policy doesn't keep."),
    "fix": ("tui.cli.checkpoints_fix", "Repair pointers, and move what is broken to the trash."),
    "export": ("tui.cli.checkpoints_export", "Write a checkpoint's weights and config as plain files."),
}
