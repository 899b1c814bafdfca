"""`heats queue list`."""

from __future__ import annotations

from tui import format as form
from tui.cli.options import AsJson, RunsDir, the_store
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import paint, print_json, safe


def command(as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """List what waits to run on this machine, what each waits for, and which slots are taken."""
    import time

    from engine.launch import queue, slots
    from engine.store.queue import read_state
    from tui.cli.studies import advance_quietly

    store = the_store(runs_dir)
    advance_quietly(store)
    waiting, state = queue.waiting(store), read_state(store)
    there, claims = slots.machine_slots(), {claim.slot: claim for claim in slots.claims()}
    if as_json:
        print_json(
            {
                "paused": state.paused, "reason": state.reason,
                "waiting": [
                    {"run": item.run, "study": item.study, "why": item.why, "queued": item.entry.queued,
                     "refused": item.entry.refused or None}
                    for item in waiting
                ],
                "slots": [
                    {"slot": slot.name, "device": slot.device, "cores": slot.cores,
                     "run": claims[slot.name].run if slot.name in claims else None}
                    for slot in there
                ],
            }
        )  # fmt: skip
        return
    if state.paused:
        print(paint(f"the queue is paused: {safe(state.reason)}; `heats queue resume` goes on", "yellow"))
    now = time.time()
    if waiting:
        columns = [
            Column("", right=True), Column("run", flexible=True, head=8), Column("study", flexible=True),
            Column("waits", right=True), Column("for", flexible=True),
        ]  # fmt: skip
        rows = [
            [
                Cell(str(place)), Cell(safe(item.run)), Cell(safe(item.study or "")),
                Cell(form.ago(item.entry.queued, now)), Cell(safe(item.entry.refused or item.why)),
            ]
            for place, item in enumerate(waiting, 1)
        ]  # fmt: skip
        print(render(columns, rows))
    else:
        print("nothing waits")
    for slot in there:
        claim = claims.get(slot.name)
        print(f"slot {slot.name}: {safe(claim.run) if claim else 'free'}")
