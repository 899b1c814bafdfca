"""`heats launch`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.errors import HeatsError
from engine.launch.actions import LaunchRequest, launch
from engine.store.paths import default_root
from tui.cli.options import AsJson, Bell, Follow, Notify, Procs, Queue, RunsDir
from tui.cli.started import report_queued, report_started
from tui.cli.terminal import print_json


def command(
    task: Annotated[str, typer.Argument(metavar="TASK", help="Which task; `heats tasks` lists them.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Options; `heats tasks TASK` lists them.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="YAML with options; KEY=VALUE beats it.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="A name for the run.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag; may be repeated.")] = None,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="A note to yourself.")] = "",
    seed: Annotated[int | None, typer.Option("--seed", min=0, metavar="N", help="Short for seed=N.")] = None,
    procs: Procs = None,
    nodes: Annotated[
        int | None,
        typer.Option("--nodes", min=1, metavar="M", help="Machines, with N processes each."),
    ] = None,
    queue: Queue = False,
    notify: Notify = None,
    follow: Follow = None,
    bell: Bell = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved config and do nothing.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Start a run of a task.

    Every option of the task can be set as KEY=VALUE, such as train.max_steps=2000.
    """
    places = {f"parallel.{key}": str(count) for key, count in (("procs", procs), ("nodes", nodes)) if count}
    values = read_values(task, config, [*(overrides or []), *map("=".join, places.items())], seed)
    request = LaunchRequest(
        task=task, values=values, name=name, tags=tuple(tag or ()), note=note, seed=seed,
        command=("heats", *sys.argv[1:]), notify=notify,
    )  # fmt: skip
    if dry_run:
        print_resolved(request, as_json)
        return
    if queue:
        report_queued(default_root(runs_dir), request, follow, as_json, bell=bell)
        return
    report_started(launch(default_root(runs_dir), request), follow, as_json, bell=bell)


def read_values(task: str, config: Path | None, words: list[str], seed: int | None) -> dict[str, Any]:
    """The values of a config file and of `key=value` words together, checked against the task's options.

    Raises:
        HeatsError: a wrong file, key or value; the file is named where it is at fault.
    """
    from engine.config.resolve import parse_overrides, read_yaml_file, resolve
    from engine.config.tasks import config_class

    kind = config_class(task)
    given = parse_overrides(words)
    if seed is not None and "seed" in given:
        raise HeatsError("the seed is given twice", remedy="keep --seed or seed=")
    file_values = read_yaml_file(config) if config is not None else {}
    values = {**file_values, **given}
    try:
        resolve(kind, values)
    except HeatsError as error:
        if config is not None:
            _blame_file(kind, file_values, config, error)
        raise
    return values


def _blame_file(kind: Any, file_values: dict[str, Any], path: Path, error: HeatsError) -> None:
    """Raise the error with the file as its place, if the file alone causes it."""
    from engine.config.resolve import resolve

    try:
        resolve(kind, file_values, place=str(path))
    except HeatsError as alone:
        if alone.message == error.message:
            raise alone from None


def print_resolved(request: LaunchRequest, as_json: bool) -> None:
    """The config that a launch would train by, as a dry run shows it."""
    from engine.config.resolve import dump_yaml, resolve
    from engine.config.tasks import config_class
    from engine.store.create import new_run_id

    values = dict(request.values) | ({} if request.seed is None else {"seed": request.seed})
    resolved = resolve(config_class(request.task), values)
    slug = new_run_id(request.task, resolved.slug(), 0.0).split("_", 1)[1].rpartition("_")[0]
    if as_json:
        print_json({"task": request.task, "slug": slug, "config": resolved.model_dump(mode="json")})
    else:
        print(f"# {slug}\n{dump_yaml(resolved)}", end="")
