"""The acts of the screen of the queue and the machine."""

from __future__ import annotations

from tui.actions.action import MACHINE, Action

_HERE = frozenset({MACHINE})

ACTIONS: tuple[Action, ...] = (
    Action(
        "machine_open", ("enter",), "Open run", "Open the run under the cursor.", "open_run", _HERE, "Queue",
        footer=3, short="Open",
    ),
    Action(
        "machine_stop", ("s",), "Stop run",
        "Ask the run whose slot or process is under the cursor to save a checkpoint and end. Asks first.",
        "stop_run", _HERE, "Queue", destructive=True, changes=True, footer=4, short="Stop",
    ),
    Action(
        "queue_up", ("K",), "Earlier", "Move the waiting run one place towards the front.", "move_run(-1)", _HERE,
        "Queue", changes=True, footer=5,
    ),
    Action(
        "queue_down", ("J",), "Later", "Move the waiting run one place towards the end.", "move_run(1)", _HERE,
        "Queue", changes=True, footer=6,
    ),
    Action(
        "queue_drop", ("x",), "Take out of the queue",
        "Take the waiting run out of the queue; one that never trained goes to the trash. Asks first.",
        "drop_run", _HERE, "Queue", destructive=True, changes=True, footer=7, short="Take out",
    ),
    Action(
        "queue_pause", ("p",), "Pause the queue, or go on",
        "Start nothing more on this machine; what runs goes on. Once more, and it goes on: after a reboot too, or when "
        "too many runs failed.", "pause_queue", _HERE, "Queue", changes=True, footer=8, short="Pause",
    ),
    Action(
        "queue_advance", ("a",), "Start what may run",
        "Look now whether anything may start. Happens by itself whenever a run ends.",
        "advance_queue", _HERE, "Queue", changes=True, footer=9, short="Advance",
    ),
)  # fmt: skip
