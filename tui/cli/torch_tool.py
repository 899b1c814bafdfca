"""Work that needs torch, done by a program of its own: its object is read, its words go to the terminal."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Annotated, Any

import typer

from engine.errors import HeatsError, MachineError
from engine.store.paths import RunPaths, program
from engine.store.status import signal_name
from tui.cli.terminal import hint

Checkpoint = Annotated[str, typer.Option("--checkpoint", metavar="WHICH", help="best, latest or a step.")]


def load_and(
    doing: str,
    what: str,
    tool: str,
    run: RunPaths,
    checkpoint: str,
    words: list[str],
    fits: Callable[[dict[str, Any]], bool],
) -> dict[str, Any]:
    """What one of `engine.tools` finds out with a checkpoint of a run.

    Args:
        doing, what: for sentences ("evaluating", "the evaluation").
        tool: the module's name.
        run: whose checkpoint.
        checkpoint: which, as a person says it.
        words: further words for the tool.
        fits: see `run_tool`.

    Raises:
        HeatsError: the checkpoint is neither best nor latest nor a step.
        MachineError, typer.Exit: see `run_tool`.
    """
    _check_checkpoint(checkpoint)
    hint(f"{doing} {run.id} ...")
    command = [*program(f"engine.tools.{tool}"), str(run.folder), "--checkpoint", checkpoint, *words]
    return run_tool(command, run.id, what, fits)


def _check_checkpoint(word: str) -> None:
    if word not in ("best", "latest") and not word.isdecimal():
        raise HeatsError(f"`{word}` is no checkpoint", place="--checkpoint", remedy="give best, latest or a step")


def run_tool(words: list[str], run_id: str, what: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The object that the program prints at its end.

    Args:
        words: the command line.
        run_id: whose checkpoint it loads.
        what: what it does, for sentences ("the evaluation").
        fits: whether an object is what the program prints; a missing key is a no.

    Raises:
        MachineError: it can't be started, was killed, or printed something else.
        typer.Exit: it failed, and has said why.
    """
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    except OSError as error:
        raise MachineError(f"{what} can't be started ({error.strerror})", place=run_id) from error
    if done.returncode > 0:
        raise typer.Exit(done.returncode)
    if done.returncode:
        raise MachineError(f"{what} was killed by {signal_name(-done.returncode)}", place=run_id)
    try:
        result = json.loads(done.stdout)
        if fits(result):
            return dict(result)
    except (ValueError, KeyError, TypeError):
        pass
    raise MachineError(f"{what} printed no result", place=run_id)
