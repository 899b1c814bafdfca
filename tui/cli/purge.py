"""`heats purge`."""

from __future__ import annotations

import re
import time
from typing import Annotated

import typer

from engine.errors import HeatsError
from engine.store.trash import Trashed, find_trashed, half_purged, left_submissions, list_trash, purge
from tui.cli.options import AsJson, RunsDir, Yes, the_store
from tui.cli.terminal import hint, print_json, safe
from tui.cli.trashed import trash_json, trash_table

_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def command(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="RUN", help="Runs in the trash: ids, unique parts or names.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of the trash.")] = False,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="AGE", help="What was deleted longer ago: 12h, 30d, 4w.")
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Delete runs in the trash for good. Without --yes, only say what would go."""
    if sum((bool(runs), everything, older_than is not None)) != 1:
        raise HeatsError("it isn't said what to purge", remedy="name runs, or give --all or --older-than AGE")
    store = the_store(runs_dir)
    chosen = _choose(list_trash(store), runs or [], older_than)
    left_over, submissions = half_purged(store), left_submissions(store, chosen)
    if yes:
        for item in purge(store, chosen):
            if not as_json:
                print(f"deleted for good: {safe(item.entry)}")
    if as_json:
        print_json({
            "purged": yes, "bytes": sum(item.bytes for item in chosen), "runs": trash_json(chosen),
            "submissions": [folder.name for folder in submissions],
        })  # fmt: skip
    elif not yes and chosen:
        print(trash_table(chosen, "would go for good"))
    elif not chosen:
        print("nothing in the trash to delete")
    if left_over:
        hint(f"{'removed' if yes else 'there is also'} what {len(left_over)} interrupted purges left")
    if submissions:
        hint(
            f"{'removed' if yes else 'there are also'} {len(submissions)} submissions to a cluster whose runs are gone"
        )
    if not yes and (chosen or left_over or submissions):
        hint("nothing was deleted: --yes does it, and nothing brings them back then")


def _choose(trashed: list[Trashed], wanted: list[str], older_than: str | None) -> list[Trashed]:
    if wanted:
        return list(dict.fromkeys(find_trashed(trashed, word) for word in wanted))
    if older_than is None:
        return trashed
    limit = time.time() - _seconds(older_than)
    return [item for item in trashed if item.deleted < limit]


def _seconds(age: str) -> float:
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([mhdw])", age.strip())
    if not found:
        raise HeatsError(f"`{age}` is no age", place="--older-than", remedy="write it as 90m, 12h, 30d or 4w")
    return float(found[1]) * _UNITS[found[2]]
