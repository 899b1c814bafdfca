"""Other programs in this terminal for a while: a pager for long texts, an editor for notes and copies of configs."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from engine.errors import HeatsError, MachineError
from tui.copying import Copyable

if TYPE_CHECKING:
    from tui.heats_app import HeatsApp
    from tui.screens.pane import HeatsScreen


def pager() -> list[str] | None:
    """The program that shows long texts, as words; None where there is none."""
    return _first_found(os.environ.get("PAGER"), "less", "more")


def editor() -> list[str] | None:
    """The program that people write with, as words; None where there is none."""
    return _first_found(os.environ.get("VISUAL"), os.environ.get("EDITOR"), "vi", "nano")


def _first_found(*commands: str | None) -> list[str] | None:
    for command in commands:
        with contextlib.suppress(ValueError):  # quotes that don't close
            words = shlex.split(command or "")
            if words and shutil.which(words[0]):
                return words
    return None


def run_outside(app: HeatsApp, words: Sequence[str]) -> int:
    """Lend the terminal to a program until it ends; its exit code.

    Raises:
        HeatsError: this terminal can't be lent (a browser's, say).
        MachineError: the program can't be started.
    """
    problem: OSError | None = None
    code = 0
    try:
        with app.suspend():
            try:  # nothing may be thrown from within: the app would never take its terminal back
                code = subprocess.run(list(words), check=False).returncode
            except OSError as error:
                problem = error
            except KeyboardInterrupt:
                code = 130
    except SuspendNotSupported:
        raise HeatsError("this terminal can't be lent to another program", remedy="W writes it to a file") from None
    if problem is not None:
        raise MachineError(f"`{words[0]}` can't be started ({problem.strerror})")
    return code


def open_pager(screen: HeatsScreen) -> None:
    """Show in the pager what the screen offers for reading; the text is made in a thread first."""
    item, line = screen.readable()
    words = pager()
    if item is None:
        screen.heats.tell("there is nothing here for a pager")
    elif words is None:
        screen.heats.tell("no pager was found: set PAGER, or W writes it to a file", failed=True)
    else:
        found = item
        if Path(words[0]).name == "less" and line > 1:
            words = [*words, f"+{line}g"]
        screen.ask(
            "pager", f"reads {found.label}", lambda: _kept(found),
            lambda path: _page(screen, words, path, found.label),
        )  # fmt: skip


def _kept(item: Copyable) -> Path:
    """A copy in a file of its own, which programs may take for theirs."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="heats-", suffix=f"-{item.file}", delete=False, errors="replace"
    ) as file:
        file.write(item.text())
    return Path(file.name)


def _page(screen: HeatsScreen, words: Sequence[str], path: Path, label: str) -> None:
    try:
        if screen.is_active:
            code = run_outside(screen.heats, [*words, str(path)])
            if code:
                screen.heats.tell(f"`{words[0]}` ended with code {code}", failed=True)
    except HeatsError as error:
        screen.heats.tell(str(error), failed=True)
    finally:
        path.unlink(missing_ok=True)


def edit_copy(app: HeatsApp, item: Copyable) -> Path | None:
    """Let a person edit a copy; its path where it was changed, else None, and the copy is gone.

    Raises:
        HeatsError: there is no editor, or it failed.
    """
    words = editor()
    if words is None:
        raise HeatsError("no editor was found", remedy="set VISUAL or EDITOR")
    path = _kept(item)
    before = path.read_bytes()
    try:
        code = run_outside(app, [*words, str(path)])
    except HeatsError:
        path.unlink(missing_ok=True)
        raise
    if code:
        raise MachineError(f"the editor ended with code {code}", remedy=f"the copy is in {path}")
    if path.read_bytes() == before:
        path.unlink(missing_ok=True)
        return None
    return path
