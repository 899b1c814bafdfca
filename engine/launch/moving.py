"""Pulling runs from a store on another machine, and pushing them there. A plan first; then what it says.

A run is taken as it stands: of one that is live there, what it has written by now. What is newer where it goes stays;
nothing is deleted. A run that went on in both places has two histories, and is refused.
"""

from __future__ import annotations

import fnmatch
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine.errors import HeatsError
from engine.launch.remote import Moved, Place, local, look, make_store_there, rsync
from engine.store.checkpoints import scan, verify
from engine.store.paths import RunPaths, Store
from engine.store.records import read_launch
from engine.store.summary import summarize

Direction = Literal["pull", "push"]
_HEADERS = (
    "--include=/*/", "--include=/*/run.json", "--include=/*/attempts/", "--include=/*/attempts/*/",
    "--include=/*/attempts/*/launch.json", "--exclude=*",
)  # fmt: skip
_NEVER = ("--include=/*/script/***", "--exclude=.*", "--exclude=/*/requests/*")
"""What is being written under another name, and wishes to a run's processes, which mean nothing elsewhere."""
_STUDIES = ("--exclude=/.studies/*/pending.json", "--include=/.studies/***")
"""What studies have written down; not that they are under way, which is said to the machine they are under way on."""


@dataclass(frozen=True)
class MovePlan:
    """What would be moved."""

    direction: Direction
    place: Place
    runs: tuple[str, ...]
    refused: dict[str, str]
    """Runs that are left alone, each with the reason."""
    files: tuple[Moved, ...] = ()
    whole: bool = True
    """Whether all runs were asked for: then the studies' records go with them."""

    @property
    def bytes(self) -> int:
        """How much there is to move; what is there in part counts whole."""
        return sum(item.bytes for item in self.files)


@dataclass
class Outcome:
    """What came of it: by run, how many files and bytes were moved, and what is wrong with its checkpoints."""

    files: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)


def plan(direction: Direction, store: Store, place: Place, wanted: Sequence[str] = ()) -> MovePlan:
    """Find the runs and what of them is new. Nothing is changed.

    Args:
        direction: whence and whither.
        store: the store here.
        place: the store there.
        wanted: ids, parts of them, or patterns; all runs without any.

    Raises:
        HeatsError: the store there can't be reached, or a word names no run.
        MachineError: rsync failed.
    """
    there = look(place, make=direction == "push")
    offered = there if direction == "pull" else store.run_ids()
    chosen = choose(offered, wanted, str(place) if direction == "pull" else str(store.root))
    refused = _refused(direction, store, place, [run for run in chosen if run in there])
    runs = tuple(run for run in chosen if run not in refused)
    fresh = direction == "push" and not there
    files: list[Moved] = []
    if runs and not fresh:
        files = _transfer(direction, store, place, runs, whole=not wanted, dry_run=True)
    elif runs:
        for run in runs:
            folder = store.run(run).folder
            files += [
                Moved(str(path.relative_to(store.root)), path.stat().st_size)
                for path in folder.rglob("*")
                if path.is_file()
            ]
    return MovePlan(direction, place, runs, refused, tuple(files), not wanted)


def choose(offered: Sequence[str], wanted: Sequence[str], where: str) -> list[str]:
    """The runs that words mean: an id, a part of ids, or a pattern with *.

    Raises:
        HeatsError: a word means none.
    """
    if not wanted:
        return list(offered)
    found: dict[str, None] = {}
    for word in wanted:
        pattern = word if any(mark in word for mark in "*?[") else f"*{word}*"
        fitting = [run for run in offered if fnmatch.fnmatchcase(run, pattern)]
        if not fitting:
            raise HeatsError(f"no run there fits `{word}`", place=where, remedy="name runs by id or by a part of it")
        found |= dict.fromkeys(fitting)
    return sorted(found)


def carry_out(store: Store, found: MovePlan, tell: Callable[[Moved], None] | None = None) -> Outcome:
    """Move what the plan says, then check the checkpoints that have arrived; a damaged one is fetched once more.

    Raises:
        HeatsError: the store there can't be reached.
        MachineError: rsync failed; what has arrived stays.
    """
    outcome = Outcome()
    if not found.runs:
        return outcome
    if found.direction == "push":
        make_store_there(found.place)
    moved = _transfer(found.direction, store, found.place, found.runs, whole=found.whole, tell=tell)
    for item in moved:
        run = item.path.split("/", 1)[0]
        outcome.files[run] = outcome.files.get(run, 0) + 1
        outcome.bytes[run] = outcome.bytes.get(run, 0) + item.bytes
    folders = sorted({folder for item in moved if (folder := _checkpoint_of(item.path)) is not None})
    if found.direction == "pull":
        _check_here(store, found.place, folders, outcome)
    else:
        _check_there(store, found.place, folders, outcome)
    return outcome


