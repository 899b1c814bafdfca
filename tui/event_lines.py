"""Events as lines and in full: when, at which step, what, and its facts in words. Pure functions."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.store.files import decode_number
from engine.store.records import Event
from tui import format
from tui.cli.terminal import safe

BAD = frozenset({"failed", "alert", "suspect", "emergency", "rolled_back", "killed"})
_GOOD = frozenset({"finished"})
_FIRST = ("cause", "message", "reason", "error", "improved", "metrics", "best")
"""Facts that people look for first."""
_PLAIN = ("message", "reason", "error")
_FEW = 6
"""So many figures of a table stand in the line; the rest is in the details."""


@dataclass(frozen=True)
class Happening:
    """An event, in which attempt it was, and whether a later resume has shadowed it."""

    attempt: int
    event: Event
    shadowed: bool = False


def kinds_of(happenings: Iterable[Happening]) -> list[str]:
    """The kinds of events that there are, what is wrong first, then by how often they come, the rarest first."""
    counts: dict[str, int] = {}
    for item in happenings:
        counts[item.event.name] = counts.get(item.event.name, 0) + 1
    return sorted(counts, key=lambda name: (name not in BAD, counts[name], name))


def chosen(happenings: Sequence[Happening], kind: str) -> list[Happening]:
    """Those of a kind; `wrong` for all that speak of trouble, and nothing for all there are."""
    if kind == "wrong":
        return [item for item in happenings if item.event.name in BAD]
    return [item for item in happenings if kind in ("", item.event.name)]


def event_line(item: Happening, *, attempts: bool) -> str:
    """One event in a line.

    Args:
        item: the event.
        attempts: say the attempt, where there are several.
    """
    event = item.event
    clock = time.strftime("%m-%d %H:%M:%S", time.localtime(event.time))
    step = f"{event.step:,}" if event.step is not None else ""
    which = f"{item.attempt:>2}  " if attempts else ""
    return safe(f"{clock}  {which}{step:>9}  {event.name:<11} {facts_text(event.facts)}".rstrip())


def kind(item: Happening) -> str:
    """How the line looks."""
    if item.shadowed:
        return "muted"
    return "bad" if item.event.name in BAD else ("good" if item.event.name in _GOOD else "")


def facts_text(facts: dict[str, Any]) -> str:
    """The facts in one line; of long tables only the beginning."""
    parts = []
    for name in sorted(facts, key=_order):
        value = facts[name]
        if value in (None, "", [], {}) or value is False:
            continue
        if isinstance(value, dict):
            figures = [f"{key} {_value(inner)}" for key, inner in value.items() if not isinstance(inner, dict)]
            more = f"  +{len(figures) - _FEW}" if len(figures) > _FEW else ""
            said = "  ".join(figures[:_FEW]) + more
            parts.append(said if name == "metrics" else f"{name}: {said}")
        elif value is True:
            parts.append(name)
        else:
            parts.append(_value(value) if name in _PLAIN else f"{name} {_named(name, value)}")
    return "  ".join(parts)


def details(item: Happening, width: int) -> list[str]:
    """All facts of an event, tables in as many columns as fit."""
    event = item.event
    step = f", step {event.step:,}" if event.step is not None else ""
    shadowed = ", shadowed: a later attempt went on from before it" if item.shadowed else ""
    lines = [f"{event.name}, {format.clock(event.time)}{step}, attempt {item.attempt}{shadowed}"]
    for name in sorted(event.facts, key=_order):
        value = event.facts[name]
        if isinstance(value, dict):
            lines += [f"{name}:", *columns([(str(key), _value(inner)) for key, inner in value.items()], width)]
        else:
            text = _named(name, value)
            lines += [
                f"{name}: {part}" if at == 0 else f"  {part}" for at, part in enumerate(text.splitlines() or [""])
            ]
    return [safe(line) for line in lines]


def columns(pairs: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Names and values in as many columns as fit, read downwards."""
    if not pairs:
        return []
    name_width, value_width = max(len(name) for name, _ in pairs), max(len(value) for _, value in pairs)
    cell = name_width + value_width + 2
    count = max(1, (width - 2) // (cell + 3))
    height = math.ceil(len(pairs) / count)
    cells = [f"{name:<{name_width}}  {value:>{value_width}}" for name, value in pairs]
    return ["  " + "   ".join(cells[row::height]) for row in range(height)]


def _order(name: str) -> tuple[int, str]:
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)


def _named(name: str, value: Any) -> str:
    """A value as text; a pid is a name made of digits, not a number."""
    return str(value) if name in ("pid", "ticks", "seed") else _value(value)


def _value(value: Any) -> str:
    number = decode_number(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if number is not None and not isinstance(value, int):
        return format.number(number)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_value(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_value(inner) for inner in value)
    return str(value)
