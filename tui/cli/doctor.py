"""`heats doctor`."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Any

import typer

from engine.store.doctor import Finding, Severity
from engine.store.index import list_runs
from engine.store.summary import RunSummary
from tui import format as form
from tui.cli.options import AsJson, RunsDir, the_store
from tui.cli.terminal import columns, cut, glyphs, paint, print_json, safe

_COLOURS = {Severity.ACT: "red", Severity.WARN: "yellow", Severity.NOTE: "dim"}
_MARKS = {Severity.ACT: ("✘", "!"), Severity.WARN: ("▲", "^"), Severity.NOTE: ("·", "-")}
_WIDTH = 80


def command(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="One run; else all that aren't archived.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Archived runs too.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Say what is wrong with runs, and what to do about it: exit code 1 when something needs a person."""
    from engine.launch.findings import find
    from engine.store.names import find_run

    store = the_store(runs_dir)
    every = list_runs(store)
    current = [summary for summary in every if everything or not summary.archived]
    chosen = current
    if run is not None:
        wanted = find_run(store, run).id
        chosen = [summary for summary in every if summary.id == wanted]
    found = find(store, every, chosen, everything=everything, machine=run is None)
    needs_person = any(finding.severity is Severity.ACT for finding in found)
    if as_json:
        print_json({"runs": len(chosen), "needs_person": needs_person, "findings": [to_json(item) for item in found]})
    else:
        print(report(found, chosen, hidden=len(every) - len(current)))
    if needs_person:
        raise typer.Exit(1)


def to_json(finding: Finding) -> dict[str, Any]:
    """The stable public form."""
    return {
        "run": finding.run,
        "severity": str(finding.severity),
        "cause": finding.cause,
        "what": finding.what,
        "since": finding.since,
        "remedy": finding.remedy,
    }


def report(found: Sequence[Finding], runs: Sequence[RunSummary], *, hidden: int = 0) -> str:
    """The findings as text, a paragraph a run, the worst first."""
    names = {run.id: run for run in runs}
    width = min(columns() or _WIDTH, 100)
    lines: list[str] = []
    for run_id, findings in groupby(found, key=lambda finding: finding.run):
        lines += [_heading(run_id, names, width)]
        for finding in findings:
            lines += _paragraph(finding, width)
        lines.append("")
    return "\n".join([*lines, _summary(found, runs, hidden)])


def _heading(run_id: str | None, names: dict[str, RunSummary], width: int) -> str:
    if run_id is None:
        return paint("this machine", "bold")
    run = names.get(run_id)
    name = f"  {safe(run.name)}" if run is not None and run.name not in run_id else ""
    return paint(cut(safe(run_id) + name, width, head=40), "bold")


def _paragraph(finding: Finding, width: int) -> list[str]:
    mark = _MARKS[finding.severity][0 if glyphs() else 1]
    age = f", {form.ago(finding.since)} ago" if finding.since is not None and finding.since <= time.time() else ""
    text = textwrap.wrap(f"{finding.cause}: {safe(finding.what)}{age}", width - 4, break_long_words=True) or [""]
    lines = [f"  {paint(mark, _COLOURS[finding.severity])} {text[0]}", *(f"    {line}" for line in text[1:])]
    if finding.remedy:
        arrow = "→" if glyphs() else "->"
        remedy = textwrap.wrap(f"{arrow} {safe(finding.remedy)}", width - 4)
        lines += [f"    {paint(line, 'dim')}" for line in remedy]
    return lines


def _summary(found: Sequence[Finding], runs: Sequence[RunSummary], hidden: int) -> str:
    count = f"{len(runs):,} run{'' if len(runs) == 1 else 's'}"
    more = f" ({hidden:,} archived: --all looks at them too)" if hidden else ""
    if not found:
        return f"nothing wrong with {count}{more}"
    acts = sum(finding.severity is Severity.ACT for finding in found)
    others = len(found) - acts
    need = f"{acts} thing{'' if acts == 1 else 's'} need{'s' if acts == 1 else ''} you"
    words = [need] if acts else []
    words += [f"{others} to know"] if others else []
    return f"{count} looked at: {', '.join(words)}{more}"
