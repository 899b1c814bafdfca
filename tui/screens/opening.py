"""From one screen to another about runs. Screens are imported when somebody goes there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.heats_app import HeatsApp


def open_run(app: HeatsApp, run_id: str) -> None:
    """A run's own screen."""
    from tui.screens.run import RunScreen

    app.push_screen(RunScreen(run_id))


def open_compare(app: HeatsApp, run_ids: Sequence[str]) -> None:
    """Runs side by side."""
    from tui.screens.compare import CompareScreen

    app.push_screen(CompareScreen(run_ids))


def open_chart(app: HeatsApp, run_ids: Sequence[str], metric: str | None) -> None:
    """The curves of several runs in one chart, of the metrics that measure the same as one."""
    from tui.run_curves import DEFAULT_GROUP, group_of
    from tui.screens.chart import ChartScreen

    app.push_screen(ChartScreen(list(run_ids), group_of(metric) if metric else DEFAULT_GROUP))


def open_launch(app: HeatsApp, *, clone_of: str | None = None) -> None:
    """The launch form; filled with the options of a run, where one is to be cloned."""
    from tui.screens.launch import LaunchScreen

    app.push_screen(LaunchScreen(clone_of=clone_of))
