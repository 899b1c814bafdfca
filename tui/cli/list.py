"""`heats list`."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from engine.launch.slurm.overview import JobLine, array_of, fold
from engine.store.checkpoints import has_checkpoint
from engine.store.filter import SUMMARY, Filter, parse
from engine.store.host import host_name
from engine.store.index import Listed, by_age, config_values, list_lines, newest_runs, summaries
from engine.store.paths import Store
from engine.store.status import State
from engine.store.submission import has_submissions
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
    wanted: Annotated[str, typer.Option("--filter", metavar="TEXT", help=f"Only runs that fit. {SUMMARY}")] = "",
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """List the runs of the store, newest first."""
    store = the_store(runs_dir)
    chosen = parse(wanted)
    if limit is None:
        limit = 0 if as_json else _DEFAULT_LIMIT
    folds = not as_json and has_submissions(store)  # an array of two hundred jobs is one line, wherever it is cut
    if sort == "date" and limit and chosen.is_empty and not rescan and not folds:
        # The rest of ten thousand runs needn't be looked at to show the newest twenty.
        newest = newest_runs(store, limit, archived=archived)
        shown, more, hidden, everything = newest.runs, newest.older, newest.archived, newest.everything
        total = len(shown) + more
    else:
        lines = list_lines(store, rescan=rescan)
        visible = [run for run in lines if archived or not run.archived]
        found = sort_runs(fitting(store, visible, chosen), sort)
        first = cut_folded(found, limit) if folds else (found[:limit] if limit else found)
        shown = summaries(store, first)
        total, everything, hidden = len(found), len(lines), len(lines) - len(visible)
        more = total - len(shown)
    if as_json:
        print_json([run.to_json() for run in shown])
        return
    if shown:
        print(_table(fold(shown)))
    notes = []
    if more > 0:
        notes.append(f"{more} more: --limit 0 shows all {total}")
    if hidden:
        notes.append(f"{hidden} archived: --all shows them")
    if not everything:
        notes.append(f"no runs yet in {safe(str(store.root))}: `heats launch TASK` makes one")
    elif not shown and not chosen.is_empty:
        notes.append(f"none of {everything} runs fits {safe(wanted)}")
        notes += _unknown_names(store, visible, chosen)
    for note in notes:
        print(paint(note, "dim"))


def _unknown_names(store: Store, runs: list[Listed], chosen: Filter) -> list[str]:
    """A word on each name in a filter that no run has: it may be misspelt."""
    options = {name for config in config_values(store, runs).values() for name in config} if chosen.needs_config else ()
    metrics = {name for run in runs for name in run.metrics}
    return [
        f"no run has an option or a metric `{safe(name)}`" + (f"; did you mean `{safe(meant)}`?" if meant else "")
        for name, meant in chosen.unknown_names(options, metrics)
    ]


def fitting(store: Store, runs: list[Listed], chosen: Filter) -> list[Listed]:
    """The runs that a filter lets through.

    Raises:
        FilterError: a name in it could mean several things of a run.
    """
    if chosen.is_empty:
        return runs
    configs = config_values(store, runs) if chosen.needs_config else {}
    now = time.time()
    found = []
    for run in runs:
        config = configs.get(run.id, {})
        chosen.check_names(run, config)
        saved = chosen.needs_checkpoints and has_checkpoint(store.run(run.id))
        if chosen.matches(run, config, has_checkpoint=saved, now=now):
            found.append(run)
    return found


def sort_runs(runs: Sequence[Listed], order: Order) -> list[Listed]:
    """The runs in an order; within it newest first."""
    newest = by_age(runs)
    if order == "step":
        return sorted(newest, key=lambda run: -run.step)
    if order == "loss":
        return sorted(newest, key=_loss)
    if order == "status":
        states = [str(state) for state in State]
        return sorted(newest, key=lambda run: states.index(str(run.status)))
    if order == "name":
        return sorted(newest, key=lambda run: run.name.lower())
    return newest


def _loss(run: Listed) -> float:
    return run.loss if run.loss is not None and not math.isnan(run.loss) else math.inf


def cut_folded(runs: list[Listed], limit: int) -> list[Listed]:
    """The first runs, so many lines of them: those that wait in one array of jobs are a line together."""
    lines: set[str] = set()
    found = []
    for run in runs:
        line = (array_of(run) if isinstance(run, RunSummary) else None) or run.id
        if line not in lines and limit and len(lines) >= limit:
            continue
        lines.add(line)
        found.append(run)
    return found


def _table(folded: Sequence[JobLine]) -> str:
    now = time.time()
    runs = [line.first for line in folded]
    # Names that only repeat the id's slug would take the room of the id.
    named = any(len(line.runs) > 1 or line.first.name not in line.first.id for line in folded)
    lasting = any(run.left is not None for run in runs)
    columns = [Column("status"), Column("run", flexible=True, head=8)]
    columns += [Column("name", flexible=True)] if named else []
    columns += [Column("step", right=True), Column("loss", right=True)]
    columns += [Column("left", right=True)] if lasting else []
    columns += [Column("age", right=True)]
    elsewhere = any(run.host and run.host != host_name() for run in runs)
    columns += [Column("host")] if elsewhere else []
    rows = []
    for line, run in zip(folded, runs, strict=True):
        many = len(line.runs)
        row = [
            Cell(form.state_label(run.status, ascii_only=not glyphs()), form.STATE_COLORS[run.status]),
            Cell(safe(run.id) if many == 1 else f"{many} runs of job {safe(line.job or '')}"),
        ]
        shown_name = (run.study or run.task) if many > 1 else run.name if run.name not in run.id else ""
        row += [Cell(safe(shown_name))] if named else []
        row += [Cell(form.progress(run.step, run.total_steps)), Cell(form.number(run.loss))]
        row += [Cell(form.duration(run.left))] if lasting else []
        row += [Cell(form.ago(run.created or None, now))]
        row += [Cell(safe(run.host or ""))] if elsewhere else []
        rows.append(row)
    return render(columns, rows)
