"""`heats checkpoints prune`: deleting checkpoints for good, by the run's own policy or by a stricter one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.errors import HeatsError, MachineError
from engine.store import checkpoints as stored
from engine.store.checkpoint_report import resumes_from
from engine.store.checkpoints import Checkpoint
from engine.store.hold import hold, refuse_if_live
from engine.store.paths import RunPaths
from engine.store.records import read_run
from engine.store.retention import plan_retention, reasons_to_keep, remove


@dataclass(frozen=True)
class Kept:
    """A checkpoint that stays, and why."""

    checkpoint: Checkpoint
    why: str


@dataclass(frozen=True)
class PrunePlan:
    """Which checkpoints of a run go for good, and which stay."""

    run: RunPaths
    leaving: tuple[Checkpoint, ...]
    kept: tuple[Kept, ...]

    @property
    def bytes(self) -> int:
        """How much room the deletion gives back."""
        return sum(item.bytes for item in self.leaving)

    def to_json(self) -> dict[str, Any]:
        """The stable public form."""
        return {
            "run": self.run.id,
            "bytes": self.bytes,
            "leaving": [{"step": item.step, "name": item.folder.name, "bytes": item.bytes} for item in self.leaving],
            "kept": [
                {"step": kept.checkpoint.step, "name": kept.checkpoint.folder.name, "why": kept.why}
                for kept in self.kept
            ],
        }


def plan_prune(
    run: RunPaths,
    *,
    keep_last: int | None = None,
    keep_best: int | None = None,
    keep_every: int | None = None,
    emergency: bool = False,
    started_from: dict[int, str] | None = None,
    advance: Callable[[int], None] | None = None,
) -> PrunePlan:
    """Plan which checkpoints go: those outside the policy, and those that a resume has left behind.

    Never the newest one whose hashes are right, the one from which a resume would go on, one from which an attempt
    resumed or another run started, or a damaged one (`fix` moves those to the trash, where they can be looked at).

    Args:
        run: which run.
        keep_last, keep_best, keep_every: the policy; what is None is taken from the run's own config.
        emergency: emergency checkpoints go, too; without it all of them stay.
        started_from: by step, the id of another run that started from there (see children).
        advance: told the number of bytes hashed from time to time, for a progress bar.

    Raises:
        HeatsError: it is live, or its config can't be read.
    """
    from engine.store.stored_config import training_config  # pydantic takes a while to load

    refuse_if_live(run)
    config = training_config(run)
    own = config.checkpoint
    found = stored.scan(run)
    protected = _protected(run, found, started_from or {}, advance)
    policy: dict[str, Any] = {
        "keep_last": own.keep_last if keep_last is None else keep_last,
        "keep_best": own.keep_best if keep_best is None else keep_best,
        "keep_every": own.keep_every if keep_every is None else keep_every,
        "best_mode": config.evaluation.best_mode,
        "keep_emergency": 0 if emergency else None,
    }
    leaving = plan_retention(found, **policy, protected_steps=frozenset(protected), shadowed=True)
    reasons = reasons_to_keep(found, **policy)
    kept = [Kept(item, _why(item, protected, reasons.get(item.folder.name))) for item in found if item not in leaving]
    return PrunePlan(run, tuple(leaving), tuple(kept))


def apply_prune(plan: PrunePlan) -> int:
    """Delete what the plan says, for good.

    Returns:
        How many bytes that gave back.

    Raises:
        HeatsError: the run has come to life since, or its resume point has been moved.
        MachineError: the folder can't be written; what is left is whole.
    """
    freed = 0
    with hold(plan.run):
        point = resumes_from(plan.run, stored.scan(plan.run))
        needed = {*stored.resume_points(plan.run).values(), *([point.step] if point is not None else [])}
        if any(item.step in needed and not item.emergency for item in plan.leaving):
            raise HeatsError("its resume point has been moved since the plan was made", place=plan.run.id)
        for item in plan.leaving:
            try:
                remove(item)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise MachineError(f"can't be deleted ({error.strerror})", place=str(item.folder)) from error
            freed += item.bytes
    return freed


def children(runs: list[RunPaths]) -> dict[str, dict[int, str]]:
    """By run id and step, another run that started from there, among the runs of a store.

    A run names its parent as `<run id>`, or as `<run id>@<step>`; without a step, its first attempt's resume point.
    """
    found: dict[str, dict[int, str]] = {}
    for run in runs:
        record = read_run(run.record)
        if record is None or not record.parent:
            continue
        parent, _, step = record.parent.partition("@")
        own = stored.resume_points(run)
        if step.isascii() and step.isdigit():
            found.setdefault(parent, {})[int(step)] = run.id
        elif own:
            found.setdefault(parent, {})[own[min(own)]] = run.id
    return found


def _protected(
    run: RunPaths, found: list[Checkpoint], started_from: dict[int, str], advance: Callable[[int], None] | None
) -> dict[int, str]:
    """By step, why its checkpoint stays whatever the policy says."""
    protected = {step: f"run {child} started from it" for step, child in started_from.items()}
    protected |= {step: f"attempt {number} resumed from it" for number, step in stored.resume_points(run).items()}
    # The newest by their sizes may have rotted: what counts are those that a resume could really use.
    usable = [item for item in reversed(found) if item.usable]
    sound = (item for item in usable if not stored.verify(item, advance))
    newest = next(sound, None)
    if newest is not None:
        protected[newest.step] = "the newest that is whole"
    point = resumes_from(run, found)
    if point is None:
        return protected
    protected[point.step] = "a resume goes on from it"
    while newest is not None and newest.step > point.step:
        newest = next(sound, None)
    if newest is not None and newest is not point:
        protected[newest.step] = "a resume goes on from it, the newer ones being damaged"
    return protected


def _why(item: Checkpoint, protected: dict[int, str], reason: str | None) -> str:
    if not item.valid:
        return "damaged; `heats checkpoints fix` moves it to the trash"
    if item.step in protected and not item.emergency:
        return protected[item.step]
    return reason or "kept"
