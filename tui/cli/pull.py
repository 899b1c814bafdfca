"""`heats pull`."""

from __future__ import annotations

from engine.store.paths import create_store, default_root
from tui.cli.moving import DryRun, PlaceName, Wanted, move
from tui.cli.options import AsJson, RunsDir


def command(
    place: PlaceName,
    runs: Wanted = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Copy runs from a store on another machine into this one, over ssh; again, only what is new.

    What is newer here stays, nothing is deleted, and checkpoints are checked when they have arrived. A run that is
    live there is taken as it stands. HEATS_SSH is the ssh command where it isn't plain ssh.
    """
    move("pull", create_store(default_root(runs_dir)), place, runs or [], dry_run, as_json)
