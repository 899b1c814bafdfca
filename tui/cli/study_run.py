"""`heats study run`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tui.cli.options import AsJson, Backend, Follow, Profile, RunsDir, check_backend
from tui.cli.studies import Preset, StudyName, counts_text, matrix, the_study
from tui.cli.terminal import can_redraw, complain, hint, is_terminal, print_json

if TYPE_CHECKING:
    from pathlib import Path

    from engine.store.paths import Store
    from engine.study.cells import CellState
    from engine.study.run import Begun
    from engine.study.spec import Study

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
    backend: Annotated[
        Backend | None,
        typer.Option("--backend", metavar="NAME", help="Where to train: local or slurm; else as it was begun."),
    ] = None,
    profile: Profile = None,
    follow: Follow = None,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Queue every run that is missing of a study and start as many as may run at once.

    What it needs of other studies is trained first. The rest starts by itself, one run after the other, whether or not
    anybody watches; the verdict and the report are written at the end. Interrupted runs go on from their checkpoints.
    """
    from engine.store.paths import default_root
    from engine.study.begun import Where
    from engine.study.run import begin

    check_backend(backend or "local", profile)
    found = the_study(study, preset)
    root = default_root(runs_dir)
    begun = begin(
        root,
        found,
        redo=redo or (),
        command=("heats", *sys.argv[1:]),
        where=Where(backend, profile) if backend else None,
    )
    try:
        code = _report_and_follow(found, begun, root, follow, as_json)
    except KeyboardInterrupt:  # at any moment since: leaving never ends the work
        complain(f"the study goes on; `heats study stop {found.label}` ends it")
        raise typer.Exit(130) from None
    raise typer.Exit(code)


def _report_and_follow(found: Study, begun: Begun, root: Path, follow: bool | None, as_json: bool) -> int:
    """Say what was begun and, if wanted, stay until nothing more will happen; the exit code."""
    from engine.store.paths import open_store
    from engine.study.cells import counts, find_cells
    from tui.cli.studies import held_up

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
        return 0
    if not as_json:
        began = f"{len(begun.queued)} runs queued, {len(begun.started)} of them started"
        print(f"{found.label}: {began}; {counts_text(counts(states))}")
        for reason in held_up(store, found.label):
            complain(reason)
    if not staying:
        hint(f"they train in the background: `heats study status {found.label}` shows how far they are")
        return 0
    return _follow(found, root, as_json)


def _follow(found: Study, root: Path, as_json: bool) -> int:
    """Stay until nothing more will happen; the exit code."""
    from engine.store.paths import open_store
    from engine.study.cells import counts, find_cells
    from engine.study.run import advance, is_over
    from tui.cli.studies import held_up

    store = open_store(root)
    shown = ""
    lines = 0
    while True:
        advance(store)
        states = find_cells(store, found)
        text = matrix(found, states) + f"\n{counts_text(counts(states))}"
        if text != shown and not as_json:
            if can_redraw() and lines:
                print(f"\x1b[{lines}A\x1b[J", end="")
            print(text if can_redraw() else counts_text(counts(states)), flush=True)
            lines, shown = text.count("\n") + 1, text
        if is_over(store, found, states):
            advance(store)  # it may have ended since: now the verdict and the report are written
            break
        if not _goes_on(store, found, states):
            for reason in held_up(store, found.label):
                complain(reason)
            complain(f"nothing more of {found.label} starts by itself: see `heats study status {found.label}`")
            return 1
        time.sleep(_LOOK_SECONDS)
    if found.spec.hypothesis:
        from tui.cli.study_verdict import command as verdict

        verdict(str(found.file), preset=found.preset, record=False, as_json=as_json, runs_dir=store.root)
    elif as_json:
        print_json({"study": found.label, "cells": counts(states)})
    return 1 if any(state.standing == "failed" for state in states) else 0


def _goes_on(store: Store, study: Study, states: Sequence[CellState]) -> bool:
    """Whether anything of a study, or of what it needs, runs or will start without a person doing something."""
    from engine.launch import queue
    from engine.study.cells import find_cells
    from engine.study.needs import order_of

    held = {item.run for item in queue.waiting(store) if item.for_person}
    for source in order_of(study):
        found = states if source.label == study.label else find_cells(store, source)
        for state in found:
            if state.standing == "live":
                return True
            if state.standing == "queued" and state.run is not None and state.run.id not in held:
                return True
    return False
