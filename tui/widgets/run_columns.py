"""The columns of the runs table: what each says of a run, how it sorts, and which fit a width. Pure functions."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size

from engine.store.filter_values import locate
from engine.store.status import State
from tui import format
from tui.messages import NO_FACTS, Facts

if TYPE_CHECKING:
    from engine.store.filter import Filter
    from engine.store.summary import RunSummary

SortKey = tuple[int, float, float | str]
"""0 for runs that have the figure, then what they are sorted by."""


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
    filled: Callable[[RunSummary], object] | None = None
    """Whether a run has anything to say in it: a column that is blank in all runs is left out unless asked for."""


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


_STEP_WIDTH = 15


def _steps(run: RunSummary) -> str:
    """How far it is; of large numbers the total is rounded, since half a number is a wrong one."""
    whole = format.progress(run.step, run.total_steps)
    return (
        whole if len(whole) <= _STEP_WIDTH or not run.total_steps else f"{run.step:,}/{format.short(run.total_steps)}"
    )


def _left(run: RunSummary) -> str:
    """The time left, to the minute where there is more than one: a figure that jumps each second helps nobody."""
    if run.left is None:
        return ""
    return format.duration(run.left if run.left < 60 else run.left // 60 * 60)


def _text_key(text: str | None) -> SortKey:
    return (0, 0.0, text.lower()) if text else (2, 0.0, "")


def _age_key(run: RunSummary) -> SortKey:
    """Live runs are the newest of all, and those that wait newer than what is over: a night of queued ones would hide
    what trains."""
    waits = run.status is State.QUEUED
    return (0, 1 if waits else 2 if run.status.is_live else 0, run.created)


STATUS = Column(
    "status", "status", 11, 0, lambda run, now: str(run.status), lambda run: (0, _ORDER.index(run.status), "")
)
NAME = Column("name", "run", 22, 0, lambda run, now: short_name(run), lambda run: (0, 0.0, run.name))
LIVE = Column("live", "loss curve", 12, 2, lambda run, now: "", filled=lambda run: run.status.is_live)
AGE = Column(
    "age", "age", 4, 3, lambda run, now: coarse_age(run.created, now), _age_key,
    right=True, biggest_first=True,
)  # fmt: skip
TAGS = Column(
    "tags", "tags", 12, 9, lambda run, now: " ".join(run.tags), lambda run: _text_key(" ".join(run.tags)),
    filled=lambda run: run.tags,
)  # fmt: skip
REASON = Column(
    "reason", "reason", 16, 13, lambda run, now: " ".join(run.reason.split()), lambda run: _text_key(run.reason)
)

COLUMNS: tuple[Column, ...] = (
    STATUS,
    NAME,
    Column("task", "task", 14, 8, lambda run, now: run.task, lambda run: _text_key(run.task)),
    Column(
        "study", "study", 14, 10, lambda run, now: run.study or "", lambda run: _text_key(run.study),
        filled=lambda run: run.study,
    ),
    Column(
        "arm", "arm", 12, 11, lambda run, now: run.arm or "", lambda run: _text_key(run.arm),
        filled=lambda run: run.arm,
    ),
    Column(
        "seed", "seed", 4, 12, lambda run, now: "" if run.seed is None else str(run.seed),
        lambda run: _number_key(run.seed), right=True, filled=lambda run: run.seed is not None,
    ),
    Column(
        "step", "step", _STEP_WIDTH, 1, lambda run, now: _steps(run),
        lambda run: _number_key(run.step), right=True, biggest_first=True,
    ),
    Column(
        "rate", "rate", 10, 7, lambda run, now: format.rate(run.rate) if run.rate else "",
        lambda run: _number_key(run.rate), right=True, biggest_first=True, filled=lambda run: run.rate,
    ),
    Column(
        "left", "left", 6, 4, lambda run, now: _left(run), lambda run: _number_key(run.left), right=True,
        filled=lambda run: run.left is not None,
    ),
    Column(
        "loss", "loss", 8, 0, lambda run, now: format.number(run.loss), lambda run: _number_key(run.loss), right=True
    ),
    Column(
        "best", "best", 8, 6, lambda run, now: format.number(best(run)), lambda run: _number_key(best(run)),
        right=True, biggest_first=True, filled=lambda run: run.best,
    ),
    AGE,
    LIVE,
    TAGS,
    REASON,
    Column(
        "attempts", "att", 3, 14, lambda run, now: str(run.attempts), lambda run: _number_key(run.attempts),
        right=True, biggest_first=True, filled=lambda run: run.attempts > 1,
    ),
    Column("id", "id", 28, 15, lambda run, now: run.id, lambda run: (0, 0.0, run.id)),
    Column("host", "host", 12, 16, lambda run, now: run.host or "", lambda run: _text_key(run.host)),
    Column("note", "note", 20, 17, lambda run, now: " ".join(run.note.split()), lambda run: _text_key(run.note),
           filled=lambda run: run.note),
)  # fmt: skip

BY_ID = {column.id: column for column in COLUMNS}
SORTABLE = tuple(column.id for column in COLUMNS if column.sort is not None)
BY_WIDTH = tuple(column.id for column in COLUMNS if column.id not in ("attempts", "id", "host", "note"))
"""What is shown where nobody has chosen columns and there is room; the rest only when asked for."""
GUTTER = 2
"""Cells at the left of each row, for its mark."""
_MIN_NAME = 12
_MAX_NAME = 44
_WORDY = ("reason", "tags", "note", "id")
"""What takes the room that is left over once the name has its own."""


def value_of(run: RunSummary, key: str, facts: Facts) -> Any:
    """An option or a metric of a run, by its name or the clear last part of it; None where it has none."""
    config = facts.configs.get(run.id, {})
    if key in config:
        return config[key]
    if key in run.metrics:
        return run.metrics[key]
    place = locate(key, tuple(config), tuple(run.metrics))
    if place is None:
        return None
    is_option, name = place
    return config[name] if is_option else run.metrics[name]


def option_text(value: Any) -> str:
    """An option or a metric in a cell."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format.number(value)
    return ", ".join(map(option_text, value)) if isinstance(value, (list, tuple)) else str(value)


