"""Verbs on several runs: by name, by study, or all; and what they share on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import HeatsError
from tui import format as form
from tui.cli.options import RUNS_HELP, find_runs
from tui.cli.terminal import can_redraw, complain, hint, is_terminal, safe

if TYPE_CHECKING:  # `heats --help` has no need of the store
    from engine.store.paths import RunPaths, Store

SomeRuns = Annotated[list[str] | None, typer.Argument(metavar="RUN", help=RUNS_HELP)]
AllRuns = Annotated[bool, typer.Option("--all", help="Every run of the store.")]
StudyName = Annotated[str | None, typer.Option("--study", metavar="NAME", help="Every run of this study.")]
_DRAW_SECONDS = 0.2


def chosen_runs(store: Store, names: list[str] | None, *, everything: bool, study: str | None) -> list[RunPaths]:
    """The runs that a command line names, each once.

    Raises:
        HeatsError: none or several ways of naming them are used, or a name fits no run, or several.
    """
    ways = [bool(names), everything, study is not None]
    if sum(ways) != 1:
        said = "no run is named" if not any(ways) else "runs are named in more than one way"
        raise HeatsError(said, remedy="name runs, or give --all or --study NAME")
    if names:
        return find_runs(store, names)
    from engine.store.index import list_runs

    runs = list_runs(store)
    if everything:
        return [store.run(run.id) for run in runs]
    found = [store.run(run.id) for run in runs if run.study == study]
    if not found:
        there = sorted({run.study for run in runs if run.study})
        raise HeatsError(
            f"no run belongs to a study called `{study}`",
            remedy=f"there are {', '.join(there[:8])}" if there else "no run of this store belongs to any study",
        )
    return found


def without_live(runs: list[RunPaths]) -> list[RunPaths]:
    """The runs of a whole store or study that may be changed now; live ones are left alone, which is said."""
    from engine.store.hold import is_live

    found = []
    for run in runs:
        if is_live(run):
            complain(f"{run.id}: is live, and is left alone")
        else:
            found.append(run)
    return found


def say_dry(changes: bool) -> None:
    """After a dry run: how to act on it."""
    if changes:
        hint("nothing has been changed yet: --yes does it")


@contextmanager
def hashing(what: str) -> Iterator[Callable[[int], None] | None]:
    """Shows on a terminal how many bytes have been read; gives None elsewhere."""
    if not (is_terminal(sys.stderr) and can_redraw()):
        yield None
        return
    done, last, began = 0, 0.0, time.monotonic()

    def advance(size: int) -> None:
        nonlocal done, last
        done += size
        now = time.monotonic()
        if now - last >= _DRAW_SECONDS:
            pace = done / max(now - began, 1e-3)
            print(
                f"\r\x1b[K{safe(what)}: {form.size(done)} ({form.size(int(pace))}/s)",
                end="",
                file=sys.stderr,
                flush=True,
            )
            last = now

    try:
        yield advance
    finally:
        if last:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
