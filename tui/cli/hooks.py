"""`heats hooks`."""

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

_FIGURES = ("mean", "deviation", "rms", "lowest", "highest", "zero_share")


def command(
    run: RunName,
    module: Annotated[
        list[str] | None,
        typer.Option("--module", metavar="PATTERN", help="Record what comes out of these; * is any text. Repeatable."),
    ] = None,
    gradients: Annotated[bool, typer.Option("--gradients", help="Record the gradients that come back, too.")] = False,
    on: Annotated[
        Literal["train", "val"], typer.Option("--on", help="Send training batches through, or the evaluation.")
    ] = "train",
    batches: Annotated[int, typer.Option("--batches", metavar="N", min=1, help="How many training batches.")] = 4,
    checkpoint: Checkpoint = "best",
    modules: Annotated[bool, typer.Option("--modules", help="Only list the modules that can be hooked.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Show what is hooked in a run's model, and what goes through its modules: activations and gradients.

    The run itself is not touched: its checkpoint is loaded in a process of its own.
    """
    found = the_run(run, runs_dir)
    if gradients and on == "val":
        raise HeatsError(
            "an evaluation has no gradients", place="--gradients", remedy="leave it out, or use --on train"
        )
    words = ["--on", on, "--batches", str(batches)]
    words += [*(["--gradients"] if gradients else []), *(["--list"] if modules else [])]
    for pattern in module or []:
        words += ["--module", pattern]
    what = "the look into the model"
    result = load_and("loading the model of", what, "hooks", found, checkpoint, words, _fits)
    if as_json:
        print_json(result)
        return
    print(f"{safe(found.id)}  step {form.count(result['checkpoint'])}")
    if modules:
        rows = [[Cell(safe(str(row["module"]))), Cell(safe(str(row["type"])))] for row in result["modules"]]
        print(render([Column("module", flexible=True, head=12), Column("type")], rows, indent="  "))
        return
    _print_hooks(result["hooks"])
    _print_recorded(result["recorded"])


def _print_hooks(hooks: list[dict[str, Any]]) -> None:
    keys = ("module", "kind", "purpose", "changes")
    rows = [[*(Cell(safe(str(row[key]))) for key in keys), Cell(form.count(row["calls"]))] for row in hooks]
    titles = [Column("hooked", flexible=True, head=12), Column("kind"), Column("for", flexible=True)]
    print(render([*titles, Column("changes", flexible=True), Column("calls", right=True)], rows, indent="  "))


def _print_recorded(recorded: list[dict[str, Any]]) -> None:
    print()
    rows = []
    for row in recorded:
        shape = "x".join(str(size) for size in row["shape"])
        figures = [Cell(form.number(decode_number(row[key]))) for key in _FIGURES]
        bad = Cell(form.count(row["non_finite"]), "red" if row["non_finite"] else None)
        rows.append([Cell(safe(str(row["module"]))), Cell(safe(str(row["what"]))), Cell(shape), *figures, bad])
    titles = [Column("recorded", flexible=True, head=12), Column("what"), Column("last shape", right=True)]
    titles += [Column(key.replace("_", " "), right=True) for key in _FIGURES]
    print(render([*titles, Column("not finite", right=True)], rows, indent="  "))


def _fits(result: dict[str, Any]) -> bool:
    return isinstance(result["checkpoint"], int) and ("modules" in result or isinstance(result["recorded"], list))
