"""`heats queue resume`."""

from __future__ import annotations

from tui.cli.options import AsJson, RunsDir, the_store
from tui.cli.terminal import print_json


def command(as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """Go on after a pause, a reboot, or a halt for failures, and start what may run."""
    from engine.launch import queue
    from engine.store.index import list_runs
    from engine.study.run import advance

    store = the_store(runs_dir)
    queue.resume(store)
    before = {run.id for run in list_runs(store) if run.status.is_live}
    advance(store)
    started = [run.id for run in list_runs(store) if run.status.is_live and run.id not in before]
    if as_json:
        print_json({"started": started})
    else:
        print(f"the queue goes on; {len(started)} runs started")
