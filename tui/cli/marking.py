"""What `tag`, `note`, `star` and `archive` share: finding all runs first, changing each, saying what stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from engine.errors import HeatsError
from engine.store.notes import edit_notes
from engine.store.paths import RunPaths
from engine.store.records import Notes
from tui.cli.terminal import complain, print_json, safe

Off = Annotated[bool, typer.Option("--off", help="Take it away again.")]


def mark(runs: Sequence[RunPaths], change: Callable[[Notes], Notes], as_json: bool) -> None:
    """Change the notes of runs and print what stands now.

    Raises:
        typer.Exit: some couldn't be changed; each was said.
    """
    marked, code = [], 0
    for run in runs:
        try:
            marked.append((run, edit_notes(run, change)))
        except HeatsError as error:
            complain(str(error))
            code = max(code, error.exit_code)
    show_notes(marked, as_json)
    if code:
        raise typer.Exit(code)


def show_notes(marked: Sequence[tuple[RunPaths, Notes]], as_json: bool) -> None:
    """Print the notes of runs."""
    if as_json:
        print_json([notes_json(run, notes) for run, notes in marked])
        return
    for run, notes in marked:
        marks = [word for word, on in (("star", notes.star), ("archived", notes.archived)) if on]
        words = [*marks, *(f"+{tag}" for tag in notes.tags), notes.note]
        print(f"{safe(run.id)}  {safe('  '.join(word for word in words if word)) or '-'}")


def notes_json(run: RunPaths, notes: Notes) -> dict[str, Any]:
    """The stable public form."""
    return {
        "id": run.id, "tags": list(notes.tags), "note": notes.note, "star": notes.star, "archived": notes.archived,
    }  # fmt: skip
