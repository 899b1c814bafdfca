"""Reads the config files that we write ourselves, quickly: a whole YAML reader takes 2 ms for one.

`engine.config.resolve.dump_yaml` writes nested `key: value` lines and lists of plain values. Those are read here line
by line, each different line only once however many files have it; whatever else a file holds goes to PyYAML.
"""

from __future__ import annotations

import os
import re
from typing import Any

from engine.store.reading import read_bytes

_KEY = re.compile(r"( *)([A-Za-z_][\w/-]*):(?: (.*))?")
_ITEM = re.compile(r"( *)- (.*)")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:e[+-][0-9]+)?")
_WORD = re.compile(r"[A-Za-z_][\w./:-]*(?<!:)")
_SPECIAL: dict[str, Any] = {"true": True, "false": False, "null": None, "": None, "[]": [], "''": "",
            ".inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}  # fmt: skip
_MEANINGFUL = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Words that YAML takes for something else, in some or all spellings."""
_UNKNOWN = object()
_Line = tuple[int, str | None, Any]
"""A line's indent, its key (None for an item of a list) and its value."""
_NOT_PLAIN: _Line = (-1, None, None)


class YamlValues:
    """Reads many files of few different lines."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def read(self, path: str | os.PathLike[str]) -> dict[str, Any] | None:
        """The values of a file, flat by dotted key; None when it is missing or no mapping. Never raises."""
        content = read_bytes(path)
        if content is None:
            return None
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return None
        plain = self._plain(text)
        return plain if plain is not None else _by_pyyaml(text)

    def _plain(self, text: str) -> dict[str, Any] | None:
        values: dict[str, Any] = {}
        sections: list[tuple[int, str]] = []
        open_key: str | None = None
        """The last key if it had no value: a section, a list or nothing."""
        prefix, depth, list_indent = "", 0, -1
        lines = self._lines
        for line in text.split("\n"):
            found = lines.get(line)
            if found is None:
                found = lines[line] = _parse_line(line)
            if found is _NOT_PLAIN:
                if line:
                    return None
                continue
            indent, key, value = found
            if key is None:
                if open_key is None or indent not in (depth, depth + 2) or list_indent not in (-1, indent):
                    return None
                if list_indent == -1:
                    values[open_key] = []
                    list_indent = indent
                values[open_key].append(value)
                continue
            if indent > depth:
                if open_key is None or list_indent != -1:
                    return None
                sections.append((depth, prefix))
                del values[open_key]
                prefix, depth = f"{open_key}.", indent
            while indent < depth:
                depth, prefix = sections.pop()
            if indent != depth:
                return None
            name = prefix + key
            if name in values:
                return None
            values[name] = value
            open_key, list_indent = (name if value is None and line.endswith(":") else None), -1
        return values


def _parse_line(line: str) -> _Line:
    match = _KEY.fullmatch(line)
    if match is not None and match[2].lower() not in _MEANINGFUL:
        value = _scalar(match[3] or "")
        return _NOT_PLAIN if value is _UNKNOWN else (len(match[1]), match[2], value)
    match = _ITEM.fullmatch(line)
    if match is not None and match[2]:
        value = _scalar(match[2])
        return _NOT_PLAIN if value is _UNKNOWN else (len(match[1]), None, value)
    return _NOT_PLAIN


def _scalar(text: str) -> Any:
    if text in _SPECIAL:
        value = _SPECIAL[text]
        return value.copy() if isinstance(value, list) else value
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    if _WORD.fullmatch(text) and text.isascii() and text.lower() not in _MEANINGFUL:
        return text
    return _UNKNOWN


def _by_pyyaml(text: str) -> dict[str, Any] | None:
    import yaml  # 30 ms, which plain files needn't pay

    try:
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return _flatten(content, "") if isinstance(content, dict) else None
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        return None


def _flatten(nested: dict[Any, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
