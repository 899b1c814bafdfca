"""`heats export`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import typer

from engine.errors import HeatsError, MachineError
from engine.store.export import FORMATS, WRITERS, Table, check_format, history_table, stored_options, summary_table
from engine.store.paths import RunPaths
from tui.cli.options import RUNS_HELP, AsJson, RunsDir, find_runs, the_store
from tui.cli.terminal import complain, hint, is_terminal

Format = Literal["csv", "json", "parquet"]


def command(
    runs: Annotated[list[str] | None, typer.Argument(metavar="RUN", help=RUNS_HELP)] = None,
    everything: Annotated[bool, typer.Option("--all", help="All runs of the store.")] = False,
    file_format: Annotated[
        Format | None, typer.Option("--format", help="csv, json or parquet; else by FILE's ending, else csv.")
    ] = None,
    output: Annotated[str, typer.Option("--output", metavar="FILE", help="Where to; `-` is stdout.")] = "-",
    metric: Annotated[
        list[str] | None, typer.Option("--metric", metavar="NAME", help="Only this metric, or `val/*`; repeatable.")
    ] = None,
    long: Annotated[bool, typer.Option("--long", help="A row a point: run, step, time, metric, value.")] = False,
    summary: Annotated[
        bool, typer.Option("--summary", help="A row a run: its facts, options, last and best figures.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Replace FILE if it is there.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Write the history of runs, a row a step and a column a metric, for other programs to read.

    Steps that a resume shadowed are left out. Floats keep every bit; NaN and Infinity are spelled so.
    """
    chosen_format = _format(file_format, output, as_json)
    if bool(runs) == everything:
        raise HeatsError("it isn't said which runs", remedy="name runs, or give --all")
    if summary and (long or metric):
        raise HeatsError("--summary has one row a run", remedy="leave out --long and --metric")
    check_format(chosen_format)
    if output != "-" and os.path.lexists(output) and not yes:
        raise HeatsError("is there already", place=output, remedy="--yes replaces it")
    if output == "-" and chosen_format == "parquet" and is_terminal():
        raise HeatsError("Parquet is not for a terminal", place="--output", remedy="name a file")
    store = the_store(runs_dir)
    found = [store.run(run_id) for run_id in store.run_ids()] if everything else find_runs(store, runs or [])
    table = _summaries(found) if summary else history_table(found, metrics=metric or (), long=long)
    with _opened(output) as file:
        count = WRITERS[chosen_format](table, file)
    hint(f"{count:,} rows, {len(table.columns)} columns{'' if output == '-' else f': {output}'}")


def _format(given: str | None, output: str, as_json: bool) -> str:
    if as_json:
        if given not in (None, "json"):
            raise HeatsError(f"--json is not --format {given}", remedy="give one of them")
        return "json"
    ending = Path(output).suffix.lower().removeprefix(".")
    return given or (ending if ending in FORMATS else "csv")


def _summaries(runs: list[RunPaths]) -> Table:
    from engine.store.summary import summarize

    rows = []
    for run in runs:
        found = summarize(run)
        if found is None:
            continue  # being made
        try:
            options: dict[str, Any] = stored_options(run)
        except HeatsError as error:
            complain(f"note: the options of {run.id} are left out: {error}")
            options = {}
        rows.append((found, options))
    return summary_table(rows)


@contextlib.contextmanager
def _opened(output: str) -> Iterator[IO[bytes]]:
    """Stdout, or a file that takes its name only once it is whole."""
    if output == "-":
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise MachineError(f"can't be written ({error.strerror})", place=output) from error
    finally:
        temporary.unlink(missing_ok=True)
