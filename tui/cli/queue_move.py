"""`heats queue move`."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.errors import HeatsError
from tui.cli.options import AsJson, RunName, RunsDir, the_run, the_store
from tui.cli.terminal import print_json


def command(
    run: RunName,
    first: Annotated[bool, typer.Option("--first", help="To the front.")] = False,
    last: Annotated[bool, typer.Option("--last", help="To the end.")] = False,
    before: Annotated[str | None, typer.Option("--before", metavar="RUN", help="Right before this one.")] = None,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Move a waiting run to another place in the queue."""
    from engine.launch import queue

    store = the_store(runs_dir)
    found = the_run(run, runs_dir)
    waiting = [item.run for item in queue.waiting(store)]
    if found.id not in waiting:
        raise HeatsError("it doesn't wait in the queue", place=found.id)
    if first + last + (before is not None) != 1:
        raise HeatsError("say where to", remedy="give one of --first, --last and --before RUN")
    if before is None:
        place = 0 if first else len(waiting)
    else:
        other = the_run(before, runs_dir)
        if other.id not in waiting or other.id == found.id:
            raise HeatsError("it doesn't wait in the queue", place=other.id)
        place = [name for name in waiting if name != found.id].index(other.id)
    place, count = queue.move_to(store, found.id, place)
    if as_json:
        print_json({"run": found.id, "place": place, "of": count})
    else:
        print(f"{found.id} is number {place} of {count}")
