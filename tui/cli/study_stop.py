"""`heats study stop`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tui.cli.options import AsJson, RunsDir, the_store
from tui.cli.studies import Preset, StudyName, the_study
from tui.cli.terminal import hint, print_json


def command(
    study: StudyName,
    preset: Preset = None,
    now: Annotated[bool, typer.Option("--now", help="Leave without last checkpoints.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Stop a study's runs, each with a last checkpoint, and take the rest out of the queue.

    What was stopped stays so until somebody resumes it or begins it anew; `heats study run` queues the rest again.
    """
    from engine.study.cells import find_cells
    from engine.study.needs import order_of
    from engine.study.run import stop_study

    found, store = the_study(study, preset), the_store(runs_dir)
    dequeued, stopped = stop_study(store, found, now=now)
    if as_json:
        print_json({"dequeued": [run.id for run in dequeued], "stopped": [run.id for run in stopped]})
        return
    print(f"{found.label}: {len(stopped)} runs asked to stop, {len(dequeued)} taken out of the queue")
    for needed in order_of(found)[:-1]:  # others may need them too, so they are only named
        going_on = sum(state.standing in ("live", "queued") for state in find_cells(store, needed))
        if going_on:
            what = "1 run that it waits for goes on" if going_on == 1 else f"{going_on} runs that it waits for go on"
            print(f"{what}: `heats study stop {needed.label}` ends them", file=sys.stderr)
    hint(f"`heats study run {found.label} --redo stopped` begins them anew, `heats resume RUN` goes on with one")
