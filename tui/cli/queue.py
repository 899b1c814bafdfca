"""`heats queue`: a group of verbs around what waits to run on this machine."""

from __future__ import annotations

VERBS = {
    "list": ("tui.cli.queue_list", "List what waits, for what, and which slots are taken."),
    "pause": ("tui.cli.queue_pause", "Start nothing more; what runs goes on."),
    "resume": ("tui.cli.queue_resume", "Go on, after a pause, a reboot, or a halt for failures."),
    "advance": ("tui.cli.queue_advance", "Start whatever may run now. Happens by itself whenever a run ends."),
    "move": ("tui.cli.queue_move", "Move a waiting run to the front, the end, or before another."),
    "drop": ("tui.cli.queue_drop", "Take runs out of the queue."),
}
