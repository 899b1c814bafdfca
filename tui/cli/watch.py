"""`heats watch`."""

from __future__ import annotations

import typer

from tui.cli.follow import exit_code, follow
from tui.cli.options import Bell, RunName, RunsDir, the_run


def command(run: RunName, bell: Bell = False, runs_dir: RunsDir = None) -> None:
    """Watch a run until it ends: exit code 0 if it finished or was stopped, 1 if it died. Leaving never ends it."""
    raise typer.Exit(exit_code(follow(the_run(run, runs_dir), bell=bell)))
