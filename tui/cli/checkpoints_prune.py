"""`heats checkpoints prune`."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.errors import HeatsError
from engine.store.checkpoint_prune import PrunePlan, apply_prune, children, plan_prune
from tui import format as form
from tui.cli.chosen import AllRuns, SomeRuns, StudyName, chosen_runs, hashing, say_dry, without_live
from tui.cli.options import AsJson, RunsDir, Yes, the_store
from tui.cli.terminal import complain, print_json, safe


def command(
    runs: SomeRuns = None,
    everything: AllRuns = False,
    study: StudyName = None,
    keep_last: Annotated[
        int | None, typer.Option("--keep-last", min=1, metavar="N", help="The newest; else as the run's config says.")
    ] = None,
    keep_best: Annotated[
        int | None, typer.Option("--keep-best", min=0, metavar="N", help="The best; else as the run's config says.")
    ] = None,
    keep_every: Annotated[
        int | None,
        typer.Option("--keep-every", min=0, metavar="N", help="Each multiple of this; else as in the config."),
    ] = None,
    emergency: Annotated[bool, typer.Option("--emergency", help="Emergency checkpoints go, too.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Delete checkpoints that the policy doesn't keep, for good. Never one that a run needs to go on."""
    store = the_store(runs_dir)
    chosen = chosen_runs(store, runs, everything=everything, study=study)
    started = children([store.run(run_id) for run_id in store.run_ids()])
    plans, failed = [], 0
    with hashing("hashing") as advance:
        for run in chosen if runs else without_live(chosen):
            try:
                plan = plan_prune(
                    run, keep_last=keep_last, keep_best=keep_best, keep_every=keep_every, emergency=emergency,
                    started_from=started.get(run.id), advance=advance,
                )  # fmt: skip
                if yes:
                    apply_prune(plan)
            except HeatsError as error:  # one of a task that isn't installed, say: the others go on
                complain(str(error))
                failed = max(failed, error.exit_code)
            else:
                plans.append(plan)
    if as_json:
        print_json([plan.to_json() | {"done": yes} for plan in plans])
    elif plans:
        _print(plans, yes)
    if failed:
        raise typer.Exit(failed)


def _print(plans: list[PrunePlan], yes: bool) -> None:
    for plan in plans:
        if not plan.leaving and len(plans) > 1:
            continue
        print(f"{safe(plan.run.id)}")
        for item in plan.leaving:
            marks = ", ".join(word for on, word in ((item.emergency, "emergency"), (item.shadowed, "shadowed")) if on)
            word = "deleted" if yes else "would go"
            print(f"  {word}  step {form.count(item.step)}  {form.size(item.bytes)}  {marks}".rstrip())
        for kept in plan.kept:
            print(f"  stays     step {form.count(kept.checkpoint.step)}  {safe(kept.why)}")
    count = sum(len(plan.leaving) for plan in plans)
    size = form.size(sum(plan.bytes for plan in plans))
    what = f"{count} checkpoint{'s' if count != 1 else ''}"
    print(f"{what} deleted, {size} freed" if yes else f"{what} would be deleted for good, {size} freed")
    if not yes:
        say_dry(count > 0)
