"""`heats queue list`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui import format as form
from tui.cli.options import AsJson, RunsDir, the_store
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import glyphs, paint, print_json, safe

if TYPE_CHECKING:
    from engine.launch.slurm.overview import JobLine


def command(as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """List what waits to run on this machine and for what, which slots are taken, and the cluster's jobs."""
    import time

    from engine.launch import queue, slots
    from engine.launch.slurm.overview import fold, on_cluster
    from engine.store.index import list_runs
    from engine.store.queue import read_state
    from engine.store.submission import has_submissions
    from tui.cli.studies import advance_quietly

    store = the_store(runs_dir)
    advance_quietly(store)
    waiting, state = queue.waiting(store), read_state(store)
    jobs = fold(on_cluster(list_runs(store))) if has_submissions(store) else []
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
                "cluster": [
                    {"job": line.job, "status": str(line.first.status), "why": line.why, "study": line.first.study,
                     "runs": [run.id for run in line.runs]}
                    for line in jobs
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
    elif not jobs:
        print("nothing waits")
    if jobs:
        print(_jobs_table(jobs))
    for slot in there:
        claim = claims.get(slot.name)
        print(f"slot {slot.name}: {safe(claim.run) if claim else 'free'}")


def _jobs_table(jobs: Sequence[JobLine]) -> str:
    """The cluster's jobs, a line each or a line an array."""
    columns = [
        Column("job"), Column("status"), Column("run", flexible=True, head=8), Column("study", flexible=True),
        Column("why", flexible=True),
    ]  # fmt: skip
    rows = []
    for line in jobs:
        run, many = line.first, len(line.runs)
        rows.append(
            [
                Cell(safe(line.job or "?")),
                Cell(form.state_label(run.status, ascii_only=not glyphs()), form.STATE_COLORS[run.status]),
                Cell(safe(run.id) if many == 1 else f"{many} runs"),
                Cell(safe(run.study or "")),
                Cell(safe(line.why)),
            ]
        )
    return render(columns, rows)
