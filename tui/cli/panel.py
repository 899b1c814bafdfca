"""What the live panel shows of a run, as Rich text. A pure function of the run, its history and the room."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from rich import box
from rich.console import RenderableType
from rich.panel import Panel
from rich.text import Text

from engine.store.metrics import RunHistory
from engine.store.summary import RunSummary
from tui import format as form
from tui.cli.chart import chart
from tui.cli.terminal import cut, glyphs, safe, safe_log_line

_CHART_POINTS = 2000
_LEAST_LOG = 3


def draw(summary: RunSummary, history: RunHistory, log: Sequence[str], width: int, height: int) -> RenderableType:
    """A panel that fills the room: status, progress, loss curve, metrics, alerts, and the end of the output."""
    inner = max(20, width - 4)
    room = max(8, height - 2)
    lines = _head(summary, inner)
    alerts = [Text(cut(f"! {safe(alert)}", inner), "yellow") for alert in summary.alerts[-2:]]
    metrics = _metrics(summary, inner)
    left = room - len(lines) - len(alerts) - len(metrics) - _LEAST_LOG - 2
    if left < 2:
        metrics = metrics[: max(0, len(metrics) + left - 2)]
        left = room - len(lines) - len(alerts) - len(metrics) - _LEAST_LOG - 2
    if left >= 2:
        lines += _curve(history, inner, min(left, 8))
    lines += metrics + alerts
    rest = room - len(lines) - 1
    if rest > 0:
        lines.append(Text("output", "dim"))
        lines += [Text(cut(safe_log_line(line, colours=False), inner)) for line in list(log)[-rest:]]
    hint = "q leaves, the run goes on"
    return Panel(
        Text("\n").join(lines[:room]),
        title=Text(cut(summary.id, inner - 4, head=8)),
        subtitle=Text(hint, "dim"),
        box=box.ROUNDED if glyphs() else box.ASCII,
        height=height,
        width=width,
    )


def _head(summary: RunSummary, width: int) -> list[Text]:
    words = form.state_label(summary.status, ascii_only=not glyphs())
    first = Text(words, form.STATE_COLORS[summary.status])
    first.append(cut(f"  {safe(summary.reason)}", max(0, width - len(words))), "default")
    pace = [form.progress(summary.step, summary.total_steps)]
    pace += [form.rate(summary.rate)] if summary.rate else []
    pace += [f"{form.duration(summary.left)} left"] if summary.left is not None else []
    tail = "  ".join(pace)
    if not summary.total_steps:
        return [first, Text(tail)]
    share = min(1.0, summary.step / summary.total_steps)
    shown = f" {share:4.0%}  {tail}"
    return [first, _bar(share, max(5, width - len(shown))).append(shown, "default")]


def _bar(share: float, width: int) -> Text:
    done = round(share * width)
    full, empty = ("━", "─") if glyphs() else ("#", "-")
    return Text(full * done, "green").append(empty * (width - done), "bright_black")


def _curve(history: RunHistory, width: int, height: int) -> list[Text]:
    """The loss, evaluated where it is, with its range beside it."""
    name = next((name for name in ("train/loss", "val/loss") if name in history.series), None)
    if name is None:
        return [Text("no loss yet", "dim")]
    series = history.series[name]
    stride = max(1, len(series) // _CHART_POINTS)
    drawn = chart(list(islice(series.values, 0, None, stride)), width - 10, height, ascii_only=not glyphs())
    rows = []
    for index, row in enumerate(drawn.rows):
        mark = drawn.high if index == 0 else drawn.low if index == len(drawn.rows) - 1 else None
        rows.append(_beside(form.number(mark) if mark is not None else "", row))
    if rows and len(rows) > 2:
        caption = "loss, log" if drawn.logarithmic else "loss"
        middle = len(rows) // 2
        rows[middle] = _beside(cut(caption, 9), drawn.rows[middle])
    return rows


def _beside(mark: str, row: str) -> Text:
    return Text.assemble((f"{mark:>9} ", "dim"), (row, "cyan"))


def _metrics(summary: RunSummary, width: int) -> list[Text]:
    """The newest values in columns, evaluations first."""
    names = sorted(summary.metrics, key=lambda name: (not name.startswith(("val/", "test/")), name.count("/"), name))
    if not names:
        return []
    label = min(max(len(name) for name in names), 26)
    cell = label + 12
    across = max(1, width // cell)
    rows = [names[start : start + across] for start in range(0, len(names), across)][:5]
    lines = []
    for row in rows:
        line = Text()
        for name in row:
            value = form.number(summary.metrics[name])
            best = summary.best.get(name)
            line.append(f"{cut(safe(name), label, head=8):<{label}} ", "dim")
            line.append(f"{value:<11}", "bold" if best is not None and best == summary.metrics[name] else "default")
        lines.append(line)
    return lines
