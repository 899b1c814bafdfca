"""`heats delete`."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.store.trash import DeletePlan, delete, plan_delete
from tui import format as form
from tui.cli.options import AsJson, RunNames, RunsDir, Yes, find_runs, the_store
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import complain, glyphs, hint, print_json, safe


def command(
    runs: RunNames,
    yes: Yes = False,
    silent: Annotated[
        bool, typer.Option("--silent", help="Also runs of other machines that are overdue with a sign of life.")
    ] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Move runs to the trash, whence `heats restore` brings them back. Without --yes, only say what would go."""
    store = the_store(runs_dir)
    plan = plan_delete(store, find_runs(store, runs), silent_too=silent)
    done = yes and not plan.refused
    if done:
        for run in delete(store, plan):
            if not as_json:
                print(f"moved to the trash: {safe(run.id)}")
    if as_json:
        print_json(to_json(plan, done))
    elif not done:
        print(_table(plan))
    for warning in plan.warnings:
        complain(f"note: {warning}")
    for sentence in plan.refused:
        complain(sentence)
    if plan.refused:
        raise typer.Exit(2)
    if not done:
        hint("nothing was deleted: --yes moves them to the trash")
    elif not as_json:
        hint("`heats restore RUN` brings a run back; its room is free after `heats purge`")


def to_json(plan: DeletePlan, done: bool) -> dict[str, object]:
    """The stable public form."""
    return {
        "deleted": done,
        "bytes": plan.bytes,
        "runs": [
            {
                "id": item.run.id,
                "status": str(item.status),
                "bytes": item.bytes,
                "files": item.files,
                "children": list(item.children),
            }
            for item in plan.leaving
        ],
        "refused": list(plan.refused),
    }


def _table(plan: DeletePlan) -> str:
    columns = [Column("status"), Column("would go", flexible=True, head=8), Column("files", right=True)]
    columns += [Column("size", right=True)]
    rows = [
        [
            Cell(form.state_label(item.status, ascii_only=not glyphs()), form.STATE_COLORS[item.status]),
            Cell(safe(item.run.id)),
            Cell(form.count(item.files)),
            Cell(form.size(item.bytes)),
        ]
        for item in plan.leaving
    ]
    total = f"{len(rows)} {'run' if len(rows) == 1 else 'runs'}, {form.size(plan.bytes)}"
    return f"{render(columns, rows)}\n{total}"
