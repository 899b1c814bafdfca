"""From a file and `key=value` words to a validated config, or one clear sentence about what is wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from engine.config.options import Option, find_option, list_options, nearest
from engine.config.sections import ParallelSection, RunConfig
from engine.config.yaml_file import read_mapping
from engine.errors import HeatsError

Config = TypeVar("Config", bound=BaseModel)
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def parse_overrides(words: Iterable[str]) -> dict[str, str]:
    """Split `key=value` words.

    Raises:
        HeatsError: a word without `=`, or a key given twice.
    """
    overrides: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise HeatsError(f"{word!r} is not of the form key=value", remedy="write it as train.max_steps=2000")
        if key in overrides:
            raise HeatsError(f"`{key}` is given twice", remedy="keep one of them")
        overrides[key] = value
    return overrides


def read_yaml_file(path: Path) -> dict[str, Any]:
    """Read a config file: nested sections, dotted keys, or both; returned flat, by dotted key.

    Raises:
        HeatsError: the file is missing, is no YAML, or is no mapping.
    """
    content, _ = read_mapping(path)
    try:
        return flatten(content, place=str(path))
    except RecursionError:
        raise HeatsError("a section holds itself", place=str(path)) from None


def flatten(nested: Mapping[str, Any], prefix: str = "", *, place: str | None = None) -> dict[str, Any]:
    """`{"model": {"d_model": 8}}` as `{"model.d_model": 8}`.

    Raises:
        HeatsError: a key is there both nested and dotted.
    """
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        full = f"{prefix}{key}"
        inner = flatten(value, f"{full}.", place=place) if isinstance(value, Mapping) else {full: value}
        for name in flat.keys() & inner.keys():
            raise HeatsError(f"`{name}` is given twice", place=place, remedy="keep one of them")
        flat |= inner
    return flat


def by_key(config_class: type[BaseModel], values: Mapping[str, Any], *, place: str | None = None) -> dict[str, Any]:
    """Flat values by dotted key, whichever of an option's names they were given by.

    Raises:
        HeatsError: an option is given by two of its names.
    """
    aliases: Mapping[str, str] = getattr(config_class, "aliases", {})
    found: dict[str, Any] = {}
    for name, value in values.items():
        key = aliases.get(name, name)
        if key in found:
            raise HeatsError(
                f"`{key}` is given twice", place=place, remedy=f"keep one of them (`{name}` is another name of it)"
            )
        found[key] = value
    return found


def resolve(config_class: type[Config], values: Mapping[str, Any], *, place: str | None = None) -> Config:
    """Build a config from flat values by dotted key; what isn't given keeps its default.

    Args:
        config_class: the task's config.
        values: by dotted key or alias; text is converted to the option's type.
        place: where the values come from, for messages.

    Raises:
        HeatsError: an unknown key (with the nearest right one), a wrong type, or values that don't fit together.
    """
    options = {option.key: option for option in list_options(config_class)}
    values = by_key(config_class, values, place=place)
    nested: dict[str, Any] = {}
    for key, value in values.items():
        option = find_option(key, options)
        if option is None:
            known = [*options, *(f"{free.key}.{key}" for free in options.values() if free.open and key.isidentifier())]
            raise _unknown_key(key, known, place)
        branch = nested
        *sections, leaf = key.split(".")
        for section in sections:
            branch = branch.setdefault(section, {})
        if isinstance(value, bool) and option.kind in ("integer", "number"):  # pydantic would take true as 1
            raise HeatsError(f"`{key}` = {value}: should be a valid {option.kind}", place=place)
        branch[leaf] = _convert(option, value) if key == option.key else value
    # A section given in part keeps the task's own defaults for the rest of it, not the shared section's.
    merged = _merge(config_class().model_dump(), nested)
    try:
        config = config_class.model_validate(merged)
    except ValidationError as error:
        raise _first_problem(error, options, place) from None
    if isinstance(config, RunConfig):
        try:
            config.complete()
        except ValueError as error:
            raise HeatsError(str(error), place=place) from None
    return config


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if both else value
    return merged


def _convert(option: Option, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if option.optional and value.lower() in ("none", "null", "") and value not in option.choices:
        return None
    if value[:1] in ("[", "{"):
        try:
            return yaml.load(value, Loader=_Loader)
        except (yaml.YAMLError, ValueError, RecursionError):
            return value
    return value


def _unknown_key(key: str, known: list[str], place: str | None) -> HeatsError:
    inside = [known_key for known_key in known if known_key.startswith(f"{key}.")]
    if inside:
        return HeatsError(f"`{key}` is a section", place=place, remedy=f"set one of its options, such as `{inside[0]}`")
    suggestion = nearest(key, known)
    if suggestion:
        return HeatsError(f"unknown key `{key}`", place=place, remedy=f"did you mean `{suggestion}`?")
    return HeatsError(f"unknown key `{key}`", place=place, remedy="`heats tasks TASK` lists every option")


def _first_problem(error: ValidationError, options: Mapping[str, Option], place: str | None) -> HeatsError:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    option = options.get(key)
    inner = ".".join(key.split(".")[:2])
    if option is None and find_option(inner, options) is not None:
        return HeatsError(f"`{inner}` should be a text, a number or true/false", place=place)
    if option is None:  # a check over several options: its message names them
        return HeatsError(message, place=place)
    given = problem["input"]
    remedy = f"choose one of {', '.join(option.choices)}" if option.choices else None
    if option.choices:
        message = "is no choice"
    return HeatsError(f"`{key}` = {given!r}: {message}", place=place, remedy=remedy)


def dump_yaml(config: BaseModel) -> str:
    """The resolved config as YAML, sections in the order of declaration."""
    text: str = yaml.dump(config.model_dump(), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


_ONE_PROCESS = ParallelSection().model_dump()


def config_hash(config: BaseModel) -> str:
    """A short digest that is equal exactly for equal resolved configs."""
    return content_hash(config.model_dump())


def content_hash(content: Mapping[str, Any]) -> str:
    """The same digest of a config as it was written down, without knowing its task.

    Raises:
        TypeError, ValueError, RecursionError: it holds what no config has.
    """
    if content.get("parallel") == _ONE_PROCESS:  # configs from before there was this section have the same digest
        content = {name: value for name, value in content.items() if name != "parallel"}
    canonical = json.dumps(content, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def changed_options(before: BaseModel, after: BaseModel) -> dict[str, dict[str, Any]]:
    """What differs between two configs of one class: `{key: {"from": ..., "to": ...}}`."""
    old, new = flatten(before.model_dump()), flatten(after.model_dump())
    return {key: {"from": old.get(key), "to": new[key]} for key in new if old.get(key) != new[key]}
