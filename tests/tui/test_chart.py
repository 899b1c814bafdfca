"""The screen of charts: a grid of all metrics, one in full, several runs over each other."""

from __future__ import annotations

from pathlib import Path

from textual.pilot import Pilot

from tests.tui.driving import drive, until
from tests.tui.made import add_steps, make_run
from tui.heats_app import HeatsApp
from tui.screens.chart import ChartScreen
from tui.widgets.chart_grid import ChartGrid


async def opened(app: HeatsApp, pilot: Pilot[None], *run_ids: str, group: str | None = None) -> ChartGrid:
    """A screen of charts over some runs, its curves read."""
    screen = ChartScreen(run_ids, group)
    app.push_screen(screen)
    await until(pilot, lambda: screen.is_mounted and bool(screen.query_one(ChartGrid).view.runs))
    grid = screen.query_one(ChartGrid)
    await until(pilot, lambda: bool(grid.charts) and bool(grid.charts[0].lines))
    return grid


def test_all_metrics_of_a_run_are_charts_and_enter_shows_one_in_full(store_root: Path) -> None:
    run = make_run(store_root, "mine", state="running")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        grid = await opened(app, pilot, run.id)
        assert [chart.title_text for chart in grid.charts] == ["loss", "lr"]
        assert [line.label for line in grid.charts[0].lines] == ["train", "val"]
        await pilot.press("l")
        assert grid.chosen == "lr"
        await pilot.press("h", "enter")
        await until(pilot, lambda: grid.full and len(grid.charts) == 1)
        add_steps(run, 61, 70)
        await until(pilot, lambda: len(grid.charts[0].lines[0].curve) == 70)
        await pilot.press("escape")
        assert not grid.full
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, ChartScreen))

    drive(store_root, body)
