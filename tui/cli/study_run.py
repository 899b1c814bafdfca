"""`heats study run`."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from tui.cli.options import AsJson, Follow, RunsDir
from tui.cli.studies import Preset, StudyName, counts_text, matrix, the_study
from tui.cli.terminal import can_redraw, complain, hint, is_terminal, print_json

_LOOK_SECONDS = 2.0


def command(
    study: StudyName,
    preset: Preset = None,
    redo: Annotated[
        list[str] | None,
        typer.Option(
            "--redo", metavar="CELL", help="Train anew: ARM/SEED, an arm, failed, suspect or stopped. Repeatable."
        ),
    ] = None,
    follow: Follow = None,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Queue every run that is missing of a study and start as many as may run at once.

    What it needs of other studies is trained first. The rest starts by itself, one run after the other, whether or not
    anybody watches; the verdict and the report are written at the end. Interrupted runs go on from their checkpoints.
    """
    from engine.store.paths import default_root, open_store
    from engine.study.cells import counts, find_cells
    from engine.study.run import begin

    found = the_study(study, preset)
    root = default_root(runs_dir)
    begun = begin(root, found, redo=redo or (), command=("heats", *sys.argv[1:]))
    store = open_store(root)
    states = find_cells(store, found)
    staying = follow if follow is not None else is_terminal() and not as_json
    if as_json and not staying:
        print_json(
            {
                "study": found.label, "queued": [run.id for run in begun.queued],
                "started": [run.id for run in begun.started], "cells": counts(states),
            }
        )  # fmt: skip
        return
    if not as_json:
        began = f"{len(begun.queued)} runs queued, {len(begun.started)} of them started"
        print(f"{found.label}: {began}; {counts_text(counts(states))}")
    if not staying:
        hint(f"they train in the background: `heats study status {found.label}` shows how far they are")
        return
    raise typer.Exit(_follow(found.name, found.preset, root, as_json))


def _follow(name: str, preset: str | None, root: object, as_json: bool) -> int:
    """Stay until nothing more will happen; the exit code. Leaving never ends the work."""
    from pathlib import Path

    from engine.store.paths import open_store
    from engine.study.cells import counts, find_cells
    from engine.study.run import advance, is_over

    store = open_store(Path(str(root)))
    found = the_study(name, preset)
    shown = ""
    lines = 0
    try:
        while True:
            advance(store)
            states = find_cells(store, found)
            text = matrix(found, states) + f"\n{counts_text(counts(states))}"
            if text != shown and not as_json:
                if can_redraw() and lines:
                    print(f"\x1b[{lines}A\x1b[J", end="")
                print(text if can_redraw() else counts_text(counts(states)), flush=True)
                lines, shown = text.count("\n") + 1, text
            if is_over(found, states):
                break
            if not any(state.standing in ("live", "queued", "waiting") for state in states):
                complain(f"nothing of {found.label} runs or waits any more: `heats study run {found.label}` goes on")
                return 1
            time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        complain(f"the study goes on; `heats study stop {found.label}` ends it")
        return 130
    if found.spec.hypothesis:
        from tui.cli.study_verdict import command as verdict

        verdict(name, preset=preset, as_json=as_json, runs_dir=store.root)
    return 1 if any(state.standing == "failed" for state in states) else 0
