"""`heats show`."""

from __future__ import annotations

from typing import Any

from engine.errors import HeatsError
from engine.store import checkpoints
from engine.store.checkpoints import Checkpoint
from engine.store.files import encode_number
from engine.store.paths import RunPaths
from engine.store.summary import RunSummary, summarize
from tui.cli.attempts import AttemptView, view_attempts
from tui.cli.defaults import changed_from_defaults
from tui.cli.figure_sources import read_sources
from tui.cli.options import AsJson, RunName, RunsDir, the_run
from tui.cli.sheet import print_sheet
from tui.cli.terminal import print_json


def command(run: RunName, as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """Show all there is to know of a run: status and why, progress, metrics, attempts, checkpoints, options."""
    found = the_run(run, runs_dir)
    summary = summary_of(found)
    attempts = view_attempts(found, summary)
    saved = checkpoints.scan(found)
    try:
        options, trouble = changed_from_defaults(found, summary.task), None
    except HeatsError as error:
        options, trouble = {}, str(error)
    if as_json:
        print_json(to_json(found, summary, attempts, saved, options))
    else:
        print_sheet(found, summary, attempts, saved, options, trouble)


def summary_of(run: RunPaths) -> RunSummary:
    """The summary of a run that is there.

    Raises:
        HeatsError: it is still being made.
    """
    summary = summarize(run)
    if summary is None:
        raise HeatsError("it has no run.json", place=run.id, remedy="it is being made just now, or its launch died")
    return summary


def to_json(
    run: RunPaths,
    summary: RunSummary,
    attempts: list[AttemptView],
    saved: list[Checkpoint],
    options: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """The run's object as in lists, and beside it what only `show` reads."""
    return summary.to_json() | {
        "attempt_list": [attempt.to_json() for attempt in attempts],
        "checkpoints": [
            {
                "step": item.step,
                "reason": item.reason,
                "created": item.created,
                "bytes": item.bytes,
                "metric": None if item.metric is None else encode_number(item.metric),
                "attempt": item.attempt,
                "emergency": item.emergency,
                "shadowed": item.shadowed,
                "usable": item.usable,
                "problems": list(item.problems),
                "path": str(item.folder),
            }
            for item in saved
        ],
        "changed_options": options,
        "path": str(run.folder),
        "figure_sources": read_sources(run),
    }
