"""`heats list`."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from engine.store.index import list_runs
from engine.store.status import State
from engine.store.summary import RunSummary
from tui import format as form
from tui.cli.options import AsJson, RunsDir, the_store
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import glyphs, paint, print_json, safe

Order = Literal["date", "step", "loss", "status", "name"]
_DEFAULT_LIMIT = 20


def command(
    sort: Annotated[
        Order, typer.Option("--sort", help="What comes first: newest, furthest, lowest loss, live.")
    ] = "date",
    limit: Annotated[
        int | None, typer.Option("--limit", min=0, metavar="N", help="At most so many; 0 for all. 20, with --json all.")
    ] = None,
    rescan: Annotated[bool, typer.Option("--rescan", help="Forget the index and read every run anew.")] = False,
    archived: Annotated[bool, typer.Option("--all", help="Archived runs too.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """List the runs of the store, newest first."""
    store = the_store(runs_dir)
    everything = list_runs(store, rescan=rescan)
    found = sort_runs([run for run in everything if archived or not run.archived], sort)
    if limit is None:
        limit = 0 if as_json else _DEFAULT_LIMIT
    shown = found[:limit] if limit else found
    if as_json:
        print_json([run.to_json() for run in shown])
        return
    if shown:
        print(_table(shown))
    notes = []
    if len(found) > len(shown):
        notes.append(f"{len(found) - len(shown)} more: --limit 0 shows all {len(found)}")
    if len(everything) > len(found):
        notes.append(f"{len(everything) - len(found)} archived: --all shows them")
    if not everything:
        notes.append(f"no runs yet in {safe(str(store.root))}: `heats launch TASK` makes one")
    for note in notes:
        print(paint(note, "dim"))


def sort_runs(runs: Sequence[RunSummary], order: Order) -> list[RunSummary]:
    """The runs in an order; within it newest first."""
    newest = sorted(runs, key=lambda run: (run.id[:15], run.created, run.id), reverse=True)
    if order == "step":
        return sorted(newest, key=lambda run: -run.step)
    if order == "loss":
        return sorted(newest, key=_loss)
    if order == "status":
        states = list(State)
        return sorted(newest, key=lambda run: states.index(run.status))
    if order == "name":
        return sorted(newest, key=lambda run: run.name.lower())
    return newest


def _loss(run: RunSummary) -> float:
    return run.loss if run.loss is not None and not math.isnan(run.loss) else math.inf


def _table(runs: Sequence[RunSummary]) -> str:
    now = time.time()
    # Names that only repeat the id's slug would take the room of the id.
    named = any(run.name not in run.id for run in runs)
    lasting = any(run.left is not None for run in runs)
    columns = [Column("status"), Column("run", flexible=True, head=8)]
    columns += [Column("name", flexible=True)] if named else []
    columns += [Column("step", right=True), Column("loss", right=True)]
    columns += [Column("left", right=True)] if lasting else []
    columns += [Column("age", right=True)]
    rows = []
    for run in runs:
        row = [
            Cell(form.state_label(run.status, ascii_only=not glyphs()), form.STATE_COLORS[run.status]),
            Cell(safe(run.id)),
        ]
        row += [Cell(safe(run.name) if run.name not in run.id else "")] if named else []
        row += [Cell(form.progress(run.step, run.total_steps)), Cell(form.number(run.loss))]
        row += [Cell(form.duration(run.left))] if lasting else []
        row += [Cell(form.ago(run.created or None, now))]
        rows.append(row)
    return render(columns, rows)
