"""Every option of a config as a flat list: key, type, default, help. Forms, help and messages are made of it."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


@dataclass(frozen=True)
class Option:
    """One leaf of a config. `key` is dotted (`model.d_model`)."""

    key: str
    kind: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    optional: bool = False
    open: bool = False
    """Whether it holds whatever keys people give it: `flags` takes `flags.lr`."""

    @property
    def section(self) -> str:
        """The part of the key before its last dot, empty at the top level."""
        return self.key.rpartition(".")[0]


_KIND_WORDS = {int: "integer", float: "number", bool: "true/false", str: "text"}


def list_options(config_class: type[BaseModel]) -> list[Option]:
    """All options of a config class in the order in which they are declared."""
    return list(_options(config_class))


@cache
def _options(config_class: type[BaseModel]) -> tuple[Option, ...]:
    """Walked once a class: a study resolves a config for each of its cells."""
    return tuple(_walk(config_class, config_class(), ""))


def _walk(model: type[BaseModel], defaults: BaseModel, prefix: str) -> Iterator[Option]:
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        default = getattr(defaults, name)
        if isinstance(default, BaseModel):
            yield from _walk(type(default), default, f"{key}.")
        else:
            yield _leaf(key, field, default)


def _leaf(key: str, field: FieldInfo, default: Any) -> Option:
    members = _union_members(field.annotation)
    optional = type(None) in members
    members = [member for member in members if member is not type(None)]
    choices: tuple[str, ...] = ()
    words = []
    for member in members:
        if get_origin(member) is Literal:
            choices += tuple(str(choice) for choice in get_args(member))
            words.append("choice")
        else:
            words.append(_KIND_WORDS.get(member, getattr(member, "__name__", str(member))))
    shown = default if default is not PydanticUndefined else None
    is_open = any(get_origin(member) is dict for member in members)
    return Option(key, " or ".join(words), shown, field.description or "", choices, optional, is_open)


def find_option(key: str, options: Mapping[str, Option]) -> Option | None:
    """The option of a key, or the open one that takes it; None where there is neither."""
    found = options.get(key)
    if found is not None:
        return found
    parent, dot, leaf = key.partition(".")
    home = options.get(parent)
    return home if home is not None and home.open and dot and leaf.isidentifier() else None


def _union_members(annotation: Any) -> list[Any]:
    if get_origin(annotation) in (Union, types.UnionType):
        return [part for member in get_args(annotation) for part in _union_members(member)]
    if hasattr(annotation, "__metadata__"):  # Annotated[...] inside a union
        return _union_members(get_args(annotation)[0])
    return [annotation]


def nearest(word: str, known: list[str]) -> str | None:
    """The known key or name that a misspelt one most likely means, or None.

    A key given without its section (`d_model`) finds the one option of that name.
    """
    same_leaf = [key for key in known if key.rpartition(".")[2] == word.rpartition(".")[2]]
    if len(same_leaf) == 1:
        return same_leaf[0]
    close = difflib.get_close_matches(word, same_leaf or known, n=1, cutoff=0.6)
    if close:
        return close[0]
    leaves = {key.rpartition(".")[2]: key for key in known}
    close = difflib.get_close_matches(word.rpartition(".")[2], list(leaves), n=1, cutoff=0.7)
    return leaves[close[0]] if close else None
