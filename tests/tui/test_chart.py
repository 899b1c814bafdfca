"""The screen of charts: a grid of all metrics, one in full, several runs over each other."""

from __future__ import annotations

import csv
import json
import math
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from engine.store.files import read_json
from tests.tui.driving import drive, told, until
from tests.tui.made import add_steps, make_run
from tui import view_state
from tui.actions import ACTIONS
from tui.actions.action import CHART
from tui.heats_app import HeatsApp
from tui.screens.chart import ChartScreen
from tui.widgets.chart import Chart, Window
from tui.widgets.chart_grid import ChartGrid
from tui.widgets.legend import Legend


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


def test_keys_zoom_pan_read_and_reset(store_root: Path) -> None:
    run = make_run(store_root, "mine", state="running")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        grid = await opened(app, pilot, run.id)
        await pilot.press("plus", "plus")
        assert grid.window is not None
        assert grid.window.tail, "the end is in view, so it is followed"
        domains = [chart.domain() for chart in grid.charts]
        assert {(domain.x0, domain.x1) for domain in domains if domain} == {(grid.window.start, grid.window.stop)}
        add_steps(run, 61, 90)
        await until(pilot, lambda: len(grid.charts[0].lines[0].curve) == 90)
        moved = grid.charts[0].domain()
        assert moved is not None
        assert moved.x0 < 90 <= moved.x1
        await pilot.press("less_than_sign")
        assert grid.window == replace(grid.window, tail=False)
        await pilot.press("comma", "comma", "full_stop")
        assert grid.cursor is not None
        assert [chart.cursor for chart in grid.charts] == [grid.cursor] * 2, "one crosshair over all charts"
        assert any("┼" in row for row in _rows(grid.charts[0]))
        await pilot.press("escape", "0")
        assert _place(grid) == (None, None)
        whole = grid.charts[0].domain()
        assert whole is not None
        assert (whole.x0, whole.x1) == (0, 90)

    drive(store_root, body)


def _place(grid: ChartGrid) -> tuple[float | None, Window | None]:
    return grid.cursor, grid.window


def _rows(chart: Chart) -> list[str]:
    return [chart.render_line(row).text for row in range(chart.size.height)]


def test_axes_are_read_anew_and_what_is_missing_is_said(store_root: Path) -> None:
    run = make_run(store_root, "mine")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        grid = await opened(app, pilot, run.id, group="loss")
        await pilot.press("x")
        await until(pilot, lambda: grid.view.axis == "epoch")
        assert "knows no epoch" in _rows(grid.charts[0])[0]
        await pilot.press("x")
        await until(pilot, lambda: grid.view.axis == "elapsed")
        domain = grid.charts[0].domain()
        assert domain is not None
        assert domain.x1 == 60
        await pilot.press("x")
        await until(pilot, lambda: grid.view.axis == "time")
        assert grid.charts[0].plot.axis == "time"
        await pilot.press("y", "X", "t", "right_square_bracket")
        assert (grid.look.log_y, grid.look.log_x, grid.look.clip, grid.look.smoothing) == (True, True, True, 0.6)
        state = view_state.state_path(store_root)
        await until(pilot, lambda: (read_json(state) or {}).get("chart_axis") == "time")

    drive(store_root, body)


def test_runs_over_each_other_with_a_legend(store_root: Path) -> None:
    runs = [make_run(store_root, name, steps=60 + 10 * place) for place, name in enumerate("abc")]

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        grid = await opened(app, pilot, *(run.id for run in runs), group="lr")
        legend = grid.query_one(Legend)
        assert [line.label for line in grid.charts[0].lines] == ["a", "b", "c"]
        await until(pilot, lambda: len(legend.entries) == 3)
        assert [entry.cells[2] for entry in legend.entries] == ["60", "70", "80"]
        await pilot.press("j", "space")
        assert [line.hidden for line in grid.charts[0].lines] == [False, True, False]
        colors = [line.color for line in grid.charts[0].lines]
        await pilot.press("U")
        assert [line.hidden for line in grid.charts[0].lines] == [False, False, False]
        assert [line.color for line in grid.charts[0].lines] == colors
        await pilot.press("m")
        assert grid.charts[0].title_text == "loss"
        assert len(grid.charts[0].lines) == 6

    drive(store_root, body)


