"""`heats reproduce`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import HeatsError
from tui.cli.changes import print_changes
from tui.cli.options import AsJson, Follow, RunName, RunsDir, the_run
from tui.cli.terminal import hint, is_terminal, print_json, safe

if TYPE_CHECKING:
    from engine.launch.reproduce import Reproduction
    from engine.store.diff import RunDiff

_CHANGES = 12


def command(
    run: RunName,
    here: Annotated[bool, typer.Option("--here", help="Train with the code at hand, not with the run's own.")] = False,
    worktree: Annotated[
        Path | None, typer.Option("--worktree", metavar="DIR", help="Check its code out here; else in the cache.")
    ] = None,
    keep_worktree: Annotated[
        bool, typer.Option("--keep-worktree", help="Leave the code in the cache when the run has finished.")
    ] = False,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="A name for the new run.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and do nothing.")] = False,
    follow: Follow = None,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Train a run again from its record: its config and seed, with its commit and patch in a work tree of their own.

    When followed to its end it says whether the new run is identical to the old one: exit code 0 if so, else 1. The
    packages are those installed now; what differs from the record is listed first.
    """
    from engine.launch.reproduce import plan_reproduction, reproduce

    if here and (worktree is not None or keep_worktree):
        raise HeatsError("--here needs no work tree", remedy="leave out --worktree and --keep-worktree, or --here")
    plan = plan_reproduction(the_run(run, runs_dir), here=here)
    if not as_json:
        _print_plan(plan)
    if dry_run:
        if as_json:
            print_json(_plan_json(plan))
        return
    started, tree = reproduce(
        plan, worktree=worktree, keep_worktree=keep_worktree, name=name, command=("heats", *sys.argv[1:])
    )
    if tree is not None:
        hint(f"its code is in {tree}")
    staying = follow if follow is not None else is_terminal() and not as_json
    if not staying:
        from tui.cli.started import report_started

        report_started(started, False, as_json)
        hint(f"when it has ended: `heats diff {plan.run.id[-4:]} {started.run.id[-4:]}`")
        return
    _follow(plan, started, as_json)


def _follow(plan: Reproduction, started: object, as_json: bool) -> None:
    from engine.launch.actions import Started
    from engine.launch.worktrees import clear_worktrees
    from engine.store.diff import compare_runs
    from engine.store.status import State
    from tui.cli.diff import verdict
    from tui.cli.follow import exit_code, follow
    from tui.cli.started import complain_of

    assert isinstance(started, Started)
    complain_of(started)
    ended = follow(started.run, quiet=as_json)
    found = compare_runs(plan.run, started.run)
    if as_json:
        print_json(
            ended.to_json() | {"parent": plan.run.id, "reproduced": is_reproduced(found), "diff": found.to_json()}
        )
    elif ended.status is State.FINISHED:
        print(f"A is {safe(found.first)}, B is {safe(found.second)}")
        print(f"{'reproduced' if is_reproduced(found) else 'NOT reproduced'}: {verdict(found)}")
    clear_worktrees()
    raise typer.Exit(exit_code(ended) or (0 if is_reproduced(found) else 1))


def is_reproduced(found: RunDiff) -> bool:
    """Whether everything that the first run logged came out again; it may have been stopped before its last step."""
    complete = bool(found.metrics) and not any(metric.only_first for metric in found.metrics)
    return complete and found.parted is None and found.weights is not False


def _print_plan(plan: Reproduction) -> None:
    print(f"reproducing {safe(plan.run.id)}")
    if plan.commit is None:
        print("  with the code at hand")
    else:
        lines = len(plan.patch.splitlines())
        patch = f" and its patch of {lines:,} lines" if plan.patch else ""
        print(f"  with commit {safe(plan.commit[:12])}{patch} from {safe(str(plan.repository))}")
    for note in plan.notes:
        print(f"  {safe(note)}")
    if plan.changes:
        print("since it trained, this has changed:")
        print_changes([change.to_json() for change in plan.changes], most=_CHANGES)


def _plan_json(plan: Reproduction) -> dict[str, object]:
    return {
        "run": plan.run.id,
        "commit": plan.commit,
        "patch_bytes": len(plan.patch),
        "repository": str(plan.repository) if plan.repository else None,
        "notes": list(plan.notes),
        "changes": [change.to_json() for change in plan.changes],
    }
