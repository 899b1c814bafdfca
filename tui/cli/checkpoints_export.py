"""`heats checkpoints export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.store.checkpoint_export import FILES, apply_export, model_bytes, plan_export
from tui import format as form
from tui.cli.chosen import hashing, say_dry
from tui.cli.options import AsJson, RunName, RunsDir, Yes, the_run
from tui.cli.terminal import print_json, safe


def command(
    run: RunName,
    target: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to make.")],
    step: Annotated[
        str, typer.Option("--checkpoint", "--step", metavar="WHICH", help="best, latest or a step.")
    ] = "best",
    yes: Yes = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Write a checkpoint's weights and config into a new folder, as plain files that need no heats."""
    plan = plan_export(the_run(run, runs_dir), target, step)
    if yes:
        with hashing("copying") as advance:
            apply_export(plan, advance)
    if as_json:
        print_json(plan.to_json() | {"done": yes})
        return
    for text in plan.passed_over:
        print(f"passed over {safe(text)}")
    size = form.size(model_bytes(plan.checkpoint))
    word = "exported" if yes else "would export"
    print(f"{word} step {form.count(plan.checkpoint.step)} ({size}) to {safe(str(plan.target))}: {', '.join(FILES)}")
    if not yes:
        say_dry(True)
