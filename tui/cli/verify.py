"""`heats verify`."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.errors import MachineError
from engine.store.files import decode_number
from engine.store.paths import program
from engine.store.status import signal_name
from tui import format as form
from tui.cli.changes import print_changes
from tui.cli.options import AsJson, RunName, RunsDir, the_run
from tui.cli.terminal import can_redraw, hint, is_terminal, print_json, safe

_MOST = 10


def command(
    run: RunName,
    first: Annotated[
        int | None, typer.Option("--from", min=0, metavar="STEP", help="A checkpoint to begin at; 0 is the start.")
    ] = None,
    last: Annotated[
        int | None, typer.Option("--to", min=1, metavar="STEP", help="The checkpoint to arrive at; else the newest.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Train in this folder, and keep it.")
    ] = None,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Train a stretch of a run again, elsewhere, and say whether the same bits come out.

    Without --from and --to it is the stretch between the last two checkpoints. The run itself is only read. The exit
    code is 0 when all is identical and 1 when anything differs.
    """
    found = the_run(run, runs_dir)
    words = [*program("engine.tools.verify"), str(found.folder)]
    for option, value in (("--from", first), ("--to", last), ("--keep", keep)):
        words += [] if value is None else [option, str(value)]
    result = _run(words, found.id)
    if as_json:
        print_json(result)
    else:
        _print(result)
    raise typer.Exit(0 if result["identical"] else 1)


def _run(words: list[str], run_id: str) -> dict[str, Any]:
    """The verifier's result; its progress is shown, and its sentence about a mistake goes to the terminal."""
    result: dict[str, Any] | None = None
    try:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        raise MachineError(f"the verification can't be started ({error.strerror})", place=run_id) from error
    assert process.stdout is not None
    with process:
        try:
            for line in _with_progress(process.stdout):
                result = line.get("result", result)
        except KeyboardInterrupt:
            process.wait()  # it was interrupted too, and takes its scratch folder with it
            raise
    if process.returncode > 0:
        raise typer.Exit(process.returncode)  # it has said why
    if process.returncode:
        raise MachineError(f"the verification was killed by {signal_name(-process.returncode)}", place=run_id)
    if not isinstance(result, dict) or "identical" not in result:
        raise MachineError("the verification printed no result", place=run_id)
    return result


def _with_progress(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The verifier's objects, shown as a bar on a terminal and as one line elsewhere."""
    objects = (_parsed(line) for line in lines)
    first = next(objects, {})
    span = f"step {first['from']:,} to {first['to']:,}" if {"from", "to"} <= first.keys() else ""
    if not span:
        yield first
    elif not can_redraw():
        hint(f"training {span} again ...")
    if not span or not can_redraw():
        yield from objects
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=is_terminal()), transient=True) as bar:
        shown = bar.add_task(f"training {span} again", total=first["to"] - first["from"])
        for item in objects:
            if isinstance(item.get("step"), int):
                bar.update(shown, completed=item["step"] - first["from"])
            yield item


def _parsed(line: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        content = json.loads(line)
        if isinstance(content, dict):
            return content
    return {}


def _print(result: dict[str, Any]) -> None:
    span = f"steps {form.count(result['from'])} to {form.count(result['to'])}"
    if result["identical"]:
        many = f"{form.count(result['points'])} logged values of {result['metrics']} metrics"
        print(f"identical: {span}, every weight, moment and random state, and {many}, to the last bit")
    else:
        print(f"NOT identical: {_where(result)}")
        _print_tensors(result["tensors"], result["to"])
    for name, count in result["missing_points"].items():
        print(f"  the run's own log lacks {safe(name)} at {form.count(count)} of these steps")
    changed = result["changes"]
    if changed:
        print("since the run trained, this has changed:")
        print_changes(changed, most=_MOST)
    elif not result["identical"]:
        print("nothing that was recorded of code, packages, settings and machine has changed since the run trained")
    if result.get("kept"):
        print(f"kept in {safe(str(result['kept']))}")


def _where(result: dict[str, Any]) -> str:
    parted = result["parted"]
    span = f"steps {form.count(result['from'])} to {form.count(result['to'])}"
    if parted is None:
        return f"every logged value of {span} is the same, but the checkpoint of step {form.count(result['to'])} is not"
    if parted["first_step"] is None:
        return f"the run logged {safe(parted['name'])} at {parted['only_first']} steps where retraining does not"
    then, now = (repr(decode_number(value)) for value in parted["values"])
    return f"{safe(parted['name'])} at step {form.count(parted['first_step'])} was {then} and is {now}"


def _print_tensors(tensors: list[str], step: int) -> None:
    if not tensors:
        print(f"  the checkpoint of step {form.count(step)} is the same all the same")
        return
    more = f" and {len(tensors) - 1:,} more" if len(tensors) > 1 else ""
    print(f"  first difference in the checkpoint of step {form.count(step)}: {safe(tensors[0])}{more}")
