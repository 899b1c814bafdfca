"""`heats checkpoints rewind`, and how moves of resume points are shown."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.store.checkpoint_moves import Move, MovePlan, apply_moves, plan_rewind
from tui import format as form
from tui.cli.chosen import say_dry
from tui.cli.options import AsJson, RunName, RunsDir, Yes, the_run
from tui.cli.terminal import print_json, safe


def command(
    run: RunName,
    to: Annotated[
        str, typer.Option("--to", metavar="STEP", help="A checkpoint's step, `latest`, or 0 for the run's start.")
    ],
    yes: Yes = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Set a run back to one of its checkpoints: its next resume goes on from there. Nothing is deleted."""
    plan = plan_rewind(the_run(run, runs_dir), to)
    act_on(plan, yes=yes, as_json=as_json)


def act_on(plan: MovePlan, *, yes: bool, as_json: bool) -> None:
    """Move resume points if told to, and say what is, or would be, done and how to take it back."""
    if yes:
        apply_moves(plan)
    if as_json:
        print_json(plan.to_json() | {"done": yes})
        return
    for text in plan.passed_over:
        print(f"passed over {safe(text)}")
    for move in plan.moves:
        print(_line(move, yes))
    if yes:
        undone = [move.undo for move in plan.moves if move.changes]
        for undo in undone:
            print(f"undo: {safe(undo)}")
    else:
        say_dry(any(move.changes for move in plan.moves))


def _line(move: Move, yes: bool) -> str:
    if not move.changes:
        return f"{safe(move.run.id)}: goes on from {_place(move.to)} already"
    word = "goes" if yes else "would go"
    return f"{safe(move.run.id)}: {word} on from {_place(move.to)} instead of {_place(move.before)}"


def _place(step: int) -> str:
    return f"step {form.count(step)}" if step else "the start"
