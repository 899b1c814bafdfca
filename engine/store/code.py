"""The code that a run trains with, as git knows it: its commit and all that the commit lacks."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_FILE_BYTES = 1 << 20
"""An untracked file above this isn't kept with the run."""
MAX_UNTRACKED_BYTES = 10 << 20
"""All untracked files that are kept with a run, together."""
MAX_UNTRACKED_FILES = 2000
_MAX_NAMED = 100
_SECRET = (".env", ".env.*", "*.pem", "*.key", ".netrc", "id_rsa*", "id_ed25519*")
_GIT_SECONDS = 20
_DIFF = (
    "diff", "HEAD", "--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames",
    "--ignore-submodules=dirty", "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip


@dataclass(frozen=True)
class CodeState:
    """The code that trains: its commit, and a patch with all that the commit lacks, untracked files among it."""

    commit: str | None = None
    patch: bytes = b""
    repository: str | None = None
    """The work tree of the repository (of the main one, where the code lies in a linked work tree)."""
    import_root: str = "."
    """Where in the work tree imports start."""
    left_out: tuple[str, ...] = ()
    """Untracked files that the patch lacks, each with the reason."""

    def to_json(self) -> dict[str, Any]:
        """What environment.json says of it, beside the commit in run.json and the patch in code.patch."""
        return {
            "repository": self.repository,
            "import_root": self.import_root,
            "left_out": list(self.left_out[:_MAX_NAMED]),
            "left_out_count": len(self.left_out),
        }


def code_state(folder: Path | None, *, store: Path | None = None) -> CodeState:
    """The commit of the code in a folder and what isn't committed; nothing outside a git work tree.

    Untracked files count, as far as .gitignore lets them and their size allows. No file of the repository changes.

    Args:
        folder: anywhere in the work tree.
        store: a folder of runs, which is never part of the code.
    """
    if folder is None:
        return CodeState()
    found = git(folder, "rev-parse", "--show-toplevel", "--absolute-git-dir", "HEAD")
    if found is None:
        return CodeState()
    top_text, git_text, commit = os.fsdecode(found).splitlines()[:3]
    top, git_folder = Path(top_text), Path(git_text)
    untracked, left_out = _untracked(top, store)
    patch = _patch(top, git_folder, untracked) if untracked else None
    if untracked and patch is None:
        left_out += [f"{name} (git could not add it)" for name in untracked]
    if patch is None:
        patch = git(top, *_DIFF) or b""
    return CodeState(
        commit=commit,
        patch=patch,
        repository=str(_main_work_tree(top, git_folder)),
        import_root=str(_import_root(folder.resolve(), top.resolve())),
        left_out=tuple(left_out),
    )


def git(folder: Path, *words: str, environment: Mapping[str, str] | None = None, given: bytes = b"") -> bytes | None:
    """What git prints for a repository; None where there is no git, no repository, or git refuses."""
    # Inside a hook git's own variables point elsewhere; and whoever only looks must not make others wait for a lock.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), "-c", "core.quotePath=false", "-c", "core.fsmonitor=false", *words]
    try:
        done = subprocess.run(
            command, capture_output=True, check=True, timeout=_GIT_SECONDS, input=given,
            env=kept | {"GIT_OPTIONAL_LOCKS": "0"} | dict(environment or {}),
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _untracked(top: Path, store: Path | None) -> tuple[list[str], list[str]]:
    """Untracked files to keep, and those to leave out with the reason."""
    excluded = []
    if store is not None and store.resolve().is_relative_to(top.resolve()):
        relative = store.resolve().relative_to(top.resolve()).as_posix()
        # Given as an ignore rule git doesn't even walk through it: a store may hold a million files.
        excluded.append("--exclude=/" + re.sub(r"([][*?!#\\ ])", r"\\\1", relative) + "/")
    listed = git(top, "ls-files", "--others", "--exclude-standard", "-z", *excluded)
    kept: list[str] = []
    left_out: list[str] = []
    foreign: dict[str, bool] = {}
    total = 0
    for name in os.fsdecode(listed or b"").split("\0"):
        if not name or _is_foreign(top, os.path.dirname(name), foreign):
            continue
        try:
            size = os.lstat(top / name).st_size
        except OSError:
            continue
        if name.endswith("/"):
            left_out.append(f"{name} (a repository of its own)")
        elif any(fnmatch.fnmatch(os.path.basename(name), pattern) for pattern in _SECRET):
            left_out.append(f"{name} (may hold secrets)")
        elif size > MAX_FILE_BYTES:
            left_out.append(f"{name} ({size:,} bytes)")
        elif total + size > MAX_UNTRACKED_BYTES or len(kept) >= MAX_UNTRACKED_FILES:
            left_out.append(f"{name} (too much in all)")
        else:
            total += size
            kept.append(name)
    return kept, left_out


def _is_foreign(top: Path, folder: str, known: dict[str, bool]) -> bool:
    """Whether a folder lies in a store of runs or in a virtual environment, which are no code of the repository."""
    if folder not in known:
        marked = any(os.path.exists(top / folder / mark) for mark in (".store.json", "pyvenv.cfg"))
        known[folder] = marked or (folder != "" and _is_foreign(top, os.path.dirname(folder), known))
    return known[folder]


def _patch(top: Path, git_folder: Path, untracked: list[str]) -> bytes | None:
    """The diff with untracked files in it: git is shown a copy of its index to which they were added."""
    with tempfile.TemporaryDirectory(prefix="heats-index-") as folder:
        index = Path(folder) / "index"
        if (git_folder / "index").exists():
            # With its time: git reads again what changed in the second in which its index was written, and only that.
            shutil.copy2(git_folder / "index", index)
        variables = {"GIT_INDEX_FILE": str(index), "GIT_LITERAL_PATHSPECS": "1"}
        names = b"\0".join(os.fsencode(name) for name in untracked)
        words = ("add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul")
        if git(top, *words, environment=variables, given=names) is None:
            return None
        return git(top, *_DIFF, environment=variables)


def _main_work_tree(top: Path, git_folder: Path) -> Path:
    try:
        common = (git_folder / "commondir").read_text().strip()
    except OSError:  # only linked work trees have it
        return top
    main = Path(os.path.normpath(git_folder / common))
    return main.parent if main.name == ".git" else main


def _import_root(folder: Path, top: Path) -> Path:
    while folder != top and (folder / "__init__.py").exists():
        folder = folder.parent
    return folder.relative_to(top) if folder.is_relative_to(top) else Path(".")
