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
    if first:
        order = others[0] - 1 if others else orders[found.id]
    elif last:
        order = others[-1] + 1 if others else orders[found.id]
    else:
        assert before is not None
        other = the_run(before, runs_dir)
        if other.id not in orders or other.id == found.id:
            raise HeatsError("it doesn't wait in the queue", place=other.id)
        earlier = [order for order in others if order < orders[other.id]]
        order = (earlier[-1] + orders[other.id]) / 2 if earlier else orders[other.id] - 1
    with files.alone(store):
        files.move(found, order)
    place = 1 + sum(other < order for other in others)
    if as_json:
        print_json({"run": found.id, "place": place, "of": len(orders)})
    else:
        print(f"{found.id} is number {place} of {len(orders)}")
