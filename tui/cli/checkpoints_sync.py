"""`heats checkpoints sync`."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.store.checkpoint_moves import plan_sync
from tui.cli.checkpoints_rewind import act_on
from tui.cli.chosen import SomeRuns, StudyName, chosen_runs, hashing
from tui.cli.options import AsJson, RunsDir, Yes, the_store


def command(
    runs: SomeRuns = None,
    study: StudyName = None,
    to: Annotated[int | None, typer.Option("--to", min=1, metavar="STEP", help="This step and no other.")] = None,
    yes: Yes = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Bring runs to the greatest step at which all have a sound checkpoint: each goes on from there when resumed."""
    chosen = chosen_runs(the_store(runs_dir), runs, everything=False, study=study)
    with hashing("hashing") as advance:
        plan = plan_sync(chosen, to, advance)
    act_on(plan, yes=yes, as_json=as_json)
