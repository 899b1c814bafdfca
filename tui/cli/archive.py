"""`heats archive`."""

from __future__ import annotations

from dataclasses import replace

from tui.cli.marking import Off, mark
from tui.cli.options import AsJson, RunNames, RunsDir, find_runs, the_store


def command(runs: RunNames, off: Off = False, as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """Archive runs: `heats list` leaves them out unless --all is given. Nothing is moved or deleted."""
    mark(find_runs(the_store(runs_dir), runs), lambda notes: replace(notes, archived=not off), as_json)
