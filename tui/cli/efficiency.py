"""`heats efficiency`."""

from __future__ import annotations

import json
import math
import string
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import typer

from engine.errors import HeatsError
from engine.store.efficiency import Figure, Goal, Measured, choose_goal, compare, measure
from engine.store.files import encode_number
from engine.store.metrics import RunHistory
from engine.store.paths import program
from tui import format as form
from tui.cli.options import AsJson, RunNames, RunsDir, find_runs, the_store
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import complain, hint, print_json, safe

_MOST = 26


def command(
    runs: RunNames,
    metric: Annotated[
        str | None,
        typer.Option("--metric", metavar="NAME", help="What counts; else val/exact_match where there is one."),
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="X", help="The value to reach; else the best that all reached.")
    ] = None,
    mode: Annotated[
        Literal["min", "max"] | None, typer.Option("--mode", help="Whether less or more of the metric is better.")
    ] = None,
    no_flops: Annotated[
        bool, typer.Option("--no-flops", help="Leave out FLOPs, which take a few training steps to count.")
    ] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Compare what runs reach for their size, time and work, and say which is more efficient by how much.

    Seconds are those of training, without pauses between attempts.
    """
    found = find_runs(the_store(runs_dir), runs)
    if not 2 <= len(found) <= _MOST:
        what = "one run alone has nothing to compare with" if len(found) == 1 else f"{len(found)} runs are too many"
        raise HeatsError(what, remedy=f"name 2 to {_MOST} runs")
    histories = [RunHistory(run) for run in found]
    for history in histories:
        history.refresh()
    goal = choose_goal(histories, metric, mode, _target(target))
    measured = [measure(history, goal) for history in histories]
    if not no_flops:
        hint("counting the work of training steps ...")
        words = [f"{run.folder}:{item.steps or item.last_step or 1}" for run, item in zip(found, measured, strict=True)]
        measured = _with_work(measured, words)
    figures = compare(measured, goal)
    if as_json:
        print_json(_to_json(measured, goal, figures))
    else:
        _print(measured, goal, figures)


def _target(given: str | None) -> float | None:
    if given is None:
        return None
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise HeatsError(f"`{given}` is no number", place="--target")
    return value


def _with_work(measured: Sequence[Measured], words: list[str]) -> list[Measured]:
    """The runs with the FLOPs of a step; where they can't be counted, that is said and they stay unknown."""
    command_line = [*program("engine.tools.efficiency"), *words]
    reports: list[dict[str, Any]] = []
    try:
        done = subprocess.run(command_line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
        reports = json.loads(done.stdout)
    except (OSError, ValueError) as error:
        complain(f"note: FLOPs can't be counted ({error})")
    by_run = {str(report["run"]): report for report in reports}
    complete = []
    for item in measured:
        report = by_run.get(item.id, {})
        if "error" in report:
            complain(f"note: FLOPs are left out: {report['error']}")
        parameters = report.get("parameters", item.parameters)
        complete.append(replace(item, flops_per_step=report.get("flops_per_step"), parameters=parameters))
    return complete


def _to_json(measured: Sequence[Measured], goal: Goal, figures: Sequence[Figure]) -> dict[str, Any]:
    ids = [item.id for item in measured]
    return {
        "metric": goal.metric,
        "mode": goal.mode,
        "target": None if goal.target is None else encode_number(goal.target),
        "runs": [
            {
                "id": item.id,
                "name": item.name,
                "task": item.task,
                "parameters": item.parameters,
                "last_step": item.last_step,
                "reached": item.steps is not None,
            }
            for item in measured
        ],
        "figures": [figure.to_json(ids) for figure in figures],
    }


def _print(measured: Sequence[Measured], goal: Goal, figures: Sequence[Figure]) -> None:
    letters = string.ascii_uppercase
    for letter, item in zip(letters, measured, strict=False):
        print(f"{letter}  {safe(item.id)}" + (f"  {safe(item.name)}" if item.name not in item.id else ""))
    table = [Column("figure", flexible=True, head=20), *(Column(letters[i], right=True) for i in range(len(measured)))]
    rows = []
    for figure in figures:
        cells = [Cell(safe(figure.name)), *(Cell(_word(figure, value)) for value in figure.values)]
        rows.append([*cells, Cell(_verdict(figure, letters))])
    print(f"\n{render([*table, Column('better')], rows)}")
    if goal.target is None:
        print(f"\nthey reached nothing in common of {safe(goal.metric)}: --target says what is to be reached")
    else:
        bound = "at least" if goal.mode == "max" else "at most"
        for letter, item in zip(letters, measured, strict=False):
            if item.steps is None:
                print(f"\n{letter} never reached {safe(goal.metric)} {bound} {goal.target:.6g}")
    hint("one run each: whether the difference is more than luck takes a study with several seeds")


def _word(figure: Figure, value: float | None) -> str:
    if value is None:
        return "-"
    if figure.name.startswith(("parameters", "steps")):
        return form.count(int(value))
    if figure.name.startswith("seconds"):
        return f"{value:,.1f}"
    return form.number(value)


def _verdict(figure: Figure, letters: str) -> str:
    if figure.best is None:
        return ""
    if figure.factor is None:
        return letters[figure.best]
    times = f"{figure.factor:.3g} times" if figure.factor >= 1.1 else f"{100 * (figure.factor - 1):.2g} %"
    return f"{letters[figure.best]}, by {times}"
