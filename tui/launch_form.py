"""What a launch form says: values, their check, the equivalent command line. Pure functions, no Textual."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.config.options import Option, list_options
from engine.config.resolve import resolve
from engine.config.sections import TaskConfig
from engine.errors import HeatsError
from engine.store.paths import default_root


@dataclass(frozen=True)
class Check:
    """Whether the values make a config: its slug, or one sentence and the key at fault."""

    slug: str = ""
    problem: str = ""
    key: str | None = None


def default_text(option: Option) -> str:
    """An option's default as a person would type it."""
    return value_text(option.default)


def value_text(value: Any) -> str:
    """A value as a person would type it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def choices_of(option: Option) -> tuple[str, ...]:
    """What an option can be, where that is a short list."""
    return option.choices or (("true", "false") if option.kind == "true/false" else ())


def changed_values(options: Mapping[str, Option], typed: Mapping[str, str]) -> dict[str, str]:
    """What was typed and differs from the default."""
    return {
        key: text.strip() for key, text in typed.items() if text.strip() and text.strip() != default_text(options[key])
    }


def check(kind: type[TaskConfig], values: Mapping[str, str]) -> Check:
    """Try the values against the task's config."""
    try:
        return Check(slug=resolve(kind, values).slug())
    except HeatsError as error:
        named = re.search(r"`([\w.]+)`", error.message) or re.search(r"\b(\w+(?:\.\w+)+)\b", error.message)
        return Check(problem=str(error), key=named.group(1) if named else None)


def command_words(task: str, values: Mapping[str, str], *, name: str, tags: tuple[str, ...], root: Path) -> list[str]:
    """The command that does the same as the form."""
    words = ["heats", "launch", task, *(f"{key}={value}" for key, value in values.items())]
    if name:
        words += ["--name", name]
    for tag in tags:
        words += ["--tag", tag]
    if root.absolute() != default_root().absolute():
        words += ["--runs-dir", str(root)]
    return words


def command_line(words: list[str]) -> str:
    """The words as a shell wants them."""
    return shlex.join(words)


def hint(option: Option) -> str:
    """One line about an option: what it means, what it can be, and its default."""
    choices = choices_of(option)
    kind = f"one of {', '.join(choices)} (Space changes)" if choices else option.kind
    return f"{option.key}: {option.help} {kind[:1].upper()}{kind[1:]}; default {default_text(option)}."


def options_by_section(kind: type[TaskConfig]) -> dict[str, list[Option]]:
    """The options of a task by section, in the order of declaration."""
    sections: dict[str, list[Option]] = {}
    for option in list_options(kind):
        sections.setdefault(option.section, []).append(option)
    return sections
