"""Waiting for runs that were asked to stop, with a countdown of the ladder."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Sequence

import typer

from engine.launch.actions import kill_unsupervised, last_launch
from engine.launch.ladder import LEAVE_SECONDS
from engine.store.paths import RunPaths
from engine.store.requests import read_stop
from engine.store.summary import RunSummary, summarize
from tui import format as form
from tui.cli.terminal import can_redraw, columns, complain, cut, label, safe

_POLL_SECONDS = 0.1


def wait_until_ended(runs: Sequence[RunPaths]) -> None:
    """Stay until every run has ended, and say of each how.

    Raises:
        typer.Exit: the person left; the stop goes on.
    """
    gc.enable()
    waiting = list(runs)
    redraw = can_redraw()
    try:
        while waiting:
            waiting = [run for run in waiting if not _ended(run, redraw)]
            if waiting and redraw:
                print(f"\r\x1b[K{_countdown(waiting)}", end="", flush=True)
            if waiting:
                time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        if redraw:
            print()
        complain(f"still stopping: {', '.join(run.id for run in waiting)}; leaving does not undo the request")
        raise typer.Exit(130) from None


def _ended(run: RunPaths, redraw: bool) -> bool:
    summary = summarize(run)
    if summary is None or not summary.settled:
        if _over_since(run) > 0:
            kill_unsupervised(run)  # a supervisor climbs the ladder itself
        return False
    print(("\r\x1b[K" if redraw else "") + _line(summary))
    sys.stdout.flush()
    return True


def _line(summary: RunSummary) -> str:
    return f"{label(summary.status)} {summary.id}: {safe(summary.reason)}"


def _countdown(waiting: Sequence[RunPaths]) -> str:
    """What happens next to the run that has the longest to go."""
    left = max(-_over_since(run) for run in waiting)
    which = waiting[0].id if len(waiting) == 1 else f"{len(waiting)} runs"
    if left > LEAVE_SECONDS:
        what = f"writing the last checkpoint, told to leave without it in {form.duration(left - LEAVE_SECONDS)}"
    elif left > 0:
        what = f"told to leave now, killed in {form.duration(left)}"
    else:
        what = "being killed"
    return cut(f"stopping {which}: {what}", (columns() or 80) - 1, head=30)


def _over_since(run: RunPaths) -> float:
    """Seconds since the ladder's last rung; negative while it is yet to come."""
    request, launch = read_stop(run), last_launch(run)
    if request is None or launch is None:
        return -LEAVE_SECONDS
    grace = 0.0 if request.now else launch.grace_seconds
    return time.time() - (request.time + grace + LEAVE_SECONDS)
