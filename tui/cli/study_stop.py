"""`heats study stop`."""

from __future__ import annotations

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
    from engine.study.run import stop_study

    found = the_study(study, preset)
    dequeued, stopped = stop_study(the_store(runs_dir), found, now=now)
    if as_json:
        print_json({"dequeued": [run.id for run in dequeued], "stopped": [run.id for run in stopped]})
        return
    print(f"{found.label}: {len(stopped)} runs asked to stop, {len(dequeued)} taken out of the queue")
    hint(f"`heats study run {found.label} --redo stopped` begins them anew, `heats resume RUN` goes on with one")
