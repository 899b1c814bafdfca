"""`heats checkpoints rewind` and `sync`: moving the point from which runs go on. Nothing in a checkpoint is touched.

Plans are made without changing anything, so that a dry run and the act are the same code.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import HeatsError, MachineError
from engine.store import checkpoints as stored
from engine.store.checkpoint_report import resumes_from
from engine.store.checkpoints import Checkpoint
from engine.store.files import write_json
from engine.store.hold import hold, refuse_if_live
from engine.store.paths import RunPaths

_SHOWN = 8


@dataclass(frozen=True)
class Move:
    """One run's resume point. Steps are those of checkpoints; 0 stands for the start of the run."""

    run: RunPaths
    before: int
    """From where a resume would go on now."""
    to: int
    """From where it will."""
    limit: int | None
    """The `resume_from` to write; None where the newest checkpoint is meant, which needs none."""
    undo: str
    """The command that takes the move back."""

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.before != self.to

    def to_json(self) -> dict[str, Any]:
        """The stable public form."""
        return {
            "run": self.run.id, "before": self.before, "to": self.to, "changes": self.changes, "undo": self.undo,
        }  # fmt: skip


@dataclass(frozen=True)
class MovePlan:
    """Where each run will go on from, and newer common steps that could not be used, each with its reason."""

    moves: tuple[Move, ...]
    passed_over: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The stable public form."""
        return {"moves": [move.to_json() for move in self.moves], "passed_over": list(self.passed_over)}


def plan_rewind(run: RunPaths, to: str) -> MovePlan:
    """Plan to set a run back (or forward again) to one of its checkpoints.

    Args:
        run: which run.
        to: the step of a checkpoint, `latest`, or 0 for the run's start.

    Raises:
        HeatsError: it is live; or the checkpoint isn't there, is damaged, or isn't in the run's effective history.
    """
    refuse_if_live(run)
    found = stored.scan(run)
    if to == "latest":
        newest = next((item.step for item in reversed(found) if item.usable), 0)
        return MovePlan((_move(run, found, newest),))
    if not (to.isascii() and to.isdigit()):
        raise HeatsError(f"`{to}` is no checkpoint", place=run.id, remedy="give a step, latest, or 0 for the start")
    step = int(to)
    if step == 0:
        return MovePlan((_move(run, found, 0),))
    problem = _problem_at(found, step)
    if problem is not None:
        raise HeatsError(problem, place=run.id, remedy=_what_is_there(found))
    return MovePlan((_move(run, found, step),))


def plan_sync(
    runs: Sequence[RunPaths], to: int | None = None, advance: Callable[[int], None] | None = None
) -> MovePlan:
    """Plan to bring runs to one step: the greatest at which every one of them has a checkpoint whose hashes are right.

    Args:
        runs: which runs.
        to: this step and no other.
        advance: told the number of bytes hashed from time to time, for a progress bar.

    Raises:
        HeatsError: a run is live, or there is no such step; what each run has is said then.
    """
    if len(runs) < 2:
        raise HeatsError("one run has nobody to be brought together with", remedy="name several, or use rewind")
    for run in runs:
        refuse_if_live(run)
    found = {run: stored.scan(run) for run in runs}
    steps = {run: {item.step for item in items if item.usable} for run, items in found.items()}
    common = set.intersection(*steps.values())
    if to is not None:
        lacking = [run for run in runs if to not in steps[run]]
        if lacking:
            raise HeatsError(
                f"step {to} has no usable checkpoint in {len(lacking)} of {len(runs)} runs",
                remedy=_lacks(lacking, found),
            )
        common = {to}
    passed_over: list[str] = []
    for step in sorted(common, reverse=True):
        damaged = _damaged_at(step, found, advance)
        if damaged is None:
            return MovePlan(tuple(_move(run, found[run], step) for run in runs), tuple(passed_over))
        passed_over.append(f"step {step}: {damaged}")
    if passed_over:
        raise HeatsError(f"no common step is sound in all {len(runs)} runs", remedy="; ".join(passed_over[:_SHOWN]))
    near = _nearest(steps)
    raise HeatsError(f"no step is common to all {len(runs)} runs", remedy=near + _lacks(list(runs), found))


def apply_moves(plan: MovePlan) -> None:
    """Move the resume points, of all runs or of none. No run can be started meanwhile.

    Raises:
        HeatsError: a run has come to life, or a checkpoint has gone since the plan was made.
        MachineError: a folder can't be written; what was moved by then is moved back.
    """
    moves = [move for move in plan.moves if move.changes]
    with contextlib.ExitStack() as held:
        for move in moves:
            held.enter_context(hold(move.run))
        for move in moves:
            problem = _problem_at(stored.scan(move.run), move.to) if move.to else None
            if problem is not None:
                raise HeatsError(problem, place=move.run.id, remedy="look again: heats checkpoints check")
        done: list[tuple[RunPaths, dict[str, Any]]] = []
        for move in moves:
            before = stored.read_pointers(move.run)
            try:
                write_json(move.run.resume, _pointers(move, before))
            except MachineError:
                for run, pointers in done:
                    with contextlib.suppress(MachineError):
                        write_json(run.resume, pointers)
                raise
            done.append((move.run, before))


def _pointers(move: Move, before: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {key: value for key, value in before.items() if key in ("latest", "best")}
    if move.limit is None:
        return {"schema": 1, **kept}
    attempts = move.run.attempts()
    newest = attempts[-1].number if attempts else 0
    return {"schema": 1, **kept, "resume_from": move.limit, "after_attempt": newest}


def _move(run: RunPaths, found: list[Checkpoint], step: int) -> Move:
    newest = next((item.step for item in reversed(found) if item.usable), 0)
    point = resumes_from(run, found)
    before = point.step if point is not None else 0
    back = "latest" if before == newest else str(before)
    limit = None if step == newest else step
    return Move(run, before, step, limit, f"heats checkpoints rewind {run.id} --to {back} --yes")


def _problem_at(found: list[Checkpoint], step: int) -> str | None:
    """Why a run can't be set to a step; None if it can."""
    item = next((item for item in found if item.step == step and not item.emergency), None)
    if item is None:
        return f"no checkpoint of step {step} is there"
    if item.shadowed:
        return (
            f"the checkpoint of step {step} was left behind by a resume; only `heats resume --from {step}` can use it"
        )
    problems = stored.verify(item)
    return f"the checkpoint of step {step} can't be used: {problems[0]}" if problems else None


