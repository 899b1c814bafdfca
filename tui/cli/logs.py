"""`heats logs`."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from engine.errors import HeatsError
from engine.store.paths import AttemptPaths, RunPaths
from engine.store.summary import summarize
from tui.cli.options import RunName, RunsDir, the_run
from tui.cli.tail import LineFollower, last_lines
from tui.cli.terminal import colour_works, hint, is_terminal, safe_log_line

_POLL_SECONDS = 0.25


def command(
    run: RunName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it is written, until the run ends.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, metavar="LINES", help="How many last lines.")] = 50,
    attempt: Annotated[
        int | None, typer.Option("--attempt", min=1, metavar="N", help="Of this attempt; else of the newest.")
    ] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Print the last lines of what a run's training wrote."""
    found = the_run(run, runs_dir)
    chosen = _choose(found, attempt)
    if not follow:
        shown = last_lines(chosen.output, lines)
        _print(shown)
        if not shown and not chosen.output.exists():
            hint(f"attempt {chosen.number} has written nothing yet")
        return
    import gc

    gc.enable()
    _follow(found, chosen, lines, stay=attempt is not None)


def _choose(run: RunPaths, number: int | None) -> AttemptPaths:
    attempts = run.attempts()
    if not attempts:
        raise HeatsError("it has no attempt yet, so there is no output", place=run.id)
    if number is None:
        return attempts[-1]
    for attempt in attempts:
        if attempt.number == number:
            return attempt
    there = ", ".join(str(attempt.number) for attempt in attempts)
    raise HeatsError(f"it has no attempt {number}", place=run.id, remedy=f"there are: {there}")


def _follow(run: RunPaths, attempt: AttemptPaths, lines: int, *, stay: bool) -> None:
    """Print as it is written; into a newer attempt too, unless one was asked for by number."""
    follower = LineFollower(attempt.output, lines)
    while True:
        # The order matters: what is written before the end is seen must still be printed.
        newest = run.attempts()[-1].number
        summary = summarize(run)
        over = attempt.number < newest or (summary is not None and summary.status.is_final)
        _print(follower.read(rest=over))
        if over and (stay or attempt.number == newest):
            return
        if over:
            attempt = run.attempt(attempt.number + 1)
            follower = LineFollower(attempt.output, None)
            print(f"--- attempt {attempt.number} ---", file=sys.stderr)
            continue
        time.sleep(_POLL_SECONDS)


def _print(lines: list[str]) -> None:
    if is_terminal():
        lines = [safe_log_line(line, colours=colour_works()) for line in lines]
    for line in lines:
        print(line)
    sys.stdout.flush()
