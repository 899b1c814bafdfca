"""Runs as tables for other programs: histories, wide or long, and one row a run. Written as CSV, JSON or Parquet.

Nothing is rounded: a float is written with the digits that give back its every bit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import IO, Any

import orjson

from engine.errors import HeatsError, MachineError
from engine.store.files import encode_number
from engine.store.metrics import RunHistory, Series
from engine.store.paths import RunPaths
from engine.store.records import read_launch
from engine.store.summary import RunSummary

Cell = str | int | float | bool | None
FORMATS = ("csv", "json", "parquet")
_KEYS = ("run", "step", "time")
_ROW_GROUP = 20_000
_NOTHING = Series()


@dataclass(frozen=True)
class Table:
    """Columns by name with their kind (`str`, `int`, `float`, `bool`), and rows that are made as they are asked for."""

    columns: dict[str, type]
    rows: Iterator[Sequence[Cell]]


def history_table(runs: Sequence[RunPaths], *, metrics: Sequence[str] = (), long: bool = False) -> Table:
    """The effective history of runs: what a later attempt shadows is left out. One run is in memory at a time.

    Args:
        runs: whose histories, in the order of the rows.
        metrics: names or patterns (`val/*`) of the metrics wanted; none for all.
        long: a row a point (run, step, time, metric, value) instead of a row a step with a column a metric.

    Raises:
        HeatsError: no run has a metric that is asked for.
    """
    histories = _Histories(runs)
    names = _metric_names(histories, metrics)
    if long:
        columns: dict[str, type] = {"run": str, "step": int, "time": float, "metric": str, "value": float}
        return Table(columns, _long_rows(histories, names))
    # A metric that is called as one of our own columns steps aside.
    columns = {"run": str, "step": int, "time": float}
    columns |= {f"metric:{name}" if name in _KEYS else name: float for name in names}
    return Table(columns, _wide_rows(histories, names))


def summary_table(summaries: Sequence[tuple[RunSummary, dict[str, Any]]]) -> Table:
    """One row a run: its facts, `config.` its options, `metric.` its last and `best.` its best figures.

    Args:
        summaries: each run with its config by dotted key.
    """
    rows = [_summary_row(summary, config) for summary, config in summaries]
    columns: dict[str, list[Cell]] = {}
    for row in rows:
        columns |= {name: [] for name in row if name not in columns}
    first = [name for name in columns if "." not in name]
    rest = sorted((name for name in columns if "." in name), key=lambda name: (_group(name), name))
    for name in columns:
        columns[name] = [row.get(name) for row in rows]
    kinds = {name: _kind(columns[name]) for name in [*first, *rest]}
    return Table(kinds, ([_as(row.get(name), kinds[name]) for name in kinds] for row in rows))


def stored_options(run: RunPaths) -> dict[str, Any]:
    """A run's options by dotted key, later attempts' changes applied, without asking whether its task is installed.

    Raises:
        HeatsError: its config can't be read.
    """
    from engine.config.resolve import read_yaml_file

    values = read_yaml_file(run.config)
    for attempt in run.attempts():
        launch = read_launch(attempt.launch)
        for key, change in (launch.overrides if launch else {}).items():
            if isinstance(change, dict) and "to" in change:
                values[key] = change["to"]
    return values


def write_csv(table: Table, file: IO[bytes]) -> int:
    """CSV with a line of titles; NaN, Infinity and -Infinity are spelled so, and what is missing is empty.

    Returns:
        The number of rows.
    """
    spell = [_SPELLING[kind] for kind in table.columns.values()]
    file.write(_line(map(_quoted, table.columns)))
    count = 0
    for rows in _groups(table.rows):
        lines = ["" if cell is None else word(cell) for row in rows for word, cell in zip(spell, row, strict=True)]
        width = len(spell)
        file.write(b"".join([_line(lines[start : start + width]) for start in range(0, len(lines), width)]))
        count += len(rows)
    return count


def write_json(table: Table, file: IO[bytes]) -> int:
    """A JSON array with an object a row, one a line; what is missing is left out. Non-finite numbers are strings.

    Returns:
        The number of rows.
    """
    names, count = list(table.columns), 0
    for row in table.rows:
        cells = {
            name: encode_number(cell) if isinstance(cell, float) else cell
            for name, cell in zip(names, row, strict=True)
            if cell is not None
        }
        file.write((b",\n" if count else b"[\n") + orjson.dumps(cells))
        count += 1
    file.write(b"\n]\n" if count else b"[]\n")
    return count


def write_parquet(table: Table, file: IO[bytes]) -> int:
    """Parquet; missing cells are null, and NaN stays NaN.

    Returns:
        The number of rows.

    Raises:
        MachineError: pyarrow isn't installed.
    """
    arrow, parquet = _pyarrow()
    kinds = {str: arrow.string(), int: arrow.int64(), float: arrow.float64(), bool: arrow.bool_()}
    schema = arrow.schema([(name, kinds[kind]) for name, kind in table.columns.items()])
    count = 0
    with parquet.ParquetWriter(file, schema) as writer:
        for rows in _groups(table.rows):
            columns = zip(*rows, strict=True)
            arrays = [arrow.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
            count += len(rows)
    return count


WRITERS: dict[str, Callable[[Table, IO[bytes]], int]] = {
    "csv": write_csv, "json": write_json, "parquet": write_parquet,
}  # fmt: skip


def check_format(name: str) -> None:
    """Find out before any work whether a format can be written here.

    Raises:
        MachineError: it needs a package that isn't installed.
    """
    if name == "parquet":
        _pyarrow()


def _pyarrow() -> tuple[Any, Any]:
    import importlib

    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        remedy = "install it with `pip install pyarrow`, or choose csv or json"
        raise MachineError("Parquet needs the package pyarrow, which isn't installed", remedy=remedy) from None


class _Histories:
    """The histories of runs, read one after the other as often as they are gone through; a single one stays."""

    def __init__(self, runs: Sequence[RunPaths]) -> None:
        self._runs = runs
        self._only: RunHistory | None = None

    def __iter__(self) -> Iterator[RunHistory]:
        for run in self._runs:
            history = self._only or RunHistory(run)
            if history is not self._only:
                history.refresh()
            if len(self._runs) == 1:
                self._only = history
            yield history


def _metric_names(histories: _Histories, wanted: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    for history in histories:
        found |= dict.fromkeys(history.series)
    known = set(found)
    if not wanted:
        return sorted(known)
    chosen: dict[str, None] = {}
    for name in wanted:
        matches = [name] if name in known else sorted(other for other in known if fnmatchcase(other, name))
        if not matches:
            from engine.config.options import nearest

            near = nearest(name, sorted(known))
            remedy = f"did you mean `{near}`?" if near else f"there are: {', '.join(sorted(known)) or 'none'}"
            raise HeatsError(f"no run has the metric `{name}`", place="--metric", remedy=remedy)
        chosen |= dict.fromkeys(matches)
    return list(chosen)


def _wide_rows(histories: _Histories, names: Sequence[str]) -> Iterator[Sequence[Cell]]:
    for history in histories:
        series = [history.series.get(name, _NOTHING) for name in names]
        places = [0] * len(series)
        live = [index for index, points in enumerate(series) if len(points)]
        while live:
            step = min(series[index].steps[places[index]] for index in live)
            row: list[Cell] = [None] * len(series)
            moment = math.inf
            ended = False
            for index in live:
                points, place = series[index], places[index]
                if points.steps[place] != step:
                    continue
                row[index] = points.values[place]
                moment = min(moment, points.times[place])
                places[index] = place + 1
                ended |= place + 1 == len(points)
            if ended:
                live = [index for index in live if places[index] < len(series[index])]
            yield (history.run.id, step, moment, *row)


def _long_rows(histories: _Histories, names: Sequence[str]) -> Iterator[Sequence[Cell]]:
    for history in histories:
        for name in names:
            points = history.series.get(name, _NOTHING)
            for step, moment, value in zip(points.steps, points.times, points.values, strict=True):
                yield (history.run.id, step, moment, name, value)


def _summary_row(summary: RunSummary, config: dict[str, Any]) -> dict[str, Cell]:
    facts = summary.to_json()
    nested = {"metric": summary.metrics, "best": summary.best, "config": config}
    row: dict[str, Cell] = {}
    for name, value in facts.items():
        if name in ("metrics", "best"):
            continue
        row[name] = " ".join(map(str, value)) if name == "tags" else _plain(value)
    for group, values in nested.items():
        row |= {f"{group}.{name}": _plain(value) for name, value in values.items()}
    return row


def _plain(value: Any) -> Cell:
    if value is None or isinstance(value, (str, int, float)):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _group(name: str) -> int:
    return ("config", "metric", "best").index(name.partition(".")[0])


def _kind(cells: Iterable[Cell]) -> type:
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {int, float}:
        return float
    if kinds == {int} and any(isinstance(cell, int) and abs(cell) >= 2**63 for cell in cells):
        return str
    return kinds.pop() if len(kinds) == 1 else str


def _as(cell: Cell, kind: type) -> Cell:
    return None if cell is None else kind(cell)


def _line(words: Iterable[str]) -> bytes:
    return (",".join(words) + "\n").encode("utf-8", "replace")


@lru_cache(maxsize=4096)
def _quoted(text: str) -> str:
    """A text as CSV holds it: in quotes where it must be."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') or text != text.strip() else text


def _float_word(value: float) -> str:
    word = repr(value)
    return word if word[-1] not in "nf" else str(encode_number(value))  # nan, inf


_SPELLING: dict[type, Callable[[Any], str]] = {
    str: _quoted, int: str, float: _float_word, bool: lambda flag: str(flag).lower(),
}  # fmt: skip


def _groups(rows: Iterator[Sequence[Cell]]) -> Iterator[list[Sequence[Cell]]]:
    from itertools import islice

    return iter(lambda: list(islice(rows, _ROW_GROUP)), [])
