"""`heats stop`."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.errors import HeatsError
from engine.launch.actions import stop
from tui.cli.options import RunNames, RunsDir, find_runs, the_store
from tui.cli.stopping import wait_until_ended
from tui.cli.terminal import complain


def command(
    runs: RunNames,
    now: Annotated[bool, typer.Option("--now", help="Leave without a last checkpoint.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Ask, and return at once.")] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Stop runs cleanly: each writes a checkpoint and leaves. Stays until they have ended."""
    store = the_store(runs_dir)
    # All names first: a misspelt one must not leave half of the runs stopped.
    chosen = find_runs(store, runs)
    asked, code = [], 0
    for run in chosen:
        try:
            stop(run, now=now)
        except HeatsError as error:
            complain(str(error))
            code = max(code, error.exit_code)
        else:
            asked.append(run)
    if asked and not detach:
        wait_until_ended(asked)
    if code:
        raise typer.Exit(code)
