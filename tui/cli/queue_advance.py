"""`heats queue advance`."""

from __future__ import annotations

from tui.cli.options import AsJson, RunsDir, the_store
from tui.cli.terminal import print_json


def command(as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """Start whatever may run now. This happens by itself whenever a run ends or somebody looks."""
    from engine.launch import queue
    from engine.study.run import advance_all

    store = the_store(runs_dir)
    advance_all(store)
    waiting = len(queue.waiting(store))
    if as_json:
        print_json({"waiting": waiting})
    else:
        print(f"{waiting} runs wait")
