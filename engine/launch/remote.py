"""A store on another machine, through ssh and rsync: what is there, and moving files between it and here.

`HEATS_SSH` is the ssh command where it isn't plain `ssh` (`ssh -p 2222`); everything else belongs into ~/.ssh/config.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import HeatsError, MachineError
from engine.store.paths import SCHEMA, is_run_id

_VANISHED = 24
"""rsync's exit code for files that went while it looked: a live run lets checkpoints go."""
_MARK = "heats-store:"
_CONNECT_SECONDS = 20


@dataclass(frozen=True)
class Place:
    """A store on another machine, as `HOST:FOLDER`."""

    host: str
    folder: str

    def __str__(self) -> str:
        return f"{self.host}:{self.folder}"

    def files(self, *parts: str) -> str:
        """What rsync calls a path below it; a trailing empty part ends it in a slash."""
        return f"{self.host}:{'/'.join([self.folder.rstrip('/') or '/', *parts])}"


def parse_place(text: str) -> Place:
    """`HOST:FOLDER`; without a folder its `runs` in the home folder there.

    Raises:
        HeatsError: it isn't of this form.
    """
    match = re.fullmatch(r"(?P<host>(?:[\w.-]+@)?(?:\[[0-9a-fA-F:]+\]|[\w.-]+)):(?P<folder>[^\x00-\x1f]*)", text)
    if match is None or match["host"].startswith("-"):
        raise HeatsError(f"{text!r} names no store on another machine", remedy="write it as HOST:FOLDER")
    folder = match["folder"] or "runs"
    return Place(match["host"], folder[2:] if folder.startswith("~/") else folder)  # both begin at home there


def need_programs() -> None:
    """Refuse to begin without ssh and rsync.

    Raises:
        HeatsError: which is missing.
    """
    for name in (_ssh()[0], "rsync"):
        if shutil.which(name) is None:
            raise HeatsError(f"{name} isn't installed here", remedy="install it, with apt for instance")


def look(place: Place, *, make: bool = False) -> list[str]:
    """The ids of the runs that are there.

    Args:
        place: which store.
        make: accept a folder that is missing or empty: it becomes a store.

    Raises:
        HeatsError: no such machine, no answer, no store there, or no rsync there.
    """
    folder = shlex.quote(place.folder)
    script = (
        f"if cd -- {folder} 2>/dev/null; then "
        f"if [ -f .store.json ]; then echo {_MARK}store; "
        f"elif [ -z \"$(ls -A | grep -v -e '^README.md$' -e '^[.]')\" ]; then echo {_MARK}empty; "
        f"else echo {_MARK}other; fi; "
        f"else echo {_MARK}missing; fi; "
        f"command -v rsync >/dev/null 2>&1 || echo {_MARK}no-rsync; ls -1"
    )
    lines = _ask(place, script)
    words = [line.removeprefix(_MARK) for line in lines if line.startswith(_MARK)]
    if not words:
        raise HeatsError("its answer can't be understood", place=place.host, remedy="try `ssh HOST true` by hand")
    if "no-rsync" in words:
        raise HeatsError("rsync isn't installed there", place=place.host, remedy="install it on that machine")
    if "other" in words:
        raise HeatsError(
            "is no store of runs (it has no .store.json)", place=str(place), remedy="name the right folder"
        )
    if not make and words[0] in ("missing", "empty"):
        what = "there is no such folder" if words[0] == "missing" else "is no store of runs: it is empty"
        raise HeatsError(what, place=str(place), remedy="name the store's folder, from the home folder there or from /")
    return sorted(line for line in lines if is_run_id(line)) if words[0] == "store" else []


def make_store_there(place: Place) -> None:
    """Make an empty folder there a store; one that is a store already stays as it is.

    Raises:
        HeatsError: it can't be made.
    """
    folder = shlex.quote(place.folder)
    record = shlex.quote(json.dumps({"schema": SCHEMA, "id": os.urandom(6).hex()}))
    said = _ask(
        place, f"mkdir -p -- {folder} && cd -- {folder} && ([ -f .store.json ] || echo {record} > .store.json) && "
        f"echo {_MARK}made"
    )  # fmt: skip
    if f"{_MARK}made" not in said:
        raise HeatsError("can't be made a store", place=str(place), remedy="look at its rights and its disk")


@dataclass(frozen=True)
class Moved:
    """A file that rsync moved, or would move: its path in the store."""

    path: str
    bytes: int


def rsync(
    source: str,
    target: str,
    options: Sequence[str] = (),
    *,
    dry_run: bool = False,
    update: bool = True,
    tell: Callable[[Moved], None] | None = None,
) -> list[Moved]:
    """Move files as they are: times kept, what stopped halfway taken up again, nothing newer overwritten.

    Args:
        source, target: as rsync takes them.
        options: filters and the like.
        dry_run: only say what would be moved.
        update: leave alone what is newer where it goes.
        tell: told of each file.

    Raises:
        MachineError: rsync failed; what has arrived stays, and the next try goes on from there.
    """
    command = [
        "rsync", "-a", "--partial-dir=.rsync-partial", "--no-owner", "--no-group", "--out-format=%i %l %n",
        "-e", shlex.join(_ssh()), *(["--update"] if update else []), *(["--dry-run"] if dry_run else []), *options,
        source, target,
    ]  # fmt: skip
    moved: list[Moved] = []
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    assert process.stdout is not None
    assert process.stderr is not None
    for line in process.stdout:
        parts = line.rstrip("\n").split(" ", 2)
        if len(parts) == 3 and parts[0][1:2] == "f" and parts[0][0] in "<>" and parts[1].isdigit():
            moved.append(Moved(parts[2], int(parts[1])))
            if tell is not None:
                tell(moved[-1])
    said = process.stderr.read().strip().splitlines()
    code = process.wait()
    if code not in (0, _VANISHED):
        why = next((text for text in said if text.strip()), f"exit code {code}")
        raise MachineError(f"rsync failed ({why})", place=source if ":" in source else target, remedy="try again")
    return moved


def _ask(place: Place, script: str) -> list[str]:
    """The lines that a shell there prints."""
    command = [*_ssh(), place.host, f"sh -c {shlex.quote(script)}"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise HeatsError(f"ssh can't be started ({error.strerror})") from None
    if done.returncode == 255:
        said = [line for line in done.stderr.strip().splitlines() if line.strip()]
        raise HeatsError(
            f"can't be reached ({said[-1].strip() if said else 'ssh gave no reason'})", place=place.host,
            remedy="`ssh HOST` must work without a password",
        )  # fmt: skip
    return done.stdout.splitlines()


def _ssh() -> list[str]:
    """The ssh command: never asks for a password, since nobody might be there to type it."""
    given = shlex.split(os.environ.get("HEATS_SSH", "")) or ["ssh"]
    return [*given, "-o", "BatchMode=yes", "-o", f"ConnectTimeout={_CONNECT_SECONDS}"]


def local(folder: Path, *parts: str) -> str:
    """What rsync calls a path here, even where a part of it has a colon."""
    return "/".join([str(folder.absolute()), *parts])
