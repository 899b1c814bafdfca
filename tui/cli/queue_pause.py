"""`heats queue pause`."""

from __future__ import annotations

from tui.cli.options import AsJson, RunsDir, the_store
from tui.cli.terminal import print_json


def command(as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """Start nothing more on this machine until `heats queue resume`. What runs goes on."""
    from engine.launch import queue

    queue.pause(the_store(runs_dir))
    if as_json:
        print_json({"paused": True})
    else:
        print("the queue is paused; what runs goes on")
