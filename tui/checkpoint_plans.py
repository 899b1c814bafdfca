"""What would happen to checkpoints, in sentences: the text of the questions that come first. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from engine.store.checkpoint_fix import FixPlan, trash_folder
from engine.store.checkpoint_moves import MovePlan
from engine.store.checkpoint_prune import PrunePlan
from tui import format
from tui.cli.terminal import safe


def place(step: int) -> str:
    """A step to go on from, in words."""
    return f"step {format.count(step)}" if step else "the start"


def moves_text(plan: MovePlan, names: Sequence[str] = ()) -> tuple[str, ...]:
    """What a rewind or a sync would do.

    Args:
        plan: the moves.
        names: what to call the runs, in the plan's order; their ids where left out.
    """
    lines = [f"Passed over {safe(text)}" for text in plan.passed_over]
    for at, move in enumerate(plan.moves):
        name = safe(names[at] if at < len(names) else move.run.id)
        if move.changes:
            lines.append(f"{name} goes on from {place(move.to)} instead of {place(move.before)}")
        else:
            lines.append(f"{name} goes on from {place(move.to)} already")
    lines.append("It takes effect with the next resume. Nothing is deleted.")
    return tuple(lines)


def prune_text(plans: Sequence[PrunePlan], passed_over: Sequence[str] = ()) -> tuple[str, ...]:
    """What a pruning would delete, and what stays and why."""
    lines = []
    for plan in plans:
        if not plan.leaving and len(plans) > 1:
            continue
        if len(plans) > 1:
            lines.append(safe(plan.run.id))
        for item in plan.leaving:
            marks = ", ".join(word for on, word in ((item.emergency, "emergency"), (item.shadowed, "shadowed")) if on)
            said = f"  {marks}" if marks else ""
            lines.append(f"  goes   step {format.count(item.step):>9}  {format.size(item.bytes):>10}{said}")
        for kept in plan.kept:
            lines.append(f"  stays  step {format.count(kept.checkpoint.step):>9}  {safe(kept.why)}")
    count = sum(len(plan.leaving) for plan in plans)
    freed = format.size(sum(plan.bytes for plan in plans))
    head = f"{count} checkpoint{'s' if count != 1 else ''} would be deleted for good, {freed} freed:"
    return (head, *lines, *(safe(text) for text in passed_over))


def fix_text(plans: Sequence[FixPlan], passed_over: Sequence[str] = ()) -> tuple[str, ...]:
    """What a fix would put right."""
    lines = []
    for plan in plans:
        if not plan.changes:
            continue
        if len(plans) > 1:
            lines.append(safe(plan.run.id))
        lines += [f"  {safe(original)} comes back from {safe(name)}" for name, original in plan.to_restore]
        lines += [f"  {safe(name)} moves to the trash: {safe(why)}" for name, why in plan.to_trash]
        lines += [f"  repaired: {safe(problem)}" for problem in plan.pointers]
        if plan.to_trash:
            lines.append(f"  the trash is {safe(str(trash_folder(plan.run)))}; nothing is deleted")
            if not plan.sound_left:
                lines.append("  No checkpoint that can be used is left: a resume begins at the start.")
    return (*lines, *(safe(text) for text in passed_over))
