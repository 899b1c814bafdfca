"""Work trees in which reproduced runs find their code: made from a commit and a patch, removed when they are done."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from engine.errors import HeatsError, MachineError
from engine.store.code import git
from engine.store.files import read_json, write_json
from engine.store.paths import RunPaths
from engine.store.records import read_events

_MARK = ".json"


def worktrees_folder() -> Path:
    """Where work trees lie unless told otherwise: beside the index, in this user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heats" / "worktrees"


def new_worktree_path(commit: str) -> Path:
    """A free place for a work tree."""
    return worktrees_folder() / f"{commit[:12]}-{secrets.token_hex(3)}"


def make_worktree(repository: Path, commit: str, patch: bytes, folder: Path) -> None:
    """Check a commit out into a new folder and apply a patch to it.

    Raises:
        HeatsError: the folder is in use, or the patch doesn't apply; nothing is left behind then.
        MachineError: git can't make a work tree there.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HeatsError("is in use", place=str(folder), remedy="name a new folder with --worktree")
    folder.parent.mkdir(parents=True, exist_ok=True)
    no_hooks = ("-c", f"core.hooksPath={os.devnull}")
    if git(repository, *no_hooks, "worktree", "add", "--force", "--quiet", "--detach", str(folder), commit) is None:
        raise MachineError(f"git can't check out {commit[:12]} there", place=str(folder))
    if patch and git(folder, "apply", "--whitespace=nowarn", "-", given=patch) is None:
        remove_worktree(repository, folder)
        raise HeatsError(
            f"its uncommitted changes (code.patch) can't be applied to commit {commit[:12]}",
            remedy="train with the code at hand: --here",
        )


def remove_worktree(repository: Path, folder: Path) -> None:
    """Remove a work tree that `make_worktree` made, and what git remembers of it."""
    if git(repository, "worktree", "remove", "--force", "--force", str(folder)) is None:
        shutil.rmtree(folder, ignore_errors=True)
    _mark(folder).unlink(missing_ok=True)


def lend_worktree(folder: Path, repository: Path, run: RunPaths) -> None:
    """Note that a work tree may go once its run has finished.

    Raises:
        MachineError: the cache can't be written.
    """
    write_json(_mark(folder), {"schema": 1, "repository": str(repository), "run": str(run.folder)})


def clear_worktrees() -> None:
    """Remove the lent work trees whose runs have finished or are gone. A stopped run needs its own to go on."""
    for mark in sorted(worktrees_folder().glob(f"*{_MARK}")):
        content = read_json(mark) or {}
        repository, run = content.get("repository"), content.get("run")
        if isinstance(repository, str) and isinstance(run, str) and _is_over(RunPaths(Path(run))):
            remove_worktree(Path(repository), mark.with_name(mark.name.removesuffix(_MARK)))


def _mark(folder: Path) -> Path:
    return folder.with_name(folder.name + _MARK)


def _is_over(run: RunPaths) -> bool:
    if not run.folder.exists():
        return run.folder.parent.exists()  # a store that isn't mounted now says nothing
    attempts = run.attempts()
    events, _ = read_events(attempts[-1].events) if attempts else ([], 0)
    return bool(events) and events[-1].name == "finished"
