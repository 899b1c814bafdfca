"""What `heats pull` and `heats push` share: the plan, the move with its progress, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tui.cli.terminal import complain, is_terminal, print_json, safe

if TYPE_CHECKING:
    from engine.launch.moving import Direction, MovePlan, Outcome
    from engine.launch.remote import Moved
    from engine.store.paths import Store

PlaceName = Annotated[
    str, typer.Argument(metavar="HOST:STORE", help="A store on another machine, as ssh and rsync know it.")
]
Wanted = Annotated[
    list[str] | None,
    typer.Option("--runs", metavar="RUN", help="An id, a part of it, or a pattern with *; may be repeated. Else all."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be moved.")]


def move(direction: Direction, store: Store, place: str, wanted: Sequence[str], dry_run: bool, as_json: bool) -> None:
    """Plan, move, check, and say it. Exit code 1 where something is wrong with what has arrived.

    Raises:
        HeatsError: the store there can't be reached, or a word names no run.
        MachineError: rsync failed.
    """
    from engine.launch.moving import carry_out, plan, to_json
    from engine.launch.remote import need_programs, parse_place

    there = parse_place(place)
    need_programs()
    found = plan(direction, store, there, wanted)
    outcome = None
    if not dry_run:
        outcome = _with_progress(store, found) if is_terminal() and not as_json else carry_out(store, found)
    if as_json:
        print_json(to_json(found, outcome))
    else:
        _say(found, outcome)
    for run, why in found.refused.items():
        complain(f"{safe(run)}: {safe(why)}; it is left alone")
    problems = [(run, said) for run, all_said in (outcome.problems if outcome else {}).items() for said in all_said]
    if not as_json:
        for run, said in problems:
            complain(f"{safe(run)}: {safe(said)}")
    if problems or found.refused:
        raise typer.Exit(1)


def _with_progress(store: Store, found: MovePlan) -> Outcome:
    """The same with a bar: bytes of files that are through."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from engine.launch.moving import carry_out

    columns = (TextColumn(found.direction), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("", total=found.bytes or None)

        def tell(item: Moved) -> None:
            bar.advance(task, item.bytes)

        return carry_out(store, found, tell)


def _say(found: MovePlan, outcome: Outcome | None) -> None:
    from tui import format as form

    verb = {"pull": "pulled", "push": "pushed"}[found.direction]
    for run in found.runs:
        files = [item for item in found.files if item.path.startswith(f"{run}/")]
        count = len(files) if outcome is None else outcome.files.get(run, 0)
        size = sum(item.bytes for item in files) if outcome is None else outcome.bytes.get(run, 0)
        if not count:
            continue
        what = f"would be {verb}" if outcome is None else verb
        print(f"{what} {safe(run)}  {count:,} files, {form.size(size)}")
        for remark in outcome.remarks.get(run, []) if outcome is not None else []:
            print(f"  {safe(remark)}")
    moved = {item.path.split("/", 1)[0] for item in found.files} if outcome is None else set(outcome.files)
    moved &= set(found.runs)
    still = len(found.runs) - len(moved)
    if still:
        print(f"{still:,} of {len(found.runs):,} runs are the same in both places")
    if not found.runs and not found.refused:
        print("there are no runs to move")
