"""`heats note`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import HeatsError, MachineError
from engine.store.notes import edit_notes
from engine.store.paths import RunPaths
from engine.store.records import Notes, read_notes
from tui.cli.marking import mark, notes_json
from tui.cli.options import AsJson, RunName, RunsDir, the_run
from tui.cli.terminal import print_json, safe


def command(
    run: RunName,
    text: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT|-]", help="The new note; `-` reads it from stdin.")
    ] = None,
    edit: Annotated[bool, typer.Option("--edit", help="Write it in $VISUAL or $EDITOR.")] = False,
    append: Annotated[bool, typer.Option("--append", help="Add a line to the note that is there.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Write a note on a run, or print the one that is there. An empty text removes it."""
    found = the_run(run, runs_dir)
    if edit and (text or append):
        raise HeatsError("--edit takes no text", remedy="give a text or --edit")
    if edit:
        _edit(found)
    elif text:
        given = sys.stdin.read().strip() if text == ["-"] else " ".join(text)
        mark([found], lambda notes: replace(notes, note=_joined(notes, given, append)), as_json)
        return
    elif append:
        raise HeatsError("--append needs a text", place="--append")
    notes = read_notes(found.notes)
    if as_json:
        print_json([notes_json(found, notes)])
    elif notes.note:
        print("\n".join(safe(line) for line in notes.note.splitlines()))


def _joined(notes: Notes, text: str, append: bool) -> str:
    return f"{notes.note}\n{text}" if append and notes.note else text


def _edit(run: RunPaths) -> None:
    """Let a person write, without a lock for as long as that takes."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    before = read_notes(run.notes).note
    with tempfile.NamedTemporaryFile("w", prefix="heats-note-", suffix=".txt", delete=False) as file:
        file.write(before)
    path = Path(file.name)
    try:
        code = subprocess.run([*shlex.split(editor), str(path)], check=False).returncode
    except (OSError, ValueError) as error:
        path.unlink()
        raise MachineError(f"`{editor}` can't be started ({error})", remedy="set EDITOR") from error
    if code:
        raise MachineError(f"the editor ended with code {code}", remedy=f"nothing was changed; the text is in {path}")
    try:
        after = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise MachineError("the text can't be read", place=str(path)) from error

    def change(notes: Notes) -> Notes:
        if notes.note not in (before, after):
            raise HeatsError("somebody else changed the note meanwhile", place=run.id, remedy=f"your text is in {path}")
        return replace(notes, note=after)

    edit_notes(run, change)
    path.unlink()