def _damaged_at(
    step: int, found: dict[RunPaths, list[Checkpoint]], advance: Callable[[int], None] | None
) -> str | None:
    for run, items in found.items():
        for item in items:
            if item.step == step and item.usable:
                problems = stored.verify(item, advance)
                if problems:
                    return f"{run.id}: {problems[0]}"
    return None


def _what_is_there(found: list[Checkpoint]) -> str:
    steps = [item.step for item in found if item.usable]
    return f"there are steps {_steps(steps)}" if steps else "it has no checkpoint that can be used"


def _lacks(runs: list[RunPaths], found: dict[RunPaths, list[Checkpoint]]) -> str:
    said = []
    for run in runs[:_SHOWN]:
        steps = [item.step for item in found[run] if item.usable]
        said.append(f"{run.id} has {_steps(steps) if steps else 'none'}")
    more = f", and {len(runs) - _SHOWN} more runs" if len(runs) > _SHOWN else ""
    return ", ".join(said) + more


def _steps(steps: list[int]) -> str:
    shown = " ".join(str(step) for step in steps[-_SHOWN:])
    return f"... {shown}" if len(steps) > _SHOWN else shown


def _nearest(steps: dict[RunPaths, set[int]]) -> str:
    """The step that the most runs have, where more than two runs are to agree."""
    everything = set().union(*steps.values())
    if len(steps) < 3 or not everything:
        return ""
    counts = {step: sum(step in own for own in steps.values()) for step in everything}
    step = max(counts, key=lambda step: (counts[step], step))
    return f"{counts[step]} of {len(steps)} have step {step}: " if counts[step] > 1 else ""
