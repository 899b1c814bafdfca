"""`heats checkpoints check`: what checkpoints a run has, what each holds, and all that is wrong with them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import HeatsError
from engine.store import checkpoints as stored
from engine.store.checkpoints import Checkpoint
from engine.store.contents import Contents, look_inside
from engine.store.files import encode_number, read_json
from engine.store.hold import is_live
from engine.store.metrics import JsonLinesTail
from engine.store.paths import AttemptPaths, RunPaths
from engine.store.retention import is_leftover

_TAIL_BYTES = 1 << 16
_SECOND_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class CheckpointReport:
    """One checkpoint: what it is to its run, what it holds, and what is wrong with it."""

    checkpoint: Checkpoint
    kinds: tuple[str, ...]
    """`latest`, `best`, `resumes here`, `emergency`, `shadowed`, and the reason for which it was saved."""
    contents: Contents
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The stable public form."""
        item = self.checkpoint
        return {
            "step": item.step,
            "name": item.folder.name,
            "kinds": list(self.kinds),
            "reason": item.reason,
            "attempt": item.attempt,
            "created": item.created,
            "bytes": item.bytes,
            "metric": None if item.metric is None else encode_number(item.metric),
            "emergency": item.emergency,
            "shadowed": item.shadowed,
            "has_optimizer": self.contents.optimizer,
            "has_scaler": self.contents.scaler,
            "has_random_state": self.contents.random,
            "problems": list(self.problems),
        }


@dataclass(frozen=True)
class RunReport:
    """All checkpoints of a run, and what is wrong with them as a whole."""

    run: RunPaths
    live: bool
    checkpoints: tuple[CheckpointReport, ...]
    resumes_from: int | None
    """The step from which a resume would go on, hashes not checked; None for the start."""
    problems: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and not any(item.problems for item in self.checkpoints)

    def to_json(self) -> dict[str, Any]:
        """The stable public form."""
        return {
            "run": self.run.id,
            "live": self.live,
            "sound": self.is_sound,
            "resumes_from": self.resumes_from,
            "problems": list(self.problems),
            "checkpoints": [item.to_json() for item in self.checkpoints],
        }


def inspect(run: RunPaths, *, deep: bool = False, advance: Callable[[int], None] | None = None) -> RunReport:
    """Look at all checkpoints of a run. Reads no tensors, and takes no lock; never raises for what it finds.

    A live run saves and lets go while we look. So what seems wrong there is looked at once more a moment later, and
    only what is still wrong is said.

    Args:
        run: which run.
        deep: also read every byte and compare its hash.
        advance: told the number of bytes hashed from time to time, for a progress bar.
    """
    live = is_live(run)
    report = _look(run, live, deep, advance)
    if not live or report.is_sound:
        return report
    time.sleep(_SECOND_LOOK_SECONDS)
    again = _look(run, live, deep, None)
    first = {item.checkpoint.folder.name: item.problems for item in report.checkpoints}
    lasting = [
        replace(
            item, problems=tuple(text for text in item.problems if text in first.get(item.checkpoint.folder.name, ()))
        )
        for item in again.checkpoints
    ]
    problems = tuple(text for text in again.problems if text in report.problems)
    return replace(again, checkpoints=tuple(lasting), problems=problems)


def leftovers(run: RunPaths) -> list[str]:
    """Names of folders that a save or a deletion has left unfinished, where nobody is at it any more."""
    try:
        return sorted(name for name in os.listdir(run.checkpoints) if is_leftover(name))
    except OSError:
        return []


def pointer_problems(run: RunPaths, found: list[Checkpoint]) -> list[str]:
    """What is wrong with resume.json, whose pointers should lead to checkpoints that are there."""
    if not os.path.lexists(run.resume):
        return []
    pointers = read_json(run.resume)
    if pointers is None:
        return ["resume.json is damaged"]
    names = {item.folder.name for item in found if item.valid}
    problems = []
    for pointer in ("latest", "best"):
        name = pointers.get(pointer)
        if name is not None and name not in names:
            problems.append(f"resume.json: {pointer} points nowhere ({name!r})"[:200])
    chosen = pointers.get("resume_from")
    limit = stored.resume_limit(pointers, stored.resume_points(run))
    if chosen is not None and (type(chosen) is not int or chosen < 0):
        problems.append(f"resume.json: resume_from is no step ({chosen!r})"[:200])
    elif limit and limit not in {item.step for item in found if item.usable}:
        problems.append(f"resume.json: resume_from points nowhere (step {limit})")
    return problems


