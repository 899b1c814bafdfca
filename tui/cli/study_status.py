"""`heats study status`."""

from __future__ import annotations

from tui.cli.options import AsJson, RunsDir, the_store
from tui.cli.studies import Preset, StudyName, advance_quietly, counts_text, held_up, legend, matrix, the_study
from tui.cli.terminal import paint, print_json, safe

_MOST_NAMES = 4


def command(study: StudyName, preset: Preset = None, as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """Show arms by seeds: how every cell stands, its figure once it has one, and what is wrong."""
    from engine.study.cells import counts, find_cells, to_json, troubles

    found = the_study(study, preset)
    store = the_store(runs_dir)
    advance_quietly(store)
    states = find_cells(store, found)
    if as_json:
        print_json(
            {
                "study": found.label, "question": found.spec.question, "metric": found.metric,
                "cells_by_standing": counts(states), "held_up": held_up(store, found.label),
                "cells": [to_json(state, found.metric, found.spec.value) for state in states],
            }
        )  # fmt: skip
        return
    print(safe(found.spec.question))
    print(matrix(found, states))
    print(f"{counts_text(counts(states))}    {legend(states)}")
    if found.metric:
        print(f"figures: {found.metric}, {'its best' if found.spec.value == 'best' else 'at the last evaluation'}")
    for trouble in troubles(states):
        names = ", ".join(trouble.cells[:_MOST_NAMES])
        more = f" and {len(trouble.cells) - _MOST_NAMES} more" if len(trouble.cells) > _MOST_NAMES else ""
        first = next(state.summary.id for state in states if state.cell.name == trouble.cells[0] and state.summary)
        print(
            f"  {safe(names)}{more} {safe(trouble.reason)} ({safe(first)}{', ...' if len(trouble.cells) > 1 else ''})"
        )
    waiting = [state for state in states if state.standing == "waiting"]
    if waiting:
        needs = ", ".join(dict.fromkeys(key for state in waiting for key in state.cell.needs))
        print(f"  {len(waiting)} cells wait for {safe(needs)}")
    for reason in held_up(store, found.label):
        print(paint(f"nothing more is started: {safe(reason)}", "yellow"))
    for standing in ("failed", "suspect"):
        if any(state.standing == standing for state in states):
            print(f"`heats study run {found.label} --redo {standing}` trains {standing} cells anew")
