"""`heats checkpoints check`."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.store.checkpoint_report import CheckpointReport, RunReport, inspect
from tui import format as form
from tui.cli.chosen import AllRuns, SomeRuns, StudyName, chosen_runs, hashing
from tui.cli.options import AsJson, RunsDir, the_store
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import hint, paint, print_json, safe


def command(
    runs: SomeRuns = None,
    everything: AllRuns = False,
    study: StudyName = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte and compare its hash.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Show the checkpoints of runs, and all that is wrong with them. Exit code 1 when something is."""
    chosen = chosen_runs(the_store(runs_dir), runs, everything=everything, study=study)
    reports = []
    with hashing("hashing") as advance:
        for run in chosen:
            reports.append(inspect(run, deep=deep, advance=advance))
    if as_json:
        print_json([report.to_json() for report in reports])
    else:
        for number, report in enumerate(reports):
            _print_report(report, first=number == 0)
        _print_sum(reports, deep)
    if not all(report.is_sound for report in reports):
        raise typer.Exit(1)


def _print_report(report: RunReport, *, first: bool) -> None:
    word = "live" if report.live else ("" if report.is_sound else "something is wrong")
    print(
        ("" if first else "\n")
        + f"{paint(safe(report.run.id), 'bold')}  {paint(word, None if report.live else 'red')}".rstrip()
    )
    if report.checkpoints:
        table = [
            Column("step", right=True), Column("metric", right=True), Column("size", right=True),
            Column("age", right=True), Column("holds"), Column("kind", flexible=True),
        ]  # fmt: skip
        print(render(table, [_row(item) for item in report.checkpoints], indent="  "))
    else:
        print("  no checkpoints")
    for item in report.checkpoints:
        for problem in item.problems:
            print(paint(f"  {safe(item.checkpoint.folder.name)}: {safe(problem)}", "red"))
    for problem in report.problems:
        print(paint(f"  {safe(problem)}", "red"))


def _row(item: CheckpointReport) -> list[Cell]:
    checkpoint, inside = item.checkpoint, item.contents
    parts = (("optimizer", inside.optimizer), ("scaler", inside.scaler), ("rng", inside.random))
    holds = " ".join(word for word, there in parts if there)
    unknown = all(there is None for _, there in parts)
    kinds = ("broken", *item.kinds) if item.problems else item.kinds
    return [
        Cell(form.count(checkpoint.step)),
        Cell(form.number(checkpoint.metric)),
        Cell(form.size(checkpoint.bytes)),
        Cell(form.ago(checkpoint.created or None)),
        Cell("?" if unknown else holds or "-"),
        Cell(safe(", ".join(kinds)), "red" if item.problems else None),
    ]


def _print_sum(reports: list[RunReport], deep: bool) -> None:
    items = [item for report in reports for item in report.checkpoints]
    wrong = sum(not report.is_sound for report in reports)
    runs = f"{len(reports)} run{'s' if len(reports) != 1 else ''}"
    total = form.size(sum(item.checkpoint.bytes for item in items))
    verdict = f"{wrong} with something wrong" if wrong else "nothing wrong" + ("" if deep else " (hashes not compared)")
    print(paint(f"\n{runs}, {len(items)} checkpoints, {total}: {verdict}", "dim"))
    if wrong:
        hint("`heats checkpoints fix RUN` says what can be put right")
    elif not deep and items:
        hint("--deep compares every byte's hash")
