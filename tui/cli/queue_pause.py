"""`heats queue pause`."""

from __future__ import annotations

from tui.cli.options import RunsDir, the_store


def command(runs_dir: RunsDir = None) -> None:
    """Start nothing more on this machine until `heats queue resume`. What runs goes on."""
    from engine.launch import queue

    queue.pause(the_store(runs_dir))
    print("the queue is paused; what runs goes on")
