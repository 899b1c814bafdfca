"""`heats compare`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import HeatsError
from tui import format as form
from tui.cli.changes import word
from tui.cli.options import AsJson, RunNames, RunsDir, find_runs, the_store
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import columns, complain, print_json, safe
from tui.comparing import Compared, letters, option_keys, read_compared

if TYPE_CHECKING:
    from engine.store.paths import RunPaths

_MOST = 702
_NAME_WIDTH, _VALUE_WIDTH = 24, 14


def command(
    runs: RunNames,
    all_keys: Annotated[bool, typer.Option("--all-keys", help="Also the options that all have in common.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Set runs side by side: the options in which they differ, status, steps, time, last and best metrics.

    For two runs also the first step at which they part. Seconds are those of training, without pauses.
    """
    found = find_runs(the_store(runs_dir), runs)
    if not 2 <= len(found) <= _MOST:
        what = "one run alone has nothing to compare with" if len(found) == 1 else f"{len(found)} runs are too many"
        raise HeatsError(what, remedy=f"name 2 to {_MOST} runs")
    compared = [read_compared(run) for run in found]
    for item in compared:
        if item.as_stored:
            complain(f"note: options of {item.summary.id} are compared as stored: {item.as_stored}")
    keys = option_keys([item.options for item in compared], everything=all_keys)
    parted = _parted(*found) if len(found) == 2 else None
    if as_json:
        shown = [_to_json(item, keys) for item in compared]
        print_json({"runs": shown, "option_keys": keys} | ({"parted": parted[0]} if parted else {}))
        return
    _print(compared, keys)
    if parted:
        print(f"\n{parted[1]}")


def _parted(first: RunPaths, second: RunPaths) -> tuple[dict[str, Any] | None, str]:
    from engine.store.diff import compare_runs
    from tui.cli.diff import verdict

    found = compare_runs(first, second)
    return (found.parted.to_json() if found.parted else None), verdict(found)


def _to_json(item: Compared, keys: Sequence[str]) -> dict[str, Any]:
    options = {key: item.options[key] for key in keys if key in item.options}
    return item.summary.to_json() | {"seconds": item.seconds, "options": options}


def _print(compared: Sequence[Compared], keys: Sequence[str]) -> None:
    names = [letters(index) for index in range(len(compared))]
    for name, item in zip(names, compared, strict=True):
        print(f"{name}  {safe(item.summary.id)}")
    width = columns()
    at_once = len(compared) if width is None else max(1, (width - _NAME_WIDTH) // (_VALUE_WIDTH + 2))
    for start in range(0, len(compared), at_once):
        print(f"\n{_block(compared, keys, names, slice(start, start + at_once))}")
    if not keys:
        print("\nall have the same options")


def _block(compared: Sequence[Compared], keys: Sequence[str], names: Sequence[str], part: slice) -> str:
    """The table of some of the runs; every block has the same lines."""
    rows: list[list[Cell]] = []

    def add(title: str, cell: Callable[[Compared], str]) -> None:
        texts = [safe(cell(item)) for item in compared[part]]
        rows.append([Cell(title), *(Cell(_cut(text)) for text in texts)])

    for key in keys:  # first what differs: that is what one compares for
        add(key, lambda item, key=key: word(item.options[key]) if key in item.options else "-")  # type: ignore[misc]
    add("status", lambda item: str(item.summary.status))
    add("steps", lambda item: form.progress(item.summary.step, item.summary.total_steps))
    add("time trained", lambda item: form.duration(item.seconds))
    metrics = sorted({name for item in compared for name in item.summary.metrics})
    bests = sorted({name for item in compared for name in item.summary.best if name != "step"})
    for name in metrics:
        add(f"{name} (last)", lambda item, name=name: form.number(item.summary.metrics.get(name)))  # type: ignore[misc]
    for name in bests:
        add(f"{name} (best)", lambda item, name=name: form.number(item.summary.best.get(name)))  # type: ignore[misc]
    table = [Column("", flexible=True, head=12), *(Column(name, right=True) for name in names[part])]
    return render(table, rows)


def _cut(text: str) -> str:
    from tui.cli.terminal import cut

    return text if columns() is None else cut(text, _VALUE_WIDTH)
