"""`heats queue drop`."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.errors import HeatsError
from tui.cli.options import RunsDir, the_run, the_store


def command(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs that wait.")], runs_dir: RunsDir = None
) -> None:
    """Take runs out of the queue. One that never trained goes to the trash, whence `heats restore` brings it back."""
    from engine.store import queue
    from engine.study.run import discard

    store = the_store(runs_dir)
    found = [the_run(run, runs_dir) for run in runs]
    for run in found:
        if queue.read_entry(run) is None:
            raise HeatsError("it doesn't wait in the queue", place=run.id)
    with queue.alone(store):
        for run in found:
            queue.dequeue(run)
            if not run.attempts():
                discard(store, run)
            print(f"out of the queue: {run.id}")