def resumes_from(run: RunPaths, found: Sequence[Checkpoint]) -> Checkpoint | None:
    """The checkpoint from which a resume would go on if its hashes are right; None for the start."""
    limit = stored.resume_limit(stored.read_pointers(run), stored.resume_points(run))
    return next((item for item in reversed(found) if item.usable and (limit is None or item.step <= limit)), None)


def newest_usable(found: Sequence[Checkpoint]) -> Checkpoint | None:
    """The checkpoint that `latest` means, whatever a rewind says."""
    return next((item for item in reversed(found) if item.usable), None)


def kinds_of(
    item: Checkpoint, latest: Checkpoint | None, point: Checkpoint | None, best: Checkpoint | None = None
) -> tuple[str, ...]:
    """What a checkpoint is, in words: its part in the run, then why it was saved.

    Args:
        item: which checkpoint.
        latest, point, best: the run's newest usable one, the one that it would resume from, and its best.
    """
    marks = (
        (item is latest, "latest"), (item is best, "best"), (item is point and item is not latest, "resumes here"),
        (item.emergency, "emergency"), (item.shadowed, "shadowed"),
    )  # fmt: skip
    kinds = tuple(word for on, word in marks if on)
    return kinds + ((item.reason,) if item.reason and item.reason not in kinds else ())


def _look(run: RunPaths, live: bool, deep: bool, advance: Callable[[int], None] | None) -> RunReport:
    found = stored.scan(run)
    ends = {attempt.number: last_logged_step(attempt) for attempt in run.attempts()}
    newest = max(ends, default=0)
    point = resumes_from(run, found)
    best = _best(run, found)
    latest = newest_usable(found)
    reports = []
    for item in found:
        # Sizes that don't fit are said already; a link or a pipe isn't looked into.
        contents = look_inside(item.folder, item.step) if item.valid else Contents()
        problems = list(stored.verify(item, advance) if deep else (*item.problems, *contents.problems))
        end = ends.get(item.attempt)
        if item.valid and item.attempt in ends and not (live and item.attempt == newest) and (end or 0) < item.step:
            problems.append(
                f"the metrics of its attempt end before it, at step {end}" if end else "no metrics lead to it"
            )
        kinds = kinds_of(item, latest, point, best)
        reports.append(CheckpointReport(item, kinds, contents, tuple(problems)))
    problems = pointer_problems(run, found)
    if not live:
        problems += [f"{name} was left behind by a save or a deletion that was cut off" for name in leftovers(run)]
    return RunReport(run, live, tuple(reports), point.step if point else None, tuple(problems))


def _best(run: RunPaths, found: list[Checkpoint]) -> Checkpoint | None:
    """The best by the metric, where the config can be read: its task may not be installed here."""
    mode = best_mode(run)
    return stored.best(found, mode) if mode is not None else None


def best_mode(run: RunPaths) -> str | None:
    """Whether less (`min`) or more (`max`) of the run's metric is better; None where its config can't be read."""
    from engine.store.stored_config import effective_config  # pydantic takes a while to load

    try:
        return effective_config(run).best_mode
    except HeatsError:
        return None


def last_logged_step(attempt: AttemptPaths) -> int | None:
    """The newest step in an attempt's metrics, from the end of the file; None without any."""
    try:
        size = os.stat(attempt.metrics).st_size
    except OSError:
        return None
    for tail in (_TAIL_BYTES, size):  # damage may hide the end
        steps: list[int] = [record["step"] for record in JsonLinesTail(attempt.metrics, max(0, size - tail)).read()]
        if steps:
            return max(steps)
    return None
