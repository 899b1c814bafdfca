"""`heats clone`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import HeatsError
from engine.launch.actions import LaunchRequest, launch
from tui.cli.launch import print_resolved
from tui.cli.options import (
    AsJson,
    BackendOption,
    Bell,
    Follow,
    Notify,
    Profile,
    Queue,
    RunName,
    RunsDir,
    check_backend,
    the_run,
)
from tui.cli.started import report_queued, report_started


def command(
    run: RunName,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Options to change; `heats tasks TASK` lists them.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="A name for the new run.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag; may be repeated.")] = None,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="A note to yourself.")] = "",
    seed: Annotated[int | None, typer.Option("--seed", min=0, metavar="N", help="Short for seed=N.")] = None,
    queue: Queue = False,
    backend: BackendOption = "local",
    profile: Profile = None,
    notify: Notify = None,
    follow: Follow = None,
    bell: Bell = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved config and do nothing.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Start a new run with the options of another, but for those given as KEY=VALUE.

    The options are those in effect at last, overrides of resumed attempts among them. The code is what is installed
    now; `heats reproduce` trains with the run's own.
    """
    from engine.config.resolve import flatten, parse_overrides
    from engine.store.records import read_run
    from engine.store.stored_config import apply_overrides, effective_config

    check_backend(backend, profile, queue)
    found = the_run(run, runs_dir)
    base = effective_config(found)
    record = read_run(found.record)
    assert record is not None, "its config was just read by it"
    given = parse_overrides(overrides or [])
    if seed is not None and "seed" in given:
        raise HeatsError("the seed is given twice", remedy="keep --seed or seed=")
    changes = given | ({} if seed is None else {"seed": str(seed)})
    request = LaunchRequest(
        task=record.task, values=flatten(apply_overrides(base, changes).model_dump()), name=name,
        tags=tuple(tag or ()), note=note, command=("heats", *sys.argv[1:]), parent=found.id, notify=notify,
        folder=Path(record.folder) if record.folder is not None else None,
        backend=backend, profile=profile,
    )  # fmt: skip
    if dry_run:
        print_resolved(request, as_json, found.folder.parent)
        return
    if queue:
        report_queued(found.folder.parent, request, follow, as_json, bell=bell)
        return
    report_started(launch(found.folder.parent, request), follow, as_json, bell=bell)
