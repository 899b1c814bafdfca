"""`heats queue move`."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.errors import HeatsError
from tui.cli.options import RunName, RunsDir, the_run, the_store


def command(
    run: RunName,
    first: Annotated[bool, typer.Option("--first", help="To the front.")] = False,
    last: Annotated[bool, typer.Option("--last", help="To the end.")] = False,
    before: Annotated[str | None, typer.Option("--before", metavar="RUN", help="Right before this one.")] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Move a waiting run to another place in the queue."""
    from engine.launch import queue
    from engine.store import queue as files

    store = the_store(runs_dir)
    found = the_run(run, runs_dir)
    waiting = queue.waiting(store)
    orders = {item.run: item.entry.order for item in waiting}
    if found.id not in orders:
        raise HeatsError("it doesn't wait in the queue", place=found.id)
    if first + last + (before is not None) != 1:
        raise HeatsError("say where to", remedy="give one of --first, --last and --before RUN")
    others = sorted(order for name, order in orders.items() if name != found.id)
    if not others:
        print("it is the only one")
        return
    if first:
        order = others[0] - 1
    elif last:
        order = others[-1] + 1
    else:
        assert before is not None
        other = the_run(before, runs_dir)
        if other.id not in orders or other.id == found.id:
            raise HeatsError("it doesn't wait in the queue", place=other.id)
        earlier = [order for order in others if order < orders[other.id]]
        order = (earlier[-1] + orders[other.id]) / 2 if earlier else orders[other.id] - 1
    with files.alone(store):
        files.move(found, order)
    print(f"{found.id} is number {1 + sum(other < order for other in others)} of {len(orders)}")
