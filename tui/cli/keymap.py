"""`heats keys`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import HeatsError
from tui.cli.options import AsJson
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import complain, hint, print_json

if TYPE_CHECKING:
    from tui.actions import Action


def command(
    screen: Annotated[
        str | None, typer.Argument(metavar="SCREEN", help="One screen, such as runs, chart or doctor; else all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the app's acts, and the keys that they have now; a file of your own may give them others.

    It says so when something in that file can't hold (exit code 1).
    """
    from tui.actions import ACTIONS, APP, keys_by_screen
    from tui.keymap import keymap_path, load

    keymap = load()
    screens = keys_by_screen(keymap.keys)
    if screen is not None and screen not in screens:
        raise HeatsError(f"there is no screen `{screen}`", remedy=f"choose one of {', '.join(screens)}")
    usual = {action.id: action.keys for action in ACTIONS}
    shown: dict[str, Action] = {}
    for where, actions in screens.items():
        if screen in (None, where):
            shown |= {action.id: action for action in actions}
    rows = [shown[name] for name in usual if name in shown]
    if as_json:
        print_json(
            {
                "file": str(keymap_path()),
                "problems": list(keymap.problems),
                "acts": [
                    {"act": act.id, "keys": list(act.keys), "usual": list(usual[act.id]), "label": act.label,
                     "screens": sorted(act.where - {APP}) or [APP], "changes": act.changes}
                    for act in rows
                ],
            }
        )  # fmt: skip
    else:
        columns = [Column("act"), Column("keys"), Column("label"), Column("screens", flexible=True)]
        cells = []
        for act in rows:
            where = ", ".join(sorted(act.where - {APP})) if act.where - {APP} else "everywhere"
            mine = "yellow" if act.keys != usual[act.id] else None
            cells.append([Cell(act.id), Cell(act.shown_keys or "-", mine), Cell(act.label), Cell(where, "dim")])
        print(render(columns, cells))
        hint(f"your own keys: an act and its keys a line, such as `stop: ctrl+k`, in {keymap_path()}")
        for problem in keymap.problems:
            complain(problem)
    if keymap.problems:
        raise typer.Exit(1)
