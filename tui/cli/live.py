"""The live panel of `heats watch` and `--follow`."""

from __future__ import annotations

from rich.console import Console
from rich.live import Live

from engine.store.metrics import RunHistory
from engine.store.paths import RunPaths
from engine.store.summary import RunSummary
from tui.cli.follow import watch_run
from tui.cli.keys import single_keys
from tui.cli.panel import draw
from tui.cli.tail import last_lines


def follow_live(run: RunPaths, *, bell: bool = False) -> RunSummary | None:
    """Draw a run twice a second until it ends; None when the person pressed q.

    The panel has the whole screen, so that a resized window leaves no torn frames; the screen comes back afterwards.
    """
    console = Console(highlight=False)
    history = RunHistory(run)
    left = False

    def pause(seconds: float) -> None:
        nonlocal left
        left = "q" in keys.wait(seconds).lower()

    with single_keys() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        for summary in watch_run(run, pause, bell=bell):
            if left:
                return None
            if summary.status.is_final:
                return summary
            history.refresh()
            newest = run.attempts()
            log = last_lines(newest[-1].output, console.size.height) if newest else []
            live.update(draw(summary, history, log, console.size.width, console.size.height), refresh=True)
    return None
