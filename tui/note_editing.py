"""A run's note in the editor, with the terminal lent to it meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import HeatsError
from engine.store.notes import edit_notes
from engine.store.paths import RunPaths
from engine.store.records import Notes, read_notes
from tui.copying import fixed
from tui.outside import edit_copy

if TYPE_CHECKING:
    from tui.heats_app import HeatsApp


def edit_note_outside(app: HeatsApp, run: RunPaths) -> str:
    """Let a person write the note, without a lock for as long as that takes; what to tell.

    Raises:
        HeatsError: there is no editor, it failed, or somebody else changed the note meanwhile.
    """
    before = read_notes(run.notes).note
    path = edit_copy(app, fixed("o", "the note", before, "note.txt"))
    if path is None:
        return "the note is as it was"
    after = path.read_text(encoding="utf-8", errors="replace").strip()

    def change(notes: Notes) -> Notes:
        if notes.note not in (before, after):
            raise HeatsError("somebody else changed the note meanwhile", place=run.id, remedy=f"your text is in {path}")
        return replace(notes, note=after)

    edit_notes(run, change)
    path.unlink(missing_ok=True)
    return "the note is written" if after else "the note is gone"
