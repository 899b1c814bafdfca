"""Every file name of a store, a run and an attempt, as a property of one class each."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import HeatsError, MachineError
from engine.store.files import read_json, write_json

SCHEMA = 1
_RUN_ID = re.compile(r"^\d{8}-\d{6}_[\w.-]+_[0-9a-z]{4}$")
_ATTEMPT = re.compile(r"[0-9]{3}|[1-9][0-9]{3,8}")
_STORE_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)
_DEFAULT_STORE = "runs"
RUN_FILE, NOTES_FILE, LAUNCH_FILE, EVENTS_FILE, METRICS_FILE, EXIT_FILE = (
    "run.json", "notes.json", "launch.json", "events.jsonl", "metrics.jsonl", "exit.json",
)  # fmt: skip
"""What summaries read, by name: for ten thousand runs the making of `Path`s would take as long as the reading."""
EMPTY_STORE = "empty"
"""The id of a folder that may become a store: nothing is there to be found or indexed."""


@dataclass(frozen=True)
class AttemptPaths:
    """One launch of a run. One writer a file: the launcher and then the supervisor write launch.json;
    the trainer events.jsonl and metrics.jsonl; the supervisor all others."""

    folder: Path

    @property
    def number(self) -> int:
        return int(self.folder.name)

    @property
    def launch(self) -> Path:
        return self.folder / LAUNCH_FILE

    @property
    def events(self) -> Path:
        return self.folder / EVENTS_FILE

    @property
    def metrics(self) -> Path:
        return self.folder / METRICS_FILE

    @property
    def system(self) -> Path:
        return self.folder / "system.jsonl"

    @property
    def output(self) -> Path:
        return self.folder / "output.log"

    def rank_output(self, rank: int) -> Path:
        """What another process of the run than its first has printed (that one's is in output.log)."""
        return self.folder / f"output-rank-{rank}.log"

    def rank_word(self, rank: int) -> Path:
        """Why a process of a run of several ended before its time; there only where one did."""
        return self.folder / f"rank-{rank}.json"

    @property
    def exit(self) -> Path:
        return self.folder / EXIT_FILE

    @property
    def reserve(self) -> Path:
        """Room kept free for the last words on a full disk; gone once the attempt has ended."""
        return self.folder / ".reserve"

    @property
    def notify_log(self) -> Path:
        """Notifications that failed, with what their commands wrote; there only once one has."""
        return self.folder / "notify.log"

    @property
    def beat(self) -> Path:
        return self.folder / "beat.json"

    @property
    def track(self) -> Path:
        """What a script of the user's own says of itself through `engine.track`, which alone writes it."""
        return self.folder / "track.jsonl"

    @property
    def sources(self) -> Path:
        """Where the figures of a script of the user's own come from; written by the collector beside it."""
        return self.folder / "sources.json"

    @property
    def code_patch(self) -> Path:
        """Written by the launcher of a later attempt, where it differs from the run's (empty: all is committed)."""
        return self.folder / "code.patch"

    @property
    def environment(self) -> Path:
        """Written by the launcher of a later attempt, where it differs from the run's."""
        return self.folder / "environment.json"


@dataclass(frozen=True)
class RunPaths:
    """One run's folder."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def record(self) -> Path:
        return self.folder / RUN_FILE

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def code_patch(self) -> Path:
        return self.folder / "code.patch"

    @property
    def environment(self) -> Path:
        return self.folder / "environment.json"

    @property
    def notes(self) -> Path:
        return self.folder / NOTES_FILE

    @property
    def imported(self) -> Path:
        """Where an imported run came from; no other run has it."""
        return self.folder / "imported.json"

    @property
    def resume(self) -> Path:
        return self.folder / "resume.json"

    @property
    def requests(self) -> Path:
        return self.folder / "requests"

    @property
    def attempts_folder(self) -> Path:
        return self.folder / "attempts"

    @property
    def tensorboard(self) -> Path:
        return self.folder / "tb"

    @property
    def pictures(self) -> Path:
        """PNG files in folders: `data` of the trainer, others of tools; there only where something was drawn."""
        return self.folder / "pictures"

    @property
    def model(self) -> Path:
        """What a task says of its model in the formats of other libraries: shape, tokenizer, no weights."""
        return self.folder / "model"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def script(self) -> Path:
        """Where a script of the user's own may put its files; only runs of such scripts have it."""
        return self.folder / "script"

    def attempt(self, number: int) -> AttemptPaths:
        return AttemptPaths(self.attempts_folder / f"{number:03d}")

    def attempts(self) -> list[AttemptPaths]:
        """All attempts, oldest first."""
        return [self.attempt(number) for number in self.attempt_numbers()]

    def attempt_numbers(self) -> list[int]:
        """The numbers of all attempts, in order."""
        try:
            names = os.listdir(f"{self.folder}/attempts")
        except OSError:
            return []
        return sorted(int(name) for name in names if _ATTEMPT.fullmatch(name))


@dataclass(frozen=True)
class Store:
    """A folder of runs."""

    root: Path
    id: str

    @property
    def trash(self) -> Path:
        return self.root / ".trash"

    def run(self, run_id: str) -> RunPaths:
        return RunPaths(self.root / run_id)

    def run_ids(self) -> list[str]:
        """The ids of all runs, oldest first, from the folder's names alone."""
        return sorted(self._names())

    def _names(self) -> Iterator[str]:
        try:
            with os.scandir(self.root) as entries:
                yield from (entry.name for entry in entries if _RUN_ID.match(entry.name))
        except OSError as error:
            raise MachineError(f"can't be read ({error.strerror})", place=str(self.root)) from error


def is_run_id(name: str) -> bool:
    """Whether a folder's name can be a run's id."""
    return _RUN_ID.match(name) is not None


def default_root(given: Path | None = None) -> Path:
    """The store's folder: the one given, else HEATS_RUNS_DIR, else `runs` in the working folder."""
    return given or Path(os.environ.get("HEATS_RUNS_DIR") or _DEFAULT_STORE)


def open_store(root: Path) -> Store:
    """Open a store for reading.

    Raises:
        HeatsError: the folder is missing or is no store.
    """
    root = root.absolute()
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "there is no such folder"
        raise HeatsError(what, place=str(root), remedy="name a store with --runs-dir, or launch a run to make one")
    record = read_json(root / ".store.json")
    found = record.get("id") if record is not None else None
    if isinstance(found, str) and _STORE_ID.fullmatch(found):  # it becomes part of file names elsewhere
        return Store(root, found)
    if (root / ".store.json").exists():
        raise HeatsError(
            "its .store.json is damaged", place=str(root), remedy='restore it, as {"schema": 1, "id": "..."}'
        )
    if _may_become_store(root):
        return Store(root, EMPTY_STORE)
    raise HeatsError(
        "is no store of runs (it has no .store.json)", place=str(root), remedy="name the right folder with --runs-dir"
    )


def create_store(root: Path) -> Store:
    """Open a store for launching, making it where the folder is new or empty.

    Raises:
        HeatsError: the folder holds other things.
        MachineError: it can't be written.
    """
    root = root.absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise HeatsError("is not a folder", place=str(root), remedy="name a folder with --runs-dir") from None
    except OSError as error:
        raise MachineError(f"can't be made ({error.strerror})", place=str(root)) from error
    store = open_store(root)
    if store.id != EMPTY_STORE:
        return store
    made = Store(root, os.urandom(6).hex())
    write_json(root / ".store.json", {"schema": SCHEMA, "id": made.id})
    return made


def _may_become_store(root: Path) -> bool:
    """A folder that holds nothing, or only notes on what it is for."""
    try:
        return all(name.startswith(".") or name == "README.md" for name in os.listdir(root))
    except OSError as error:
        raise MachineError(f"can't be read ({error.strerror})", place=str(root)) from error


def program(module: str) -> list[str]:
    """The command line that runs one of our modules with this interpreter.

    `-P` keeps the working folder out of the places that modules are imported from: a folder with an `engine/` of its
    own must not decide which code trains.
    """
    return [sys.executable, "-P", "-m", module]
