"""Bringing runs to a common step: which can be, which are left out and why, and the way back. No widgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engine.errors import HeatsError
from engine.store import checkpoints as stored
from engine.store.checkpoint_moves import Move, MovePlan, apply_moves, plan_rewind, plan_sync
from engine.store.hold import refuse_if_live
from engine.store.paths import RunPaths
from tui import format
from tui.acts import Outcome
from tui.checkpoint_plans import place


@dataclass(frozen=True)
class SyncPlan:
    """The moves, and the runs that no move is planned for, each with the reason."""

    moves: MovePlan
    left_out: tuple[tuple[RunPaths, str], ...]
    common: tuple[int, ...]
    """All steps that the runs to be moved have in common, hashes not compared; ascending."""

    @property
    def step(self) -> int:
        """Where they will go on from."""
        return self.moves.moves[0].to

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return any(move.changes for move in self.moves.moves)

    def rows(self, names: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
        """The plan as a table: run, from where it would go on now, from where then, and what else there is to say.

        Args:
            names: what to call the runs, by their ids.
        """
        lines = []
        for move in self.moves.moves:
            lost = move.before - move.to
            word = f"{lost:,} steps back" if lost > 0 else f"{-lost:,} steps forward" if lost else "stays"
            lines.append((names.get(move.run.id, move.run.id), place(move.before), place(move.to), word))
        return lines + [(names.get(run.id, run.id), "-", "-", "left out") for run, _ in self.left_out]

    def why_left_out(self, names: Mapping[str, str]) -> list[str]:
        """The reasons, a sentence each, with the runs they are of."""
        by_reason: dict[str, list[str]] = {}
        for run, why in self.left_out:
            by_reason.setdefault(why.partition(" (")[0], []).append(names.get(run.id, run.id))
        return [
            f"Left out: {', '.join(who[:3])}{f' and {len(who) - 3} more' if len(who) > 3 else ''}: {why}."
            for why, who in by_reason.items()
        ]


def plan_partial_sync(
    runs: Sequence[RunPaths], to: int | None = None, advance: Callable[[int], None] | None = None
) -> SyncPlan:
    """Plan to bring those of some runs to a common step that can be; live ones and ones without checkpoints can't.

    Args:
        runs: which runs.
        to: this step and no other.
        advance: told the number of bytes hashed from time to time.

    Raises:
        HeatsError: fewer than two are left, or no step is common to those.
    """
    able, left_out, steps = [], [], []
    for run in runs:
        try:
            refuse_if_live(run)
        except HeatsError as error:
            left_out.append((run, error.message))
            continue
        own = {item.step for item in stored.scan(run) if item.usable}
        if own:
            able.append(run)
            steps.append(own)
        else:
            left_out.append((run, "it has no checkpoint that can be used"))
    if len(able) < 2:
        why = f": {left_out[0][0].id}: {left_out[0][1]}" if left_out else ""
        raise HeatsError(f"{len(able)} of {len(runs)} runs can be brought to a step, and it takes two{why}")
    return SyncPlan(plan_sync(able, to, advance), tuple(left_out), tuple(sorted(set.intersection(*steps))))


def apply_sync(plan: SyncPlan) -> Outcome:
    """Do it."""
    apply_moves(plan.moves)
    moved = sum(move.changes for move in plan.moves.moves)
    return f"{_go_on(moved)} from step {format.count(plan.step)} when resumed; u takes it back", None


def undo_sync(plan: SyncPlan) -> Outcome:
    """Set each run back to where it would have gone on from before.

    Raises:
        HeatsError: one is live by now, or its checkpoint is gone; none is moved then.
    """
    back: list[Move] = []
    for move in plan.moves.moves:
        if move.changes:
            where = move.undo.partition(" --to ")[2].split()[0]
            back += plan_rewind(move.run, where).moves
    apply_moves(MovePlan(tuple(back)))
    return f"{_go_on(len(back))} from where it was before", None


def _go_on(count: int) -> str:
    return "1 run goes on" if count == 1 else f"{count:,} runs go on"