def _transfer(
    direction: Direction, store: Store, place: Place, runs: Iterable[str], *, whole: bool,
    dry_run: bool = False,
    tell: Callable[[Moved], None] | None = None,
) -> list[Moved]:  # fmt: skip
    here, there = local(store.root, ""), place.files("")
    source, target = (there, here) if direction == "pull" else (here, there)
    filters = [*(_STUDIES if whole else ()), *_NEVER, *(f"--include=/{run}/***" for run in runs), "--exclude=/*"]
    return rsync(source, target, filters, dry_run=dry_run, tell=tell)


def _refused(direction: Direction, store: Store, place: Place, runs: Sequence[str]) -> dict[str, str]:
    """Runs of both places that can't be brought together."""
    both = [run for run in runs if store.run(run).folder.is_dir()]
    if not both:
        return {}
    with tempfile.TemporaryDirectory(prefix="heats-headers-") as folder:
        filters = [*(f"--include=/{run}/" for run in both), *_HEADERS[1:]]
        rsync(place.files(""), f"{folder}/", filters)
        return {
            run: why
            for run in both
            if (why := why_apart(store.run(run), RunPaths(Path(folder) / run), direction)) is not None
        }


def why_apart(here: RunPaths, there: RunPaths, direction: Direction = "pull") -> str | None:
    """Why a run that stands in both places can't be brought together; None where one goes on from the other."""
    for number in sorted({*here.attempt_numbers(), *there.attempt_numbers()}):
        first, second = read_launch(here.attempt(number).launch), read_launch(there.attempt(number).launch)
        if first is None or second is None:
            continue
        if (first.host, first.created) != (second.host, second.created):
            return f"its attempt {number} was made here on {first.host} and there on {second.host}: two histories"
    target = here if direction == "pull" else None
    if target is not None:
        numbers = target.attempt_numbers()
        launch = read_launch(target.attempt(numbers[-1]).launch) if numbers else None
        summary = summarize(target)
        if (
            summary is not None
            and summary.status.is_live
            and launch is not None
            and numbers[-1] not in there.attempt_numbers()
        ):
            return "it is live here: what it writes here is newer"
    return None


def _checkpoint_of(path: str) -> str | None:
    parts = path.split("/")
    return "/".join(parts[:3]) if len(parts) > 3 and parts[1] == "checkpoints" else None


def _check_here(store: Store, place: Place, folders: Sequence[str], outcome: Outcome) -> None:
    for folder in folders:
        problems = _problems(store, folder)
        if problems:  # once more, and every byte compared
            rsync(place.files(folder, ""), local(store.root, folder, ""), ["--checksum"], update=False)
            problems = _problems(store, folder)
        _note(store, folder, problems, outcome)


def _check_there(store: Store, place: Place, folders: Sequence[str], outcome: Outcome) -> None:
    for folder in folders:
        _note(store, folder, _problems(store, folder), outcome)
        left = rsync(local(store.root, folder, ""), place.files(folder, ""), ["--checksum"])
        if left and rsync(local(store.root, folder, ""), place.files(folder, ""), ["--checksum"], dry_run=True):
            outcome.problems.setdefault(folder.split("/", 1)[0], []).append(f"{folder}: it differs there")


def _problems(store: Store, folder: str) -> tuple[str, ...]:
    run, _, name = folder.partition("/checkpoints/")
    found = next((item for item in scan(store.run(run)) if item.folder.name == name), None)
    return verify(found) if found is not None else ()


def _note(store: Store, folder: str, problems: Sequence[str], outcome: Outcome) -> None:
    if not problems:
        return
    run, _, name = folder.partition("/checkpoints/")
    summary = summarize(store.run(run))
    said = f"{name}: {problems[0]}"
    if summary is not None and not summary.status.is_final:
        outcome.remarks.setdefault(run, []).append(f"{said} (it was being written: once more brings the rest)")
    else:
        outcome.problems.setdefault(run, []).append(said)


def to_json(found: MovePlan, outcome: Outcome | None) -> dict[str, Any]:
    """The stable public form."""
    files = {run: sum(item.path.startswith(f"{run}/") for item in found.files) for run in found.runs}
    sizes = {run: sum(item.bytes for item in found.files if item.path.startswith(f"{run}/")) for run in found.runs}
    return {
        "direction": found.direction,
        "place": str(found.place),
        "done": outcome is not None,
        "runs": [
            {
                "id": run,
                "files": outcome.files.get(run, 0) if outcome is not None else files[run],
                "bytes": outcome.bytes.get(run, 0) if outcome is not None else sizes[run],
                "problems": outcome.problems.get(run, []) if outcome is not None else [],
                "remarks": outcome.remarks.get(run, []) if outcome is not None else [],
            }
            for run in found.runs
        ],
        "refused": found.refused,
    }
