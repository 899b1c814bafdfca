"""Reading YAML files that people write: one sentence for every mistake, with the line it stands on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from engine.errors import HeatsError

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Lines = dict[tuple[str, ...], int]
"""By path of keys (and places in lists), the line where the entry begins, from 1."""


def read_mapping(path: Path, what: str = "config file") -> tuple[dict[str, Any], Lines]:
    """Read a YAML file that holds `key: value` lines.

    Args:
        path: the file.
        what: what to call it in messages.

    Returns:
        Its content and the line of each key.

    Raises:
        HeatsError: the file is missing, is no YAML, is no mapping, or gives a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.load(text, Loader=_Loader)
        lines = _lines(yaml.compose(text, Loader=_Loader), path)
    except FileNotFoundError:
        raise HeatsError(f"there is no such {what}", place=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise HeatsError(f"can't be read ({error})", place=str(path)) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise HeatsError(f"is no valid YAML ({problem})", place=place) from None
    except (ValueError, RecursionError) as error:  # a date in month 13, a number of 5,000 digits, endless nesting
        raise HeatsError(f"holds a value that can't be read ({error})", place=str(path)) from None
    if content is None:
        return {}, {}
    if not isinstance(content, dict):
        raise HeatsError("must hold `key: value` lines", place=str(path))
    return content, lines


def _lines(root: yaml.Node | None, path: Path) -> Lines:
    """The line of every entry. YAML lets a later key silently replace an earlier one with its whole section: not we."""
    lines: Lines = {}
    waiting: list[tuple[tuple[str, ...], yaml.Node | None]] = [((), root)]
    seen: set[int] = set()
    while waiting:
        prefix, node = waiting.pop()
        if id(node) in seen:  # an alias, which may lead back to a section that holds it
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                lines[(*prefix, str(index))] = value.start_mark.line + 1
                waiting.append(((*prefix, str(index)), value))
        if not isinstance(node, yaml.MappingNode):
            continue
        keys: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys:
                place = f"{path}, line {key.start_mark.line + 1}"
                raise HeatsError(f"`{key.value}` is given twice", place=place, remedy="keep one of them")
            keys.add(str(key.value))
            lines[(*prefix, str(key.value))] = key.start_mark.line + 1
            waiting.append(((*prefix, str(key.value)), value))
    return lines
