"""Following a run until it ends, on a terminal or as plain lines. Leaving never ends the run."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator

import typer

from engine.store.paths import RunPaths
from engine.store.status import State
from engine.store.summary import RunSummary, summarize
from tui import format as form
from tui.bell import is_news, wants_bell
from tui.cli import terminal

POLL_SECONDS = 0.5
_WELL_ENDED = (State.FINISHED, State.STOPPED)


def watch_run(
    run: RunPaths, pause: Callable[[float], None] = time.sleep, *, bell: bool = False
) -> Iterator[RunSummary]:
    """The run's summary, twice a second, until its end; the last one is in a final state."""
    gc.enable()  # turned off for a quick start; this may go on for days
    before: RunSummary | None = None
    while True:
        summary = summarize(run)
        if summary is not None:
            if bell and (summary.status.is_final or is_news(before, summary)):
                terminal.ring()
            before = summary
            yield summary
            if summary.status.is_final:
                return
        pause(POLL_SECONDS)


def follow(run: RunPaths, *, quiet: bool = False, bell: bool = False) -> RunSummary:
    """Stay until the run ends, say how it ended, and return that.

    Args:
        run: which run.
        quiet: print nothing (stdout is kept for JSON).
        bell: ring the terminal's bell at each new alert and at the end.

    Raises:
        typer.Exit: the person left; the run goes on.
    """
    code = 0
    try:
        last = _follow(run, quiet, bell or wants_bell())
    except KeyboardInterrupt:
        last, code = None, 130
    if last is None:
        end = run.id[-4:]
        terminal.complain(f"the run goes on: {run.id}; `heats watch {end}` comes back, `heats stop {end}` ends it")
        raise typer.Exit(code)
    if not quiet:
        print(ending(last))
    return last


def _follow(run: RunPaths, quiet: bool, bell: bool) -> RunSummary | None:
    first = summarize(run)
    if first is not None and first.status.is_final:
        return first
    if quiet:
        *_, last = watch_run(run, bell=bell)
        return last
    if terminal.can_redraw():
        from tui.cli.live import follow_live

        return follow_live(run, bell=bell)
    from tui.cli.lines import follow_lines

    return follow_lines(run, bell=bell)


def ending(summary: RunSummary) -> str:
    """How a run stands, in a line or two."""
    reason = "" if summary.reason == str(summary.status) else f": {terminal.safe(summary.reason)}"
    metrics = "  ".join(
        f"{terminal.safe(name)} {form.number(value)}" for name, value in headline(summary.metrics).items()
    )
    head = f"{terminal.label(summary.status)} {summary.id}{reason}"
    progress = f"step {form.progress(summary.step, summary.total_steps)}"
    return f"{head}\n  {progress}  {metrics}".rstrip()


def headline(metrics: dict[str, float], most: int = 4) -> dict[str, float]:
    """The few metrics worth a place on one line: what was evaluated first, then the training loss."""
    names = [name for name in metrics if name.startswith(("val/", "test/"))]
    names.sort(key=lambda name: (name != "val/loss", name.count("/"), len(name)))
    first = ["train/loss"] if "train/loss" in metrics else []
    return {name: metrics[name] for name in (first + names)[:most]}


def exit_code(summary: RunSummary) -> int:
    """0 when the run did what it should or was stopped, 1 when it died."""
    return 0 if summary.status in _WELL_ENDED else 1
