"""The digits: from one place of the app to another."""

from __future__ import annotations

from tui.actions.action import CHECKPOINTS, DOCTOR, MACHINE, PLACES, RUNS, STUDIES, Action

_WHAT = {
    RUNS: ("Runs", "The table of runs."),
    STUDIES: ("Studies", "Questions as arms and seeds, and their verdicts."),
    CHECKPOINTS: ("Checkpoints", "The checkpoints of the marked runs, or of all."),
    MACHINE: ("Queue and machine", "What waits, what runs where, and how busy the machine is."),
    DOCTOR: ("Doctor", "What is wrong anywhere, and what to do about it."),
}

ACTIONS: tuple[Action, ...] = tuple(
    Action(f"go_{place}", (str(digit),), *_WHAT[place], f"go('{place}')", frozenset(PLACES), "Go to")
    for digit, place in enumerate(PLACES, 1)
)
