"""`heats push`."""

from __future__ import annotations

from engine.store.paths import default_root, open_store
from tui.cli.moving import DryRun, PlaceName, Wanted, move
from tui.cli.options import AsJson, RunsDir


def command(
    place: PlaceName,
    runs: Wanted = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Copy runs from this store into one on another machine, over ssh; again, only what is new.

    What is newer there stays, nothing is deleted, and checkpoints are compared byte by byte when they have arrived. A
    folder that is missing or empty there becomes a store. HEATS_SSH is the ssh command where it isn't plain ssh.
    """
    move("push", open_store(default_root(runs_dir)), place, runs or [], dry_run, as_json)
