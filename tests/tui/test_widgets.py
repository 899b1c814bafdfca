"""The table, the chart and the log view: what they show, and that they draw again only what changed."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.cells import cell_len
from rich.style import Style
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widget import Widget

from engine.store.buckets import curve
from engine.store.logs import LogFile
from engine.store.status import State
from engine.store.summary import RunSummary
from tests.tui.made import summary
from tui.widgets.chart import Chart, Line, Look
from tui.widgets.cursor_view import CursorView
from tui.widgets.log_view import LogView, TextLines
from tui.widgets.run_table import RunTable
from tui.widgets.tab_bar import TabBar
from tui.widgets.virtual_table import Segments


class OneWidget(App[None]):
    """Shows one widget and notes what it asks to be drawn again."""

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.widget = widget
        self.asked: list[tuple[Region, ...]] = []
        original = widget.refresh

        def refresh(*regions: Region, **options: Any) -> Widget:
            self.asked.append(regions)
            return original(*regions, **options)

        widget.refresh = refresh  # type: ignore[method-assign]

    def compose(self) -> ComposeResult:
        yield self.widget


def show(
    widget: Widget, body: Callable[[OneWidget, Pilot[None]], Awaitable[None]], size: tuple[int, int] = (80, 24)
) -> None:
    async def run() -> None:
        app = OneWidget(widget)
        async with app.run_test(size=size) as pilot:
            widget.focus()
            await pilot.pause()
            app.asked.clear()
            await body(app, pilot)

    asyncio.run(run())


def text_of(widget: Widget) -> list[str]:
    return [widget.render_line(row).text for row in range(widget.size.height)]


# The table


def selected_of(table: RunTable) -> RunSummary | None:
    return table.selected


def test_the_selection_sticks_to_the_run() -> None:
    table = RunTable()
    runs = [summary(number) for number in range(30)]

    async def body(app: OneWidget, pilot: Pilot[None]) -> None:
        table.set_rows(runs)
        table.move_by(7)
        assert table.selected is runs[7]
        table.set_rows(list(reversed(runs)))
        assert table.selected is runs[7]
        table.set_rows(runs[5:])
        assert table.selected is runs[7]
        assert table.cursor == 2
        table.set_rows(runs[10:])  # it is gone: the row stays
        assert table.selected is runs[12]
        table.set_rows([])
        assert selected_of(table) is None
        table.set_rows(runs, select=runs[3].id)
        assert table.selected is runs[3]

    show(table, body)


def test_a_move_draws_two_rows() -> None:
    table = RunTable()

    async def body(app: OneWidget, pilot: Pilot[None]) -> None:
        table.set_rows([summary(number) for number in range(1000)])
        await pilot.pause()
        app.asked.clear()
        table.move_by(1)
        await pilot.pause()
        regions = [region for regions in app.asked for region in regions]
        assert all(app.asked), "the whole table was drawn again"
        assert sorted(region.y for region in regions) == [1, 2]
        assert {region.height for region in regions} == {1}

    show(table, body)


def test_only_changed_rows_are_drawn_again() -> None:
    table = RunTable()
    runs = [summary(number) for number in range(20)]

    async def body(app: OneWidget, pilot: Pilot[None]) -> None:
        table.set_rows(runs)
        await pilot.pause()
        app.asked.clear()
        table.set_rows(list(runs))
        assert not [regions for regions in app.asked if regions]
        news = list(runs)
        news[4] = summary(4, step=11)
        table.set_rows(news)
        assert [region.y for regions in app.asked for region in regions] == [5]

    show(table, body)


def test_ten_thousand_runs() -> None:
    table = RunTable()
    runs = [summary(number, name=f"run-{number}") for number in range(10_000)]

    async def body(app: OneWidget, pilot: Pilot[None]) -> None:
        begin = time.process_time()
        table.set_rows(runs)
        await pilot.pause()
        assert time.process_time() - begin < 0.5
        table.move_to_end()
        await pilot.pause()
        assert table.selected is runs[-1]
        assert any("run-9999" in line for line in text_of(table))
        table.move_page(-1)
        assert table.cursor < 9_999
        assert len(table.visible_ids()) == 23

    show(table, body)


def test_a_row_says_it_without_colour() -> None:
    table = RunTable(ascii_only=True)
    runs = [summary(1, status=State.LOST), summary(2, status=State.RUNNING, metrics={"train/loss": math.nan})]

    async def body(app: OneWidget, pilot: Pilot[None]) -> None:
        table.set_rows(runs)
        lines = text_of(table)
        assert "- lost" in lines[1]
        assert "* running" in lines[2]
        assert "NaN" in lines[2]
        assert "".join(lines).isascii()

    show(table, body)


# The chart


def _falling(length: int) -> Line:
    return Line("train", curve(range(length), [5 / (1 + step / 50) for step in range(length)]))


def test_a_new_point_draws_few_rows() -> None:
    chart = Chart()

    async def body(app: OneWidget, pilot: Pilot[None]) -> None:
        chart.show("loss", [_falling(1010)])
        await pilot.pause()
        app.asked.clear()
        rows = set()
        for length in range(1011, 1031):
            chart.show("loss", [_falling(length)])
            rows |= {region.y for regions in app.asked for region in regions}
        assert all(app.asked), "the whole chart was drawn again"
        assert len(rows) <= 4
        app.asked.clear()
        chart.show("loss", [_falling(1030)])
        assert not app.asked

    show(chart, body)


def test_spikes_and_nan_are_on_the_screen() -> None:
    values = np.full(1_000_000, 0.1)
    values[np.linspace(12_345, 990_000, 20).astype(int)] = 5.0
    values[500_500] = math.nan
    chart = Chart()

    async def body(app: OneWidget, pilot: Pilot[None]) -> None:
        chart.show("loss", [Line("train", curve(np.arange(1_000_000), values))])
        lines = text_of(chart)
        tops = [line[8:] for line in lines[1:4]]
        columns = {at for line in tops for at, sign in enumerate(line) if sign not in " │┤"}
        assert len(columns) == 20
        assert "NaN" in lines[-2]
        assert lines[-2].count("×") == 1
        begin = time.process_time()
        chart.redraw()
        assert time.process_time() - begin < 0.1

    show(chart, body, (160, 30))


def test_looks() -> None:
    chart = Chart()

    async def body(app: OneWidget, pilot: Pilot[None]) -> None:
        chart.show("loss", [_falling(500)])
        plain = text_of(chart)
        chart.set_look(Look(log_y=True))
        logarithmic = text_of(chart)
        assert plain != logarithmic
        assert "log" in logarithmic[0]
        domain = chart.domain()
        assert domain is not None
        assert domain.log
        assert domain.y0 > 0
        chart.set_look(Look(smoothing=0.9))
        assert "smooth 0.9" in chart.render_line(0).text
        chart.set_look(Look(log_y=True))
        chart.show("loss", [Line("train", curve([1, 2], [-1.0, 0.0]))])
        assert "nothing above 0" in chart.render_line(0).text

    show(chart, body)


def test_odd_curves_and_sizes() -> None:
    curves = [
        curve([], []),
        curve([1], [1.0]),
        curve([1], [math.nan]),
        curve([1, 2], [math.inf, -math.inf]),
        curve([10**9, 10**9 + 1], [1e300, -1e300]),
        curve([1, 2, 3], [1e-300, 1e-300, 1e-300]),
    ]
    for size in ((1, 1), (3, 2), (12, 3), (23, 5), (40, 7), (200, 60)):
        for ascii_only in (False, True):
            chart = Chart(ascii_only=ascii_only)

            async def body(app: OneWidget, pilot: Pilot[None], chart: Chart = chart) -> None:
                for look in (Look(), Look(True, 0.9)):
                    chart.set_look(look)
                    for number in range(len(curves) + 1):
                        chart.show("x", [Line(str(at), found) for at, found in enumerate(curves[:number])])
                        for line in range(chart.size.height):
                            assert chart.render_line(line).cell_length == chart.size.width

            show(chart, body, size)


# The log


def test_the_end_is_followed_until_somebody_scrolls(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    path.write_text("".join(f"line {number}\n" for number in range(100)))
    log, view = LogFile(path), LogView(follow=True)

    async def body(app: OneWidget, pilot: Pilot[None]) -> None:
        log.refresh()
        view.show(log)
        assert text_of(view)[-1].strip() == "line 99"
        with path.open("a") as file:
            file.write("line 100\n 10%|#")
        log.refresh()
        view.show(log)
        assert [line.strip() for line in text_of(view)[-2:]] == ["line 100", "10%|#"]
        with path.open("a") as file:
            file.write("\r 20%|##")
        log.refresh()
        app.asked.clear()
        view.show(log)
        assert [region.y for regions in app.asked for region in regions] == [23]
        assert text_of(view)[-1].strip() == "20%|##"
        view.move_by(-5)
        assert not view.following
        before = text_of(view)
        with path.open("a") as file:
            file.write("\nmore\n")
        log.refresh()
        view.show(log)
        assert text_of(view)[0] == before[0]
        view.set_following(True)
        assert text_of(view)[-1].strip() == "more"

    show(view, body)


def test_searching() -> None:
    view = LogView()
    source = TextLines([f"line {number}" + (" needle" if number in (10, 50, 90) else "") for number in range(100)])

    async def body(app: OneWidget, pilot: Pilot[None]) -> None:
        view.show(source)

        def on_screen(number: int) -> bool:
            return any(line.startswith(f"line {number} needle") for line in text_of(view))

        assert view.search("needle")
        assert on_screen(10)
        for number in (50, 90, 10):  # round the end
            assert view.search("needle", again=True)
            assert on_screen(number)
        assert view.search("needle", again=True, backwards=True)
        assert on_screen(90)
        assert not view.search("nowhere")
        assert not view.search("")

    show(view, body)


def test_long_lines_are_broken_where_wanted() -> None:
    view = LogView(follow=True)
    lines = ["short", "x" * 200, "wide 漢字" * 30, "", "last"]

    async def body(app: OneWidget, pilot: Pilot[None]) -> None:
        view.show(TextLines(lines))
        assert "›" in text_of(view)[1]
        view.set_wrap(True)
        shown = text_of(view)
        assert "".join(line.rstrip() for line in shown[1:4]) == "x" * 200
        assert all(cell_len(line) == 80 for line in shown)
        await pilot.resize_terminal(20, 5)
        assert text_of(view)[-1].strip() == "last"
        for _ in range(40):
            view.move_by(-1)
        assert text_of(view)[0].strip() == "short"
        seen = []
        for _ in range(60):
            seen.append(text_of(view)[0].strip())
            view.move_by(1)
        assert seen.count("x" * 20) == 10, "every wrapped row comes by"
        assert view.search("last")
        assert any("last" in line for line in text_of(view))
        view.set_wrap(False)
        view.move_to_start()
        assert text_of(view)[0].strip() == "short"

    show(view, body)


def test_a_cursor_stands_only_on_its_stops() -> None:
    view = CursorView()
    moved: list[int] = []

    async def body(app: OneWidget, pilot: Pilot[None]) -> None:
        view.show_lines(["head", "one", "two", "", "head", "three"], stops=[1, 2, 5])
        for rows in (0, 1, 1, 1, -1, -9):
            view.move_by(rows)
            moved.append(view.cursor)
        assert moved == [1, 2, 5, 5, 2, 1]
        app.asked.clear()
        view.show_lines(["head", "one", "two", "", "head", "three"], stops=[1, 2, 5])
        assert not app.asked, "nothing new, nothing drawn"

    show(view, body)


def test_tabs_have_their_names_where_they_fit() -> None:
    bar = TabBar(("charts", "log", "config"))

    async def body(app: OneWidget, pilot: Pilot[None]) -> None:
        assert "3 Config" in bar.render_line(0).text
        await pilot.resize_terminal(16, 5)
        bar.show("log")
        assert "2 Log" in bar.render_line(0).text
        assert "Config" not in bar.render_line(0).text

    show(bar, body)


def test_a_line_says_that_its_end_was_cut() -> None:
    line = Segments(Style())
    line.add("goes on from ", Style(bold=True))
    line.add("the start   ")
    assert line.strip(16, "…").text == "goes on from th…"
    assert line.strip(22, "…").text == "goes on from the start"
    assert line.strip(24, "~").text == "goes on from the start  "
