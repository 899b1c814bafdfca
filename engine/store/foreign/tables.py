"""CSV files and JSON lines with a row a step: which column holds the step, which the time, and all others."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.errors import HeatsError
from engine.store.foreign.curves import ForeignRun
from engine.store.foreign.wandb_files import flat, number_of

STEP_COLUMNS = (
    "step",
    "_step",
    "global_step",
    "trainer/global_step",
    "train/global_step",
    "iteration",
    "iter",
    "epoch",
)
"""Tried in this order, whatever the case; the first one with whole numbers is taken."""
TIME_COLUMNS = ("time", "timestamp", "_timestamp", "wall_time", "wall time", "date", "datetime")
"""Seconds since 1970, or a date."""
_EARLIEST = 1e8
"""Less is no date but a number of seconds since some start."""


def read_csv(run: ForeignRun, path: Path, step_column: str | None = None) -> None:
    """Read a CSV file (commas, semicolons or tabs) with a line of titles into a run.

    Raises:
        HeatsError: it has no titles, or no such step column.
        OSError: it can't be read.
    """
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        first = file.readline()
        file.seek(0)
        separator = max(",;\t", key=first.count)
        csv.field_size_limit(1 << 24)
        try:
            rows = list(csv.DictReader((line.replace("\0", "") for line in file), delimiter=separator))
        except csv.Error as error:
            raise HeatsError(f"is no readable CSV ({error})", place=str(path)) from None
    if not first.strip():
        raise HeatsError("is empty", place=str(path))
    _take(run, path, [{str(key): value for key, value in row.items() if key} for row in rows], step_column, 0)


def read_jsonl(run: ForeignRun, path: Path, step_column: str | None = None) -> None:
    """Read JSON lines, an object a line, into a run. Nested objects become names with slashes.

    Raises:
        HeatsError: no such step column.
        OSError: it can't be read.
    """
    rows, damaged = [], 0
    with open(path, "rb") as file:
        for line in file:
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                damaged += 1
                continue
            if isinstance(record, dict):
                rows.append(
                    {key: item for name, value in record.items() for key, item in flat(name, value, "/").items()}
                )
            else:
                damaged += 1
    _take(run, path, rows, step_column, damaged)


def _take(run: ForeignRun, path: Path, rows: list[dict[str, Any]], step_column: str | None, damaged: int) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    step_name, rule = _choose_step(rows, names, step_column, path)
    time_name = next((name for wanted in TIME_COLUMNS for name in names if name.strip().lower() == wanted), None)
    run.remarks.append(rule)
    skipped: set[str] = set()
    without_step = 0
    for number, row in enumerate(rows, start=1):
        step = number if step_name is None else _whole(row.get(step_name))
        if step is None:
            without_step += 1
            continue
        moment = _moment(row.get(time_name)) if time_name is not None else 0.0
        if moment and run.created is None:
            run.created = moment
        for name, raw in row.items():
            if name in (step_name, time_name) or raw is None or raw == "":
                continue
            value = _number(raw)
            if value is None:
                skipped.add(name)
            else:
                run.curves.add(f"logged/{name}" if name in ("step", "time") else name, step, moment, value)
    for count, what in ((damaged, "damaged lines"), (without_step, "rows without a step")):
        if count:
            run.remarks.append(f"{count:,} {what} left out")
    if skipped:
        run.remarks.append(f"left out where they are no numbers: {', '.join(sorted(skipped)[:8])}")


def _choose_step(
    rows: list[dict[str, Any]], names: list[str], wanted: str | None, path: Path
) -> tuple[str | None, str]:
    """The column that holds the step, None for the row's number; and the rule in words."""
    if wanted is not None:
        if wanted not in names:
            there = f"there are: {', '.join(names[:20])}" if names else "there are none"
            raise HeatsError(f"has no column `{wanted}`", place=str(path), remedy=there)
        if not _all_whole(rows, wanted):
            raise HeatsError(f"the column `{wanted}` holds more than whole numbers", place=str(path))
        return wanted, f"steps from the column `{wanted}`"
    for candidate in STEP_COLUMNS:
        for name in names:
            if name.strip().lower() == candidate and _all_whole(rows, name):
                return name, f"steps from the column `{name}` (--step-column takes another)"
    return None, "no step column is known by its name: steps are row numbers (--step-column names one)"


def _all_whole(rows: Iterable[dict[str, Any]], name: str) -> bool:
    """Whether a column counts: its numbers are whole. A text among them is a damaged row."""
    numbers = [value for value in _given(rows, name) if _number(value) is not None]
    return bool(numbers) and all(_whole(value) is not None for value in numbers)


def _given(rows: Iterable[dict[str, Any]], name: str) -> Iterator[Any]:
    return (row[name] for row in rows if row.get(name) not in (None, ""))


def _whole(raw: Any) -> int | None:
    value = _number(raw)
    return int(value) if value is not None and value == value and abs(value) < 2**63 and value == int(value) else None


def _number(raw: Any) -> float | None:
    value = number_of(raw)
    if value is None and isinstance(raw, str):
        try:
            return float(raw)
        except ValueError:
            return None
    return value


def _moment(raw: Any) -> float:
    """Seconds since 1970, of a number or a date; 0 where it is neither."""
    value = _number(raw)
    if value is not None:
        return value if _EARLIEST < value < 1e11 else 0.0
    try:
        return datetime.fromisoformat(str(raw).strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0
