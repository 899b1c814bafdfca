"""The columns of the runs table: what each says of a run, how it sorts, and which fit a width. Pure functions."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from engine.store.filter import Filter
from engine.store.status import State
from engine.store.summary import RunSummary
from tui import format
from tui.messages import NO_FACTS, Facts

SortKey = tuple[int, float, str]


@dataclass(frozen=True)
class Column:
    """One column. `priority` 0 is never dropped; higher ones go first when the table is narrow."""

    id: str
    title: str
    width: int
    priority: int
    cell: Callable[[RunSummary, float], str]
    sort: Callable[[RunSummary], SortKey] | None = None
    right: bool = False
    biggest_first: bool = False
    """Which way the first sort by it goes."""


_ORDER = (
    State.RUNNING, State.STARTING, State.STOPPING, State.STALLED, State.SILENT, State.QUEUED, State.FAILED,
    State.KILLED, State.LOST, State.PREEMPTED, State.STOPPED, State.FINISHED,
)  # fmt: skip


def _number_key(value: float | None) -> SortKey:
    """Runs without the number come last either way round; NaN just before them."""
    if value is None:
        return (2, 0.0, "")
    return (1, 0.0, "") if math.isnan(value) else (0, value, "")


def short_name(run: RunSummary) -> str:
    """The run's name and the four characters that tell it from others of that name."""
    return f"{run.name} {run.id[-4:]}"


def best(run: RunSummary) -> float | None:
    """The best value of the metric that the run goes by."""
    values = [value for name, value in run.best.items() if name != "step"]
    return values[0] if values else None


def coarse_age(moment: float, now: float) -> str:
    """An age in one unit, so that it rarely changes: now, 5m, 3h, 2d."""
    seconds = max(0.0, now - moment)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return "now"


def _left(run: RunSummary) -> str:
    """The time left, to the minute where there is more than one: a figure that jumps each second helps nobody."""
    if run.left is None:
        return ""
    return format.duration(run.left if run.left < 60 else run.left // 60 * 60)


STATUS = Column(
    "status", "status", 11, 0, lambda run, now: str(run.status), lambda run: (0, _ORDER.index(run.status), "")
)
NAME = Column("name", "run", 22, 0, lambda run, now: short_name(run), lambda run: (0, 0.0, run.name))
LIVE = Column("live", "loss curve", 12, 2, lambda run, now: "")
AGE = Column(
    "age", "age", 4, 3, lambda run, now: coarse_age(run.created, now), lambda run: (0, run.created, ""),
    right=True, biggest_first=True,
)  # fmt: skip

COLUMNS: tuple[Column, ...] = (
    STATUS,
    NAME,
    Column("task", "task", 14, 8, lambda run, now: run.task, lambda run: (0, 0.0, run.task)),
    Column(
        "step",
        "step",
        15,
        1,
        lambda run, now: format.progress(run.step, run.total_steps),
        lambda run: _number_key(run.step),
        right=True,
        biggest_first=True,
    ),
    Column(
        "rate",
        "rate",
        10,
        7,
        lambda run, now: format.rate(run.rate) if run.rate else "",
        lambda run: _number_key(run.rate),
        right=True,
        biggest_first=True,
    ),
    Column("left", "left", 6, 4, lambda run, now: _left(run), lambda run: _number_key(run.left), right=True),
    Column(
        "loss", "loss", 8, 0, lambda run, now: format.number(run.loss), lambda run: _number_key(run.loss), right=True
    ),
    Column(
        "best",
        "best",
        8,
        6,
        lambda run, now: format.number(best(run)),
        lambda run: _number_key(best(run)),
        right=True,
        biggest_first=True,
    ),
    AGE,
    LIVE,
    Column("tags", "tags", 12, 9, lambda run, now: " ".join(run.tags), lambda run: (0, 0.0, " ".join(run.tags))),
)

BY_ID = {column.id: column for column in COLUMNS}
SORTABLE = tuple(column.id for column in COLUMNS if column.sort is not None)
_MIN_NAME = 12
_MAX_NAME = 44


def fit_columns(width: int) -> list[tuple[Column, int]]:
    """The columns that fit, with their widths; the name takes what is left over, then the tags."""
    chosen = list(COLUMNS)
    while len(chosen) > 2 and _needed(chosen) > width:
        chosen.remove(max(chosen, key=lambda column: column.priority))
        if max(column.priority for column in chosen) == 0:
            break
    widths = {column.id: column.width for column in chosen}
    spare = width - _needed(chosen)
    if spare < 0:
        widths["name"] = max(1, widths["name"] + spare)
    else:
        grown = min(spare, _MAX_NAME - widths["name"])
        widths["name"] += grown
        if "tags" in widths:
            widths["tags"] += spare - grown
    return [(column, widths[column.id]) for column in chosen]


def _needed(columns: list[Column]) -> int:
    return sum(column.width for column in columns) + len(columns) - 1


def sort_runs(runs: Iterable[RunSummary], key: str, *, reverse: bool) -> list[RunSummary]:
    """Runs by a column; among equals the newest first. Runs without the figure stay last either way round."""
    column = BY_ID.get(key, AGE)
    sort = column.sort or AGE.sort
    assert sort is not None
    newest_first = sorted(runs, key=lambda run: run.id, reverse=True)
    known = [run for run in newest_first if sort(run)[0] == 0]
    unknown = [run for run in newest_first if sort(run)[0] != 0]
    known.sort(key=sort, reverse=reverse)
    return known + sorted(unknown, key=lambda run: sort(run)[0])


def filter_runs(runs: Iterable[RunSummary], chosen: Filter, facts: Facts = NO_FACTS) -> list[RunSummary]:
    """Runs that a filter lets through.

    Raises:
        FilterError: a name in it could mean several things of a run.
    """
    if chosen.is_empty:
        return list(runs)
    found = []
    now = time.time()
    for run in runs:
        config = facts.configs.get(run.id, {})
        chosen.check_names(run, config)
        if chosen.matches(run, config, has_checkpoint=run.id in facts.saved, now=now):
            found.append(run)
    return found


def fit_text(text: str, size: int, *, right: bool = False, keep_end: bool = False, ellipsis: str = "…") -> str:
    """Text in exactly so many cells; what is too long loses its end, or its middle when its end matters."""
    if cell_len(text) > size:
        if keep_end and size > 8:
            text = f"{set_cell_size(text, size - 6).rstrip()}{ellipsis}{text[-5:]}"
        else:
            text = set_cell_size(text, max(0, size - 1)) + ellipsis
    padding = " " * (size - cell_len(text))
    return padding + text if right else text + padding
