"""`heats tasks`."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import Annotated, Any

import typer

from engine.config.options import Option, list_options
from engine.config.tasks import config_class, task_packages
from engine.errors import HeatsError
from tui.cli.options import AsJson
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import columns, paint, print_json, safe


def command(
    task: Annotated[str | None, typer.Argument(metavar="TASK", help="Show every option of this one.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the tasks, or every option of one with its type, default and help."""
    if task is None:
        _list(as_json)
    else:
        _show(task, as_json)


def _list(as_json: bool) -> None:
    found = [{"name": name, "summary": _summary(name), "package": package} for name, package in task_packages().items()]
    if as_json:
        print_json(found)
        return
    rows = [[Cell(safe(task["name"]), "bold"), Cell(safe(task["summary"]))] for task in found]
    print(render([Column("task"), Column("what it is", flexible=True)], rows))
    print(paint("\n`heats tasks TASK` lists its options, `heats launch TASK` starts a run", "dim"))


def _summary(name: str) -> str:
    try:
        return config_class(name).summary
    except (HeatsError, Exception) as error:  # noqa: BLE001  somebody else's package must not hide the others
        return f"can't be loaded ({type(error).__name__}: {error})"


def _show(task: str, as_json: bool) -> None:
    kind = config_class(task)
    options = list_options(kind)
    if as_json:
        described = [_to_json(option) for option in options]
        package = task_packages()[task]
        print_json({"name": task, "summary": kind.summary, "package": package, "options": described})
        return
    print(f"{paint(task, 'bold')}: {kind.summary}")
    section = None
    width = min(columns() or 80, 100)
    for option in options:
        if option.section != section:
            section = option.section
            print(f"\n{paint(section or 'general', 'bold')}")
        print(f"  {paint(option.key, 'cyan')} = {_word(option.default)}  {paint(_kind(option, width), 'dim')}")
        if option.help:
            print(textwrap.fill(option.help, width, initial_indent="      ", subsequent_indent="      "))


def _kind(option: Option, width: int) -> str:
    """The type, or the choices where they fit on the line."""
    kind = option.kind.replace("choice", "|".join(option.choices)) if option.choices else option.kind
    if option.optional:
        kind += " or none"
    room = width - len(option.key) - len(_word(option.default)) - 7
    return f"({kind})" if len(kind) + 2 <= room else "(choice)"


def _word(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if value == "" else str(value)


def _to_json(option: Option) -> dict[str, Any]:
    return asdict(option) | {"section": option.section, "choices": list(option.choices)}
