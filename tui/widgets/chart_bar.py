"""The line above a grid of charts, and the lines of a full chart's legend. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

from tui import format
from tui.widgets import scale
from tui.widgets.chart import Chart, Look, Window
from tui.widgets.chart_signs import place_label
from tui.widgets.legend import Entry
from tui.widgets.scale import Axis


@dataclass(frozen=True)
class BarFacts:
    """What the line above the charts tells."""

    runs: int
    charts: int
    at: int
    """The place of the chosen chart among them, from 0 on."""
    on_page: int
    """How many charts a page holds."""
    filter: str
    hidden: int
    look: Look
    axis: Axis
    """The x axis in use."""
    bands: bool
    window: Window | None
    cursor: float | None


def bar_text(facts: BarFacts, *, full: bool, ascii_only: bool) -> str:
    """Which page, and how the charts are shown.

    Args:
        facts: what there is to tell.
        full: whether one chart is seen alone.
        ascii_only: no glyphs.
    """
    look, parts = facts.look, []
    if facts.runs > 1:
        parts.append(f"{facts.runs} runs")
    if facts.charts:
        pages = -(-facts.charts // facts.on_page)
        parts.append(f"chart {facts.at + 1} of {facts.charts}")
        if pages > 1 and not full:
            parts.append(f"page {facts.at // facts.on_page + 1} of {pages}")
    parts += [f"filter {facts.filter!r}"] if facts.filter else []
    parts += [f"{facts.hidden} hidden"] if facts.hidden else []
    parts.append(f"x {scale.AXIS_NAMES[facts.axis]}{' log' if look.log_x else ''}")
    parts += ["log y"] if look.log_y else []
    parts += [f"smooth {look.smoothing:g}"] if look.smoothing else []
    parts += ["outliers trimmed"] if look.clip else []
    parts += ["mean and range of each arm"] if facts.bands else []
    if facts.window is not None:
        parts.append("zoomed, following" if facts.window.tail else "zoomed")
    if facts.cursor is not None:
        parts.append(f"at {place_label(facts.cursor, facts.axis)}")
    return (" | " if ascii_only else " · ").join(parts)


def legend_entries(chart: Chart, cursor: float | None) -> list[Entry]:
    """A full chart's lines with what they say at the crosshair, or at their end."""
    domain = chart.domain()
    slack = (domain.x1 - domain.x0) / max(1, chart.size.width) if domain is not None else 0.0
    entries = []
    for line in chart.lines:
        reading = chart.plot.read(line, cursor, slack)
        smoothed = format.number(reading.smoothed) if reading.smoothed is not None else ""
        cells = (
            format.number(reading.value), smoothed, format.count(reading.step),
            format.clock(reading.moment) if reading.moment else "",
        )  # fmt: skip
        label = f"{line.label} (hidden)" if line.hidden else line.label
        style = chart.style_of(chart.plot.color(line))
        entries.append(Entry(line.name, chart.mark_of(line), label, cells, style, line.hidden))
    return entries
