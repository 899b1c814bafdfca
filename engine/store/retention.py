"""Which checkpoints may go, and letting them go: one policy for the trainer and for people who prune."""

from __future__ import annotations

import contextlib
import os
import shutil

from engine.store.checkpoints import EMERGENCY_PREFIX, PREFIX, Checkpoint

REMOVED = ".removed-"
REPLACED = ".replaced-"
"""Before the name of a checkpoint that is being deleted, and of one whose place a new one of the same step takes."""
PHASE = "phase"
"""Why a checkpoint at the end of a phase was saved: the next phase, and other runs, build upon it."""
KEEP_EMERGENCY = 2
"""How many emergency checkpoints the trainer keeps, the newest ones: enough to look into, and never a full disk."""


def reasons_to_keep(
    checkpoints: list[Checkpoint],
    *,
    keep_last: int,
    keep_best: int,
    keep_every: int,
    best_mode: str,
    keep_emergency: int | None = KEEP_EMERGENCY,
) -> dict[str, str]:
    """Why each checkpoint that a retention policy keeps is kept, by the name of its folder.

    Only the effective history counts: a shadowed one is neither among the last nor the best, nor is a damaged one.
    Of equally good ones the earliest is best. Emergency checkpoints stand apart, with a bound of their own. One at the
    end of a phase always stays.

    Args:
        checkpoints: by ascending step, as a scan gives them.
        keep_last, keep_best, keep_every: how many of the newest, how many of the best, and multiples of which step.
        best_mode: whether less (`min`) or more (`max`) of the metric is better.
        keep_emergency: how many emergency checkpoints, the newest; None for all.
    """
    usable = [checkpoint for checkpoint in checkpoints if checkpoint.usable]
    sign = 1 if best_mode == "max" else -1
    measured = [item for item in usable if item.metric is not None and item.metric == item.metric]
    ranked = sorted(measured, key=lambda item: (-sign * (item.metric or 0.0), item.step))
    emergencies = [checkpoint for checkpoint in checkpoints if checkpoint.emergency and checkpoint.valid]
    first = 0 if keep_emergency is None else max(0, len(emergencies) - keep_emergency)
    reasons = {item.folder.name: "an emergency checkpoint" for item in emergencies[first:]}
    reasons |= {item.folder.name: "the end of a phase" for item in usable if item.reason == PHASE}
    if keep_every:
        reasons |= {item.folder.name: f"one every {keep_every}" for item in usable if item.step % keep_every == 0}
    reasons |= {item.folder.name: "among the best" for item in ranked[:keep_best]}
    # Whatever the options say, a run never loses its newest checkpoint.
    reasons |= {item.folder.name: "among the newest" for item in usable[-max(1, keep_last) :]}
    return reasons


def plan_retention(
    checkpoints: list[Checkpoint],
    *,
    keep_last: int,
    keep_best: int,
    keep_every: int,
    best_mode: str,
    protected_steps: frozenset[int] = frozenset(),
    keep_emergency: int | None = KEEP_EMERGENCY,
    shadowed: bool = False,
) -> list[Checkpoint]:
    """Which checkpoints may go, for the trainer after each save and for `heats checkpoints prune`.

    Never the newest valid one or a protected one. Damaged ones aren't retention's business (`fix` moves them away),
    and shadowed ones only if asked for: who went back may want to go forward again.

    Args:
        checkpoints: by ascending step, as a scan gives them.
        keep_last, keep_best, keep_every, best_mode, keep_emergency: as in reasons_to_keep.
        protected_steps: steps whose checkpoints stay, such as the one that the run resumed from.
        shadowed: let go of those that a resume has left behind, too.
    """
    reasons = reasons_to_keep(
        checkpoints,
        keep_last=keep_last,
        keep_best=keep_best,
        keep_every=keep_every,
        best_mode=best_mode,
        keep_emergency=keep_emergency,
    )
    leaving = []
    for item in checkpoints:
        protected = item.step in protected_steps and not item.emergency
        concerned = item.usable or (item.valid and (item.emergency or shadowed))
        if concerned and not protected and item.folder.name not in reasons:
            leaving.append(item)
    return leaving


def remove(checkpoint: Checkpoint) -> None:
    """Delete a checkpoint for good: it disappears at once, so that nobody ever sees a part of it.

    Raises:
        OSError: it can't be renamed.
    """
    aside = checkpoint.folder.with_name(f"{REMOVED}{checkpoint.folder.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        shutil.rmtree(aside)
    os.rename(checkpoint.folder, aside)
    shutil.rmtree(aside, ignore_errors=True)


def is_leftover(name: str) -> bool:
    """Whether a name in a run's checkpoint folder is that of a save or a deletion: unfinished, if nobody is at it."""
    return name.startswith((f".{PREFIX}", f".{EMERGENCY_PREFIX}", REMOVED, REPLACED))
