"""`heats diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import HeatsError
from tui import format as form
from tui.cli.changes import print_changes
from tui.cli.options import AsJson, RunsDir, the_run
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import paint, print_json, safe

if TYPE_CHECKING:
    from engine.store.diff import CodeDiff, RunDiff
    from engine.store.series_diff import MetricDiff

_INDENT = "  "
_PATCH_LINES = 40
_CHANGES = 40


def command(
    first: Annotated[str, typer.Argument(metavar="A", help="A run: its id, any unique part of it, or its name.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance",
            min=0.0,
            metavar="X",
            help="Values agree within this share of the greater one (below 1: absolutely); 0 compares every bit.",
        ),
    ] = 0.0,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Say what two runs don't have in common: options, code, environment, and the step at which each metric parts.

    The exit code is 0 when all metrics and the final weights are identical and 1 when they differ, as with `diff`.
    """  # fmt: skip
    from engine.store.diff import compare_runs

    runs = the_run(first, runs_dir), the_run(second, runs_dir)
    if tolerance != tolerance:
        raise HeatsError("NaN is no tolerance", place="--tolerance", remedy="give a number such as 1e-6")
    found = compare_runs(*runs, tolerance=tolerance, ask_git=True)
    if as_json:
        print_json(found.to_json())
    else:
        print_diff(found)
    raise typer.Exit(0 if found.identical else 1)


def print_diff(found: RunDiff) -> None:
    """The whole comparison, what matters most last."""
    print(f"A  {safe(found.first)}\nB  {safe(found.second)}")
    for problem in found.problems:
        print(paint(f"{_INDENT}{safe(problem)}", "yellow"))
    for title, changes in (("options", found.config), ("environment", found.environment)):
        if changes:
            print(f"\n{paint(title, 'bold')}")
            print_changes([change.to_json() for change in changes], titles=("A", "B"), most=_CHANGES)
        if title == "options":
            _print_code(found.code)
    same = [
        word
        for word, differs in (
            ("options", found.config),
            ("code", not found.code.same),
            ("environment", found.environment),
        )
        if not differs
    ]
    if same:
        print(f"\n{paint('the same in both:', 'dim')} {', '.join(same)}")
    if found.metrics:
        print(f"\n{paint('metrics', 'bold')}")
        print(render(_METRICS, [_row(metric) for metric in found.metrics], indent=_INDENT))
    print(f"\n{verdict(found)}")


def verdict(found: RunDiff) -> str:
    """The comparison in one sentence."""
    weights = {True: "the final weights are the same", False: "the final weights differ", None: ""}[found.weights]
    within = f"within {found.tolerance:g}" if found.tolerance else "to the last bit"
    parted = found.parted
    if not found.metrics:
        return "nothing to compare: neither has logged a metric"
    if found.identical:
        also = "" if found.tolerance or not weights else f", and {weights}"
        return f"identical: all {len(found.metrics)} metrics agree at every step {within}{also}"
    if parted is not None:
        then, now = repr(parted.first), repr(parted.second)
        return f"they part at step {parted.step:,}: {safe(parted.name)} is {then} in A and {now} in B"
    apart = next((metric for metric in found.metrics if not metric.identical), None)
    if apart is not None:
        return (
            f"they agree {within} wherever both logged, but not at the same steps: {safe(apart.name)} is at "
            f"{apart.only_first:,} steps of A only and at {apart.only_second:,} steps of B only"
        )
    return f"all metrics agree {within}, but {weights}"


_METRICS = [
    Column("metric", flexible=True, head=12), Column("differs from step", right=True), Column("A there", right=True),
    Column("B there", right=True), Column("A at last", right=True), Column("B at last", right=True),
]  # fmt: skip


def _row(metric: MetricDiff) -> list[Cell]:
    where = "never" if metric.identical else "other steps"
    lasts = [form.number(last[1]) if last else "-" for last in (metric.last_first, metric.last_second)]
    if metric.step is None:
        return [Cell(safe(metric.name)), Cell(where), Cell(""), Cell(""), *(Cell(text) for text in lasts)]
    here = [form.number(value) for value in (metric.first, metric.second)]
    if here[0] == here[1]:  # they differ in a later digit
        here = [repr(value) for value in (metric.first, metric.second)]
    cells = [Cell(safe(metric.name)), Cell(form.count(metric.step), "yellow")]
    return cells + [Cell(text) for text in (*here, *lasts)]


def _print_code(code: CodeDiff) -> None:
    if code.same:
        return
    print(f"\n{paint('code', 'bold')}")
    if code.commits[0] != code.commits[1]:
        print(f"{_INDENT}commit  A {safe(code.commits[0] or 'none')}  B {safe(code.commits[1] or 'none')}")
    for line in code.stat:
        print(f"{_INDENT}{safe(line)}")
    for line in code.patch[:_PATCH_LINES]:
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        print(f"{_INDENT}{paint(safe(line), colour)}")
    if len(code.patch) > _PATCH_LINES:
        print(f"{_INDENT}{paint(f'and {len(code.patch) - _PATCH_LINES} more lines (--json has more)', 'dim')}")
