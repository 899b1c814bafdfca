"""`heats study report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tui.cli.options import AsJson, RunsDir, the_store
from tui.cli.studies import Preset, StudyName, the_study
from tui.cli.terminal import print_json


def command(
    study: StudyName,
    preset: Preset = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Where to; else the study's folder in the store.")
    ] = None,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Write report.html, which holds all it needs in one file, and report.md with its pictures beside it."""
    from engine.study.conclude import look
    from engine.study.report import write

    found = the_study(study, preset)
    store = the_store(runs_dir)
    page, text = write(store, look(store, found), out)
    if as_json:
        print_json({"html": str(page), "markdown": str(text)})
    else:
        print(page)
        print(text)
