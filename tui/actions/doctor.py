"""The acts of the doctor's screen."""

from __future__ import annotations

from tui.actions.action import DOCTOR, Action

_HERE = frozenset({DOCTOR})

ACTIONS: tuple[Action, ...] = (
    Action(
        "doctor_open", ("enter",), "Open run", "Open the run that the finding is about.", "open_run", _HERE, "Doctor",
        footer=3, short="Open",
    ),
    Action(
        "doctor_resume", ("r",), "Resume", "Go on with the run from its newest checkpoint.", "resume_run", _HERE,
        "Doctor", changes=True, footer=4,
    ),
    Action(
        "doctor_stop", ("s",), "Stop",
        "Ask the run to save a checkpoint and end, or end what it left behind. Asks first.",
        "stop_run", _HERE, "Doctor", destructive=True, changes=True, footer=5,
    ),
    Action(
        "doctor_fix", ("F",), "Fix checkpoints",
        "Put the run's checkpoint folder right: repair pointers, and move what is broken to the trash. Shows what it "
        "would do, and asks.", "fix_checkpoints", _HERE, "Doctor", destructive=True, changes=True, footer=6,
        short="Fix",
    ),
    Action(
        "doctor_queue", ("p",), "Let the queue go on", "After a pause, a reboot, or too many failures.",
        "queue_goes_on", _HERE, "Doctor", changes=True, footer=7, short="Queue on",
    ),
    Action(
        "doctor_again", ("R", "f5"), "Look again", "Look at all runs again now; happens by itself twice a minute.",
        "look_again", _HERE, "Doctor", footer=8, short="Again",
    ),
)  # fmt: skip
