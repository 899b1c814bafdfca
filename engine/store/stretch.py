"""A stretch of a run that can be trained again: from a checkpoint, or the very start, to a later checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from engine.config.sections import TaskConfig
from engine.errors import HeatsError
from engine.store.checkpoints import Checkpoint, scan, verify
from engine.store.paths import RunPaths
from engine.store.records import LaunchRecord, read_events, read_launch, read_run
from engine.store.stored_config import training_config

_ROLLBACKS = ("rolled_back", "rollback")


@dataclass(frozen=True)
class Stretch:
    """What to train again, and what must come out. `start` is None at the run's very start."""

    run: RunPaths
    task: str
    config: TaskConfig
    start: Checkpoint | None
    end: Checkpoint
    launch: LaunchRecord | None
    """How the attempt that took the stretch's last step was launched."""

    @property
    def first_step(self) -> int:
        return self.start.step if self.start else 0

    @property
    def last_step(self) -> int:
        return self.end.step


def plan_stretch(run: RunPaths, first_step: int | None = None, last_step: int | None = None) -> Stretch:
    """Choose a stretch of a run and check that it can be repeated. Nothing is written.

    Args:
        run: which run; it may be running.
        first_step: where to begin: a checkpoint's step, or 0 for the start. Else the checkpoint before the last one
            of the stretch, or the start where there is none.
        last_step: the checkpoint to arrive at; else the newest.

    Raises:
        HeatsError: there is no such checkpoint, one is damaged, or something happened in between that retraining
            can't repeat: an option was overridden, or the guard rolled back.
    """
    record = read_run(run.record)
    if record is None:
        raise HeatsError("its run.json is missing or damaged", place=run.id, remedy="see `heats show`")
    usable = [item for item in scan(run) if item.usable]
    if not usable:
        raise HeatsError("it has no checkpoint that can be used yet", place=run.id)
    end = usable[-1] if last_step is None else _at(run, usable, last_step, "--to")
    if first_step is None:
        start = next((item for item in reversed(usable) if item.step < end.step), None)
    else:
        start = None if first_step == 0 else _at(run, usable, first_step, "--from")
    begin = start.step if start else 0
    if begin >= end.step:
        raise HeatsError(
            f"there is nothing between step {begin:,} and step {end.step:,}",
            place=run.id, remedy="give a --from that is below --to",
        )  # fmt: skip
    for checkpoint in (start, end):
        problems = verify(checkpoint) if checkpoint else ()
        if checkpoint and problems:
            raise HeatsError(f"the checkpoint of step {checkpoint.step} can't be used: {problems[0]}", place=run.id)
    parts = _parts_between(run, begin, end.step)
    _refuse_overrides(run, parts[1:])
    _refuse_rollbacks(run, parts, begin, end.step)
    last = parts[-1].launch if parts else None
    config = training_config(run, up_to_attempt=last.attempt if last else None)
    return Stretch(run, record.task, config, start, end, last)


def _at(run: RunPaths, usable: list[Checkpoint], step: int, option: str) -> Checkpoint:
    for checkpoint in usable:
        if checkpoint.step == step:
            return checkpoint
    there = ", ".join(str(item.step) for item in usable)
    raise HeatsError(f"no usable checkpoint of step {step} is there ({option})", place=run.id, remedy=f"there: {there}")


@dataclass(frozen=True)
class _Part:
    """The steps that one attempt took: past `start`, and up to `until` where a later attempt took over."""

    launch: LaunchRecord
    start: int
    until: int | None


def _parts_between(run: RunPaths, begin: int, end: int) -> list[_Part]:
    """The attempts that took the steps between two steps, in order; shadowed ones took none."""
    launches = [launch for launch in (read_launch(attempt.launch) for attempt in run.attempts()) if launch]
    parts: list[_Part] = []
    until: int | None = None
    for launch in reversed(launches):
        start = launch.resumed_from_step or 0
        if until is None or start < until:
            if start < end and (until is None or until > begin):
                parts.append(_Part(launch, start, until))
            until = start
    return parts[::-1]


def _refuse_overrides(run: RunPaths, later: list[_Part]) -> None:
    for part in later:
        if part.launch.overrides:
            key = next(iter(part.launch.overrides))
            raise HeatsError(
                f"`{key}` was changed at step {part.start:,}, within the stretch",
                place=run.id, remedy=f"end it there with --to {part.start}, or begin there with --from {part.start}",
            )  # fmt: skip


def _refuse_rollbacks(run: RunPaths, parts: list[_Part], begin: int, end: int) -> None:
    """A rollback to a step leaves out batches past it, of which the checkpoint of that step knows nothing."""
    for part in parts:
        events, _ = read_events(run.attempt(part.launch.attempt).events)
        last = end if part.until is None else min(end, part.until)
        for event in events:
            if event.name in _ROLLBACKS and event.step is not None and begin <= event.step < last:
                raise HeatsError(
                    f"the guard rolled back to step {event.step:,}, within the stretch, and left out batches, which"
                    " can't be trained again", place=run.id,
                    remedy=f"end it there with --to {event.step}, or begin at a later checkpoint",
                )  # fmt: skip
