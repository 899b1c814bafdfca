"""`heats queue drop`."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.errors import HeatsError
from tui.cli.options import AsJson, RunsDir, the_run, the_store
from tui.cli.terminal import print_json


def command(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs that wait.")],
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Take runs out of the queue. One that never trained goes to the trash, whence `heats restore` brings it back."""
    from engine.store import queue
    from engine.study.run import discard

    store = the_store(runs_dir)
    found = [the_run(run, runs_dir) for run in runs]
    for run in found:
        if queue.read_entry(run) is None:
            raise HeatsError("it doesn't wait in the queue", place=run.id)
    with queue.alone(store) as held:
        if not held:
            raise HeatsError("somebody else is at the queue", remedy="try again in a moment")
        for run in found:
            if queue.read_entry(run) is None:  # it started while we waited
                raise HeatsError("it doesn't wait in the queue any more", place=run.id)
            queue.dequeue(run)
            if not run.attempts():
                discard(store, run)
            if not as_json:
                print(f"out of the queue: {run.id}")
    if as_json:
        print_json({"dropped": [run.id for run in found]})
