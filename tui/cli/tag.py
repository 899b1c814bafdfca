"""`heats tag`."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.errors import HeatsError
from engine.store.notes import check_tag, with_tags
from engine.store.records import read_notes
from tui.cli.marking import mark, show_notes
from tui.cli.options import AsJson, RunsDir, find_runs, the_store


def command(
    words: Annotated[
        list[str], typer.Argument(metavar="RUN|+TAG", help="Runs, and tags to add, each with a + before it.")
    ],
    add: Annotated[list[str] | None, typer.Option("--add", metavar="TAG", help="As +TAG; may be repeated.")] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="TAG", help="Take a tag away; may be repeated.")
    ] = None,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Tag runs: `heats tag last +paper --remove draft`. Without tags, print those that are there.

    A tag is made of letters and digits of any alphabet and of _ . - / + @, a letter or digit first.
    """
    added = [word[1:] for word in words if word.startswith("+")] + list(add or ())
    wanted = [word for word in words if not word.startswith("+")]
    removed = list(remove or ())
    for tag in added:
        check_tag(tag)
    if not wanted:
        raise HeatsError("no run is named", remedy="write `heats tag RUN +TAG`")
    try:
        runs = find_runs(the_store(runs_dir), wanted)
    except HeatsError as error:
        if len(wanted) > 1 and not added and not removed and "no run is called" in error.message:
            raise HeatsError(error.message, remedy="a tag to add is written with a + before it") from None
        raise
    if added or removed:
        mark(runs, lambda notes: with_tags(notes, added, removed), as_json)
    else:
        show_notes([(run, read_notes(run.notes)) for run in runs], as_json)
