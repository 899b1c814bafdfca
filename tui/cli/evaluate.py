"""`heats evaluate`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from engine.errors import HeatsError
from engine.store.files import decode_number
from tui import format as form
from tui.cli.options import AsJson, RunName, RunsDir, the_run
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import print_json, safe
from tui.cli.torch_tool import Checkpoint, load_and


def command(
    run: RunName,
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Options to evaluate with instead of the run's own."),
    ] = None,
    checkpoint: Checkpoint = "best",
    split: Annotated[Literal["val", "test"], typer.Option("--split", help="On which data.")] = "val",
    modes: Annotated[
        str | None,
        typer.Option("--modes", metavar="N,N", help="For tasks with several ways of evaluating: which, as 2,4."),
    ] = None,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Evaluate a checkpoint of a run, in a process of its own.

    With other options than it was trained with, too: heats evaluate RUN ablation.kind=delete
    """
    found = the_run(run, runs_dir)
    words = ["--split", split]
    if modes is not None:
        words += ["--modes", *_numbers(modes)]
    for option in options or []:
        words += ["--set", option]
    result = load_and("evaluating", "the evaluation", "evaluate", found, checkpoint, words, _fits)
    if as_json:
        print_json(result)
        return
    print(f"{safe(found.id)}  step {form.count(result['checkpoint'])}  {safe(str(result['split']))}")
    rows = [
        [Cell(safe(name)), Cell(form.number(decode_number(value)))] for name, value in sorted(result["metrics"].items())
    ]
    print(render([Column("metric", flexible=True, head=12), Column("value", right=True)], rows, indent="  "))


def _numbers(text: str) -> list[str]:
    numbers = [part.strip() for part in text.split(",")]
    if not all(number.isdecimal() for number in numbers):
        raise HeatsError(f"`{text}` is no list of modes", place="--modes", remedy="give their numbers, as 2,4")
    return numbers


def _fits(result: dict[str, Any]) -> bool:
    return isinstance(result["metrics"], dict) and isinstance(result["checkpoint"], int) and "split" in result
