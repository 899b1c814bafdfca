"""`heats launch`."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import HeatsError
from engine.launch.actions import LaunchRequest, launch
from engine.store.paths import default_root
from tui.cli.options import AsJson, BackendOption, Bell, Follow, Notify, Procs, Profile, Queue, RunsDir, check_backend
from tui.cli.started import report_queued, report_started
from tui.cli.terminal import print_json, safe

if TYPE_CHECKING:
    from engine.config.sections import RunConfig


def command(
    task: Annotated[str, typer.Argument(metavar="TASK", help="Which task; `heats tasks` lists them.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]... [-- COMMAND]",
            help="Options; `heats tasks TASK` lists them. Behind --, the command of the task exec.",
        ),
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
    backend: BackendOption = "local",
    profile: Profile = None,
    notify: Notify = None,
    follow: Follow = None,
    bell: Bell = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved config and do nothing.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Start a run of a task.

    Every option of the task can be set as KEY=VALUE, such as train.max_steps=2000.
    Any script of your own: heats launch exec -- python train.py --lr 3e-4
    """
    check_backend(backend, profile, queue)
    places = {f"parallel.{key}": str(count) for key, count in (("procs", procs), ("nodes", nodes)) if count}
    values = read_values(task, config, [*own_command(task, overrides or []), *map("=".join, places.items())], seed)
    request = LaunchRequest(
        task=task, values=values, name=name, tags=tuple(tag or ()), note=note, seed=seed,
        command=("heats", *sys.argv[1:]), notify=notify, backend=backend, profile=profile,
    )  # fmt: skip
    if dry_run:
        print_resolved(request, as_json, default_root(runs_dir))
        return
    if queue:
        report_queued(default_root(runs_dir), request, follow, as_json, bell=bell)
        return
    report_started(launch(default_root(runs_dir), request), follow, as_json, bell=bell)


def own_command(task: str, words: Sequence[str]) -> list[str]:
    """The words of a launch with a command of the user's own, if it holds one, as the option `exec.command`.

    The command begins at the first word that is no KEY=VALUE.
    """
    from engine.launch.scripts import runs_script

    first = next((place for place, word in enumerate(words) if not re.match(r"[A-Za-z_][\w.]*=", word)), None)
    if first is None or not runs_script(task):
        return list(words)
    from engine.tasks.exec.config import join_words

    return [*words[:first], f"exec.command={join_words(words[first:])}"]


def read_values(task: str, config: Path | None, words: list[str], seed: int | None) -> dict[str, Any]:
    """The values of a config file and of `key=value` words together, checked against the task's options.

    Raises:
        HeatsError: a wrong file, key or value; the file is named where it is at fault.
    """
    from engine.config.resolve import by_key, parse_overrides, read_yaml_file, resolve
    from engine.config.tasks import config_class

    kind = config_class(task)
    given = by_key(kind, parse_overrides(words))
    if seed is not None and "seed" in given:
        raise HeatsError("the seed is given twice", remedy="keep --seed or seed=")
    file_values = by_key(kind, read_yaml_file(config), place=str(config)) if config is not None else {}
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


def print_resolved(request: LaunchRequest, as_json: bool, root: Path | None = None) -> None:
    """The config that a launch would train by, as a dry run shows it, and the script of its job if there is one."""
    from engine.config.resolve import dump_yaml, resolve
    from engine.config.tasks import config_class
    from engine.store.create import new_run_id

    values = dict(request.values) | ({} if request.seed is None else {"seed": request.seed})
    resolved = resolve(config_class(request.task), values)
    slug = new_run_id(request.task, resolved.slug(), 0.0).split("_", 1)[1].rpartition("_")[0]
    script = _script_of(request, slug, root)
    told = command_facts(resolved)
    if as_json:
        found = {"task": request.task, "slug": slug, "config": resolved.model_dump(mode="json")}
        print_json(found | told | ({} if script is None else {"script": script}))
    else:
        print(f"# {slug}\n{dump_yaml(resolved)}", end="")
        if told:
            print(f"# runs: {safe(shlex.join(told['words']))}")
            print("".join(f"# figures: {safe(rule)}\n" for rule in told["rules"]), end="")
        if script is not None:
            print(f"\n# The script of its job:\n{script}", end="")


def command_facts(config: RunConfig) -> dict[str, Any]:
    """What is run and how its figures are found, for a command of the user's own; nothing for our engine's tasks."""
    words, rules = getattr(config, "words", None), getattr(config, "rules", None)
    return {"words": words(), "rules": rules()} if callable(words) and callable(rules) else {}


def _script_of(request: LaunchRequest, slug: str, root: Path | None) -> str | None:
    if request.backend != "slurm" or root is None:
        return None
    from engine.launch.slurm.submit import planned_script
    from engine.store.paths import Store

    return planned_script(Store(root.absolute(), ""), slug, request.profile)
