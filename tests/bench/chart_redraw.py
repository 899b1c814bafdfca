"""`python -m tests.bench.chart_redraw`: CPU time of a chart's redraw, and whether one-step spikes are shown."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from textual.app import App, ComposeResult
from textual.geometry import Region

from engine.store.buckets import GrowingCurve
from tests.bench.report import emit, median, quiet
from tui.widgets.chart import Chart, Line, Look

_SPIKES = 20
_GUTTER = 8


class _Bench(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.chart = Chart()

    def compose(self) -> ComposeResult:
        yield self.chart


def curves(series: int, points: int) -> list[GrowingCurve]:
    """Flat noisy curves above each other, the first with spikes of one step."""
    chance = np.random.default_rng(0)
    found = []
    for number in range(series):
        values = chance.normal(0.1 + 0.05 * number, 0.005, points)
        if number == 0:
            values[np.linspace(points // 80, points * 0.99, _SPIKES).astype(int)] = 5.0
        growing = GrowingCurve()
        growing.extend(np.arange(points), values, 1.7e9 + np.arange(points, dtype=np.float64))
        found.append(growing)
    return found


def spikes_shown(chart: Chart) -> int:
    """How many columns reach to the top of the plot, where only spikes are."""
    rows = [chart.render_line(row).text[_GUTTER:] for row in range(1, chart.size.height // 2)]
    return len({column for row in rows for column, sign in enumerate(row) if sign not in " │┤"})


def cpu_ms(act: Callable[[int], object], rounds: int) -> list[float]:
    """Milliseconds of CPU of each of some rounds."""
    found = []
    for number in range(rounds):
        began = time.process_time()
        act(number)
        found.append(1e3 * (time.process_time() - began))
    return found


async def measure(series: int, points: int, rounds: int) -> None:
    """Redraw whole, zoomed, smoothed, with a moving crosshair and with a point more each time."""
    growing = curves(series, points)
    app = _Bench()
    size = f"{series} x {points:,} points"
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        chart = app.chart

        def lines() -> list[Line]:
            return [Line(f"run-{number}", part.snapshot()) for number, part in enumerate(growing)]

        def report(name: str, found: list[float], **facts: Any) -> None:
            emit(
                f"chart_redraw/{size}/{name}", median(found), "ms CPU", lowest=quiet(found), load=os.getloadavg()[0],
                **facts,
            )  # fmt: skip

        chart.show("loss", lines())
        report("whole", cpu_ms(lambda _: chart.redraw(), rounds), spikes_shown=spikes_shown(chart), spikes=_SPIKES)
        chart.set_view(None, None)
        places: list[float] = [points * number / rounds for number in range(rounds)]
        report("crosshair", cpu_ms(lambda number: chart.set_cursor(places[number]), rounds))
        chart.set_cursor(None)
        asked: list[int] = []
        original = chart.refresh

        def refresh(*regions: Region, **options: Any) -> Chart:
            asked.append(_cells(regions))
            return original(*regions, **options)

        chart.refresh = refresh  # type: ignore[method-assign]

        def grow(number: int) -> None:
            for part in growing:
                at = points + number + 1
                part.extend(np.array([at]), chance.normal(0.3, 0.1, 1), np.array([1.7e9 + at]))
            chart.show("loss", lines())

        chance = np.random.default_rng(1)
        grow(0)  # past a million the axis leaps once
        asked.clear()
        found = cpu_ms(lambda number: grow(number + 1), rounds)
        report("live, a point more", found, cells_drawn_again=median([float(cells) for cells in asked]) if asked else 0)
        first = cpu_ms(lambda _: chart.set_look(Look(smoothing=0.9)), 1)
        report("smoothed, the first time", first)
        report("smoothed", cpu_ms(lambda _: chart.redraw(), rounds))
        chart.set_look(Look(log_y=True, log_x=True))
        report("log-log", cpu_ms(lambda _: chart.redraw(), rounds))


def _cells(regions: tuple[Region, ...]) -> int:
    return sum(region.area for region in regions) if regions else 120 * 40


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=10)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.series, arguments.points, arguments.rounds))


if __name__ == "__main__":
    main()