def extra_column(key: str, facts: Callable[[], Facts]) -> Column:
    """A column of any option or metric.

    Args:
        key: its dotted name, as `optim.lr` or `val/exact_match`.
        facts: gives what is known of the runs' options now.
    """
    title = key.rpartition("/")[2].rpartition(".")[2]

    def sort(run: RunSummary) -> SortKey:
        value = value_of(run, key, facts())
        if isinstance(value, (int, float)):
            return _number_key(float(value))
        text = option_text(value)
        return (0, math.inf, text.lower()) if text else (2, 0.0, "")

    return Column(
        key, title, min(16, max(8, len(title) + 1)), 5, lambda run, now: option_text(value_of(run, key, facts())), sort,
        right=True, biggest_first="/" in key and "loss" not in key,
    )  # fmt: skip


def choose_columns(chosen: Sequence[str], facts: Callable[[], Facts], blank: Collection[str] = ()) -> list[Column]:
    """The columns to show as far as they fit.

    Args:
        chosen: what somebody chose, in that order, options and metrics among them; empty for what there is room for.
        facts: what is known of the runs' options now.
        blank: ids of columns in which no run has anything to say.
    """
    if not chosen:
        return [BY_ID[name] for name in BY_WIDTH if name not in blank]
    wanted = [name for name in chosen if name not in ("status", "name", *blank)]
    found = [BY_ID.get(name) or extra_column(name, facts) for name in wanted]
    # What isn't there by itself was asked for: of all that is there it goes last where it is narrow.
    return [STATUS, NAME, *(item if item.id in BY_WIDTH else replace(item, priority=1) for item in found)]


def blank_columns(runs: Sequence[RunSummary]) -> frozenset[str]:
    """The ids of the columns in which no run has anything to say."""
    return frozenset(column.id for column in COLUMNS if column.filled is not None and not any(map(column.filled, runs)))


def fit_columns(width: int, columns: Sequence[Column] = COLUMNS) -> list[tuple[Column, int]]:
    """The columns that fit, with their widths; the name takes what is left over, then what is wordy."""
    chosen = list(columns)
    while len(chosen) > 2 and _needed(chosen) > width:
        dropped = max(chosen, key=lambda column: column.priority)
        if dropped.priority == 0:
            break
        chosen.remove(dropped)
    widths = {column.id: column.width for column in chosen}
    spare = width - _needed(chosen)
    if spare < 0:
        widths["name"] = max(1, widths["name"] + spare)
    else:
        grown = min(spare, _MAX_NAME - widths["name"])
        widths["name"] += grown
        wordy = next((name for name in _WORDY if name in widths), None)
        if wordy is not None:
            widths[wordy] += spare - grown
    return [(column, widths[column.id]) for column in chosen]


def _needed(columns: list[Column]) -> int:
    return sum(column.width for column in columns) + len(columns) - 1


def sort_runs(runs: Iterable[RunSummary], key: str, *, reverse: bool, column: Column | None = None) -> list[RunSummary]:
    """Runs by a column; among equals the newest first. Runs without the figure stay last either way round.

    Args:
        runs: in any order.
        key: a column's id; that of the age where there is none such.
        reverse: the greatest first.
        column: the column itself, where it is none of the table's own.
    """
    sort = (column or BY_ID.get(key, AGE)).sort or AGE.sort
    assert sort is not None
    newest_first = sorted(runs, key=lambda run: run.id, reverse=True)
    known: list[tuple[SortKey, RunSummary]] = []
    unknown: list[tuple[SortKey, RunSummary]] = []
    for run in newest_first:
        place = sort(run)
        (unknown if place[0] else known).append((place, run))
    known.sort(key=lambda item: item[0], reverse=reverse)
    unknown.sort(key=lambda item: item[0])
    return [run for _, run in known] + [run for _, run in unknown]


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
