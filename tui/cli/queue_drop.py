"""`heats queue drop`."""

from __future__ import annotations

from typing import Annotated

import typer

from tui.cli.options import AsJson, RunsDir, the_run, the_store
from tui.cli.terminal import print_json


def command(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs that wait.")],
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Take runs out of the queue. One that never trained goes to the trash, whence `heats restore` brings it back."""
    from engine.study.waiting import drop

    store = the_store(runs_dir)
    found = [the_run(run, runs_dir) for run in runs]
    drop(store, found, lambda run: None if as_json else print(f"out of the queue: {run.id}"))
    if as_json:
        print_json({"dropped": [run.id for run in found]})
