"""What `launch` and `resume` say and do once an attempt is under way."""

from __future__ import annotations

import typer

from engine.launch.actions import Started
from tui.cli.follow import exit_code, follow
from tui.cli.show import summary_of
from tui.cli.terminal import complain, hint, is_terminal, print_json


def report_started(started: Started, wanted: bool | None, as_json: bool, *, bell: bool = False) -> None:
    """Follow the run or leave it, as asked for; else follow on a terminal and leave it in a pipe.

    Raises:
        typer.Exit: with the exit code of the run that was followed.
    """
    complain_of(started)
    run = started.run
    staying = wanted if wanted is not None else is_terminal() and not as_json
    if not staying:
        if as_json:
            print_json(summary_of(run).to_json())
        else:
            print(run.id)
        hint(f"it trains in the background: `heats watch {run.id[-4:]}` shows it, `heats stop {run.id[-4:]}` ends it")
        return
    ended = follow(run, quiet=as_json, bell=bell)
    if as_json:
        print_json(ended.to_json())
    raise typer.Exit(exit_code(ended))


def complain_of(started: Started) -> None:
    """What a person should know about how an attempt came to start."""
    for passed in started.passed_over:
        complain(f"passed over a checkpoint: {passed}")
    for warning in started.warnings:
        complain(f"warning: {warning}")