def test_a_run_with_four_hundred_metrics(store_root: Path) -> None:
    run = make_run(store_root, "mine", steps=2)
    with run.attempts()[-1].metrics.open("a") as file:
        for step in (3, 4):
            values = {f"val/part_{number:03d}": number + step for number in range(400)}
            file.write(json.dumps({"step": step, "time": 1.7e9 + step} | values) + "\n")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        grid = await opened(app, pilot, run.id)
        assert len(grid.groups) == 402
        size = len(grid.charts)
        await pilot.press("ctrl+d")
        assert grid.charts[0].title_text == grid.groups[size]
        await pilot.press("G")
        assert grid.chosen == "part_399"
        await pilot.press("g", "left_parenthesis", "left_curly_bracket", "left_curly_bracket")
        await until(pilot, lambda: len(grid.charts) < size)
        await pilot.press("slash", *"*1?7", "enter")
        await until(pilot, lambda: not grid.typing)
        assert grid.groups == [f"part_1{digit}7" for digit in range(10)]
        await pilot.press("l", "H")
        assert grid.groups == [f"part_1{digit}7" for digit in (0, 2, 3, 4, 5, 6, 7, 8, 9)]
        assert grid.chosen == "part_127"
        await pilot.press("K")
        assert grid.groups[:3] == ["part_127", "part_107", "part_137"]
        await pilot.press("l", "l", "p")
        assert grid.groups[:3] == ["part_137", "part_127", "part_107"]
        await pilot.press("escape")
        assert len(grid.groups) == 401
        await pilot.press("slash", *"zz", "enter")
        await until(pilot, lambda: not grid.typing)
        assert "none of 402 charts" in "".join(_rows(grid.charts[0]))

    drive(store_root, body)


def test_limits_are_typed_and_a_mistake_is_a_sentence(store_root: Path) -> None:
    run = make_run(store_root, "mine")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        grid = await opened(app, pilot, run.id, group="loss")
        await pilot.press("R", *"2 1", "enter")
        await until(pilot, lambda: "2 isn't below 1" in told(app))
        await pilot.press(*["backspace"] * 3, *"0..1", "enter")
        domain = grid.charts[0].domain()
        assert domain is not None
        assert (domain.y0, domain.y1) == (0, 1)
        assert "outside" in _rows(grid.charts[0])[0]
        assert app.state.chart_limits == "loss\t0.0\t1.0"

    drive(store_root, body)


def test_what_is_shown_is_written_and_told(store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(store_root, "mine")
    monkeypatch.chdir(tmp_path)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await opened(app, pilot, run.id, group="loss")
        await pilot.press("plus", "right_square_bracket", "W")
        await until(pilot, lambda: "wrote" in told(app), 60)
        picture, points = next(tmp_path.glob("mine-loss-*.svg")), next(tmp_path.glob("mine-loss-*.csv"))
        assert picture.name in told(app)
        assert "<svg" in picture.read_text()
        rows = list(csv.DictReader(points.open()))
        assert set(rows[0]) == {"line", "step", "time", "value", "smoothed"}
        steps = [int(row["step"]) for row in rows if row["line"] == "train"]
        assert steps == list(range(30, 61)), "what is zoomed to"

    drive(store_root, body)


def test_the_mouse_zooms_drags_points_and_opens(store_root: Path) -> None:
    run = make_run(store_root, "mine")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        grid = await opened(app, pilot, run.id)
        chart = grid.charts[1]
        await pilot.click(chart, offset=(30, 6))
        await until(pilot, lambda: grid.chosen == "lr" and grid.cursor is not None)
        chart.post_message(Chart.Wheeled(chart, 30.0, 1))
        await until(pilot, lambda: grid.window is not None)
        before = grid.window
        chart.post_message(Chart.Dragged(chart, 0.2))
        await until(pilot, lambda: grid.window != before)
        await pilot.click(chart, offset=(30, 6), times=2)
        await until(pilot, lambda: grid.full)

    drive(store_root, body)


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (200, 60)])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_any_size_and_any_key(store_root: Path, size: tuple[int, int], ascii_only: bool) -> None:
    runs = [make_run(store_root, name, loss=lambda step: math.nan if step % 9 == 0 else 1 / step) for name in "ab"]
    keys = sorted({key for action in ACTIONS if CHART in action.where for key in action.keys} - {"W"})
    chance = random.Random(0)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        grid = await opened(app, pilot, *(run.id for run in runs))
        for _ in range(40):
            await pilot.press(chance.choice(keys))
            if not isinstance(app.screen, ChartScreen):
                grid = await opened(app, pilot, *(run.id for run in runs))
        for other in ((1, 1), (23, 6), (120, 30), size):
            await pilot.resize_terminal(*other)
            await pilot.pause()
        if ascii_only:
            shown = [strip.text for strip in app.screen._compositor.render_strips()]
            assert "".join(shown).isascii()
        assert grid.is_attached or app.is_running

    drive(store_root, body, size=size, ascii_only=ascii_only)


def test_a_run_that_vanished_and_one_without_metrics(store_root: Path) -> None:
    empty, gone = make_run(store_root, "empty", steps=0), make_run(store_root, "gone")
    shutil.rmtree(gone.folder)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        screen = ChartScreen((empty.id, gone.id), "loss")
        app.push_screen(screen)
        await until(pilot, lambda: screen.is_mounted and len(screen.query_one(ChartGrid).view.runs) == 2)
        await until(pilot, lambda: bool(screen.query_one(ChartGrid).charts))
        await until(pilot, lambda: "nothing logged yet" in "".join(_rows(screen.query_one(ChartGrid).charts[0])))
        await pilot.press("plus", "comma", "x", "W", "R", "escape")
        assert "no chart with points" in told(app)

    drive(store_root, body)
