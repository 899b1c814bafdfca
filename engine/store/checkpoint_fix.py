"""`heats checkpoints fix`: pointers that lead nowhere are put right, and what is broken goes to the store's trash."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import HeatsError, MachineError
from engine.store import checkpoints as stored
from engine.store.checkpoint_report import best_mode, leftovers, pointer_problems
from engine.store.checkpoints import Checkpoint
from engine.store.contents import look_inside
from engine.store.files import write_json
from engine.store.hold import hold, refuse_if_live
from engine.store.paths import RunPaths
from engine.store.retention import REPLACED


@dataclass(frozen=True)
class FixPlan:
    """What is to be done to a run's checkpoint folder. Names are of folders in it."""

    run: RunPaths
    to_trash: tuple[tuple[str, str], ...] = ()
    """Folders to be moved to the trash, each with the reason."""
    to_restore: tuple[tuple[str, str], ...] = ()
    """Folders to be renamed: checkpoints whose replacement was cut off before it stood in their place."""
    pointers: tuple[str, ...] = ()
    """What is wrong with resume.json, which is written anew then."""
    sound_left: int = 0
    """How many checkpoints that can be used the run has after that."""

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.to_trash or self.to_restore or self.pointers)

    def to_json(self) -> dict[str, Any]:
        """The stable public form."""
        return {
            "run": self.run.id,
            "to_trash": [{"name": name, "why": why} for name, why in self.to_trash],
            "to_restore": [{"name": name, "as": original} for name, original in self.to_restore],
            "pointers": list(self.pointers),
            "sound_left": self.sound_left,
        }


def plan_fix(run: RunPaths, *, deep: bool = False, advance: Callable[[int], None] | None = None) -> FixPlan:
    """Plan how to put a run's checkpoint folder right. Nothing is ever deleted.

    Args:
        run: which run.
        deep: also find checkpoints whose hashes are wrong, which reads every byte.
        advance: told the number of bytes hashed from time to time, for a progress bar.

    Raises:
        HeatsError: it is live, or the whole folder is a link.
    """
    refuse_if_live(run)
    if run.checkpoints.is_symlink():
        raise HeatsError(
            "its folder `checkpoints` is a link, which may lead out of the store", place=run.id,
            remedy="put the folder itself in the link's place",
        )  # fmt: skip
    found = stored.scan(run)
    to_trash, sound = [], []
    for item in found:
        problems = _problems(item, deep, advance)
        if problems:
            to_trash.append((item.folder.name, problems[0]))
        else:
            sound.append(item)
    to_restore = []
    for name in leftovers(run):
        original = name.removeprefix(REPLACED).partition(".")[0]
        if name.startswith(REPLACED) and not os.path.lexists(run.checkpoints / original):
            to_restore.append((name, original))
        else:
            to_trash.append((name, "left behind by a save or a deletion that was cut off"))
    return FixPlan(
        run, tuple(to_trash), tuple(to_restore), tuple(pointer_problems(run, sound)), sum(item.usable for item in sound)
    )


def apply_fix(plan: FixPlan) -> None:
    """Do what the plan says.

    Raises:
        HeatsError: the run has come to life since.
        MachineError: a folder can't be moved; what was done by then stays done.
    """
    run = plan.run
    with hold(run):
        for name, original in plan.to_restore:
            _rename(run.checkpoints / name, run.checkpoints / original)
        for name, _ in plan.to_trash:
            _rename(run.checkpoints / name, _free_name(trash_folder(run), name))
        if plan.pointers:
            write_json(run.resume, repaired_pointers(run))


def trash_folder(run: RunPaths) -> Path:
    """Where `fix` puts what is broken: `.trash/.checkpoints/<run id>/`, beside the trash of whole runs."""
    return run.folder.parent / ".trash" / ".checkpoints" / run.id


def repaired_pointers(run: RunPaths) -> dict[str, Any]:
    """resume.json as it should be: a person's wish is kept as long as it leads somewhere."""
    found = stored.scan(run)
    usable = [item for item in found if item.usable]
    mode = best_mode(run)
    best = stored.best(found, mode) if mode is not None else None
    repaired: dict[str, Any] = {
        "schema": 1,
        "latest": usable[-1].folder.name if usable else None,
        "best": best.folder.name if best is not None else None,
    }
    before = stored.read_pointers(run)
    limit = stored.resume_limit(before, stored.resume_points(run))
    if limit is not None:  # its checkpoint may be broken or gone; the wish not to go on from a later one stands
        repaired["resume_from"] = max((item.step for item in usable if item.step <= limit), default=0)
        if type(before.get("after_attempt")) is int:
            repaired["after_attempt"] = before["after_attempt"]
    return repaired


def _problems(item: Checkpoint, deep: bool, advance: Callable[[int], None] | None) -> tuple[str, ...]:
    if deep:
        return stored.verify(item, advance)
    return item.problems or look_inside(item.folder, item.step).problems


def _rename(path: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, target)
    except OSError as error:
        raise MachineError(f"can't be moved to {target} ({error.strerror})", place=str(path)) from error


def _free_name(folder: Path, name: str) -> Path:
    """A path in the trash that nothing has yet."""
    name = name.lstrip(".")
    number = 1
    while os.path.lexists(path := folder / (name if number == 1 else f"{name}.{number}")):
        number += 1
    return path
