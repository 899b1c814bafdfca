"""`heats import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from engine.errors import HeatsError
from engine.store.notes import check_tag
from engine.store.paths import Store, create_store, default_root
from tui.cli.options import AsJson, RunsDir
from tui.cli.terminal import complain, print_json, safe

if TYPE_CHECKING:
    from engine.store.foreign.curves import ForeignRun, Format
    from engine.store.foreign.find import Source
    from engine.store.foreign.take_in import Known

Choice = Literal["auto", "tensorboard", "wandb", "csv", "jsonl"]


def command(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file, or a folder with all below it.")],
    file_format: Annotated[Choice, typer.Option("--format", help=f"{', '.join(get_args(Choice))}.")] = "auto",
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="The run's name; for one run.")] = None,
    task: Annotated[str, typer.Option("--task", metavar="WORD", help="What the lists show as its task.")] = "imported",
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="May be repeated.")] = None,
    step_column: Annotated[
        str | None, typer.Option("--step-column", metavar="NAME", help="CSV and JSON lines: which column is the step.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also what was imported before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be imported.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Take in runs of TensorBoard, W&B (offline), CSV or JSON lines, so that they stand in the same list.

    Each folder with event files is a run. The files are read, never changed, and not needed afterwards. In a folder,
    CSV and JSON lines are taken only with --format.
    """
    import gc

    from engine.store.foreign.find import find_sources
    from engine.store.foreign.take_in import check_task, known_sources

    gc.enable()
    wanted: Format | None = None if file_format == "auto" else file_format
    for word in tag or ():
        check_tag(word)
    check_task(task)
    found = find_sources(path, wanted)
    if name is not None and len(found.sources) > 1:
        raise HeatsError(f"there are {len(found.sources)} runs", place="--name", remedy="name a single one's path")
    if step_column is not None and all(source.format in ("tensorboard", "wandb") for source in found.sources):
        raise HeatsError("only CSV and JSON lines have columns", place="--step-column")
    store = create_store(default_root(runs_dir))
    known = known_sources(store)
    reports, code = [], 0
    for source in found.sources:
        try:
            report = _one(store, source, known, again, dry_run, step_column, name, task, tuple(tag or ()))
        except (HeatsError, OSError) as error:
            sentence = str(error) if isinstance(error, HeatsError) else f"{source.place}: {error.strerror or error}"
            complain(sentence)
            report = {"source": str(source.place), "outcome": "failed", "run": None, "remarks": [sentence]}
            code = 1
        reports.append(report)
        if not as_json:
            _say(report)
    if as_json:
        print_json(reports)
    if found.tables:
        complain(f"note: {found.tables:,} CSV and JSON lines files were left: --format csv or jsonl takes them")
    if code:
        raise typer.Exit(code)


def _one(
    store: Store, source: Source, known: Known, again: bool, dry_run: bool, step_column: str | None,
    name: str | None, task: str, tags: tuple[str, ...],
) -> dict[str, Any]:  # fmt: skip
    """Import one run, unless it is here already; what was done, in its public form."""
    from engine.store.foreign.find import digest, read_source
    from engine.store.foreign.take_in import take_in

    report: dict[str, Any] = {"source": str(source.place), "format": source.format, "name": name or source.name}
    earlier = known.digests.get(digest(source))
    if earlier is not None and not again:
        return report | {"outcome": "skipped", "run": earlier, "remarks": ["imported before"]}
    earlier = known.places.get(str(source.place))
    if earlier is not None and not again:
        remark = "it has changed since it was imported: --again takes it in once more"
        return report | {"outcome": "skipped", "run": earlier, "remarks": [remark]}
    foreign = read_source(source, step_column)
    report |= _figures(foreign, name)
    if not foreign.curves.points:
        return report | {"outcome": "skipped", "run": None, "remarks": [*foreign.remarks, "it holds no scalars"]}
    if dry_run:
        return report | {"outcome": "would be imported", "run": None}
    run = take_in(store, foreign, name=name, task=task, tags=tags)
    known.digests[foreign.digest] = known.places[str(source.place)] = run.id
    return report | {"outcome": "imported", "run": run.id}


def _figures(foreign: ForeignRun, name: str | None) -> dict[str, Any]:
    metrics = sorted(key for key, series in foreign.curves.series.items() if len(series))
    last = max((series.steps[-1] for series in foreign.curves.series.values() if len(series)), default=0)
    return {
        "name": name or foreign.name,
        "points": foreign.curves.points,
        "metrics": metrics,
        "last_step": last,
        "remarks": foreign.remarks,
    }


def _say(report: dict[str, Any]) -> None:
    if report["outcome"] == "failed":
        return
    words = [report["outcome"], report["run"] or report["name"], "from", report["source"]]
    print(safe(" ".join(words)))
    if "points" in report:
        print(f"  {report['points']:,} points of {len(report['metrics'])} metrics, up to step {report['last_step']:,}")
    for remark in report["remarks"]:
        print(f"  {safe(remark)}")
