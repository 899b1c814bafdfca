"""`heats checkpoints fix`."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.errors import HeatsError
from engine.store.checkpoint_fix import FixPlan, apply_fix, plan_fix, trash_folder
from tui.cli.chosen import AllRuns, SomeRuns, StudyName, chosen_runs, hashing, say_dry, without_live
from tui.cli.options import AsJson, RunsDir, Yes, the_store
from tui.cli.terminal import complain, print_json, safe


def command(
    runs: SomeRuns = None,
    everything: AllRuns = False,
    study: StudyName = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also find those whose hash is wrong: reads every byte.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Put checkpoint folders right: repair pointers, and move what is broken to the store's trash."""
    chosen = chosen_runs(the_store(runs_dir), runs, everything=everything, study=study)
    plans, failed = [], 0
    with hashing("hashing") as advance:
        for run in chosen if runs else without_live(chosen):
            try:
                plan = plan_fix(run, deep=deep, advance=advance)
                if yes and plan.changes:
                    apply_fix(plan)
            except HeatsError as error:
                complain(str(error))
                failed = max(failed, error.exit_code)
            else:
                plans.append(plan)
    if as_json:
        print_json([plan.to_json() | {"done": yes} for plan in plans])
    else:
        for plan in plans:
            _print(plan, yes)
        if not yes:
            say_dry(any(plan.changes for plan in plans))
    if failed:
        raise typer.Exit(failed)


def _print(plan: FixPlan, yes: bool) -> None:
    if not plan.changes:
        print(f"{safe(plan.run.id)}: nothing to put right")
        return
    print(safe(plan.run.id))
    for name, original in plan.to_restore:
        print(f"  {'restored' if yes else 'would restore'} {safe(original)} from {safe(name)}")
    for name, why in plan.to_trash:
        print(f"  {'moved' if yes else 'would move'} {safe(name)} to the trash: {safe(why)}")
    for problem in plan.pointers:
        print(f"  {'repaired' if yes else 'would repair'} {safe(problem)}")
    if plan.to_trash:
        print(f"  the trash is {safe(str(trash_folder(plan.run)))}")
        if not plan.sound_left:
            print("  no checkpoint that can be used is left: a resume begins at the start")
