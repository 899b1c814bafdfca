"""`heats restore`."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.errors import HeatsError
from engine.store.trash import find_trashed, list_trash, restore
from tui.cli.options import AsJson, RunsDir, the_store
from tui.cli.terminal import complain, print_json, safe
from tui.cli.trashed import trash_json, trash_table


def command(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="RUN", help="Runs in the trash: ids, unique parts or names.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Show what is in the trash.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Bring runs back from the trash, or show with --list what is there."""
    store = the_store(runs_dir)
    trashed = list_trash(store)
    if show or not runs:
        if runs:
            raise HeatsError("--list takes no run", place="--list")
        if not show:
            raise HeatsError("no run is named", remedy="`heats restore --list` shows what is in the trash")
        if as_json:
            print_json(trash_json(trashed))
        else:
            print(trash_table(trashed) if trashed else "the trash is empty")
        return
    chosen = list(dict.fromkeys(find_trashed(trashed, word) for word in runs))
    back, code = [], 0
    for item in chosen:
        try:
            back.append(restore(store, item))
        except HeatsError as error:
            complain(str(error))
            code = max(code, error.exit_code)
    if as_json:
        print_json({"restored": [run.id for run in back]})
    else:
        for run in back:
            print(f"restored: {safe(run.id)}")
    if code:
        raise typer.Exit(code)
