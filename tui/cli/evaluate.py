"""`heats evaluate`."""

from __future__ import annotations

import json
import subprocess
from typing import Annotated, Any, Literal

import typer

from engine.errors import HeatsError, MachineError
from engine.store.files import decode_number
from engine.store.paths import program
from engine.store.status import signal_name
from tui import format as form
from tui.cli.options import AsJson, RunName, RunsDir, the_run
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import hint, print_json, safe


def command(
    run: RunName,
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Options to evaluate with instead of the run's own."),
    ] = None,
    checkpoint: Annotated[str, typer.Option("--checkpoint", metavar="WHICH", help="best, latest or a step.")] = "best",
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
    if checkpoint not in ("best", "latest") and not checkpoint.isdecimal():
        raise HeatsError(f"`{checkpoint}` is no checkpoint", place="--checkpoint", remedy="give best, latest or a step")
    words = [*program("engine.tools.evaluate"), str(found.folder), "--checkpoint", checkpoint, "--split", split]
    if modes is not None:
        words += ["--modes", *_numbers(modes)]
    for option in options or []:
        words += ["--set", option]
    hint(f"evaluating {found.id} ...")
    result = _run(words, found.id)
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


def _run(words: list[str], run_id: str) -> dict[str, Any]:
    """The evaluator's object. Its progress, and its sentence about a mistake, go to the terminal as they come."""
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    except OSError as error:
        raise MachineError(f"the evaluation can't be started ({error.strerror})", place=run_id) from error
    if done.returncode > 0:
        raise typer.Exit(done.returncode)  # it has said why
    if done.returncode:
        raise MachineError(f"the evaluation was killed by {signal_name(-done.returncode)}", place=run_id)
    try:
        result = json.loads(done.stdout)
        if isinstance(result["metrics"], dict) and isinstance(result["checkpoint"], int) and "split" in result:
            return dict(result)
    except (ValueError, KeyError, TypeError):
        pass
    raise MachineError("the evaluation printed no result", place=run_id)
