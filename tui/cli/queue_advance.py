"""`heats queue advance`."""

from __future__ import annotations

from tui.cli.options import RunsDir, the_store


def command(runs_dir: RunsDir = None) -> None:
    """Start whatever may run now. This happens by itself whenever a run ends or somebody looks."""
    from engine.launch import queue
    from engine.study.run import advance

    store = the_store(runs_dir)
    advance(store)
    print(f"{len(queue.waiting(store))} runs wait")
