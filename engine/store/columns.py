"""Lines of the metric log as columns, without an object a line: what a long log is read by. Apart, since numpy takes
a while to import.

Nearly all lines of a log are of a few layouts: the same keys in the same order, and numbers. Where every line is of a
layout that was found, the text between the numbers is blanked out, and one call of the JSON parser reads the numbers of
all lines: the same parser as for single lines, so that not a bit differs. Whatever else is in a line makes the whole
text one that has to be read line by line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.store.files import decode_number
from engine.store.metrics import ROLLED_BACK, Series

_FIELD = re.compile(rb'([{,] ?"(?:[^"\\]|\\.)*":) ?(?:-?[0-9][-+.0-9eE]*|"-?[A-Z][A-Za-z]*")')
_NUMBERS_A_CHECK = 16
"""Below so many numbers for each key of each layout, line by line is as fast."""
_OTHER_VALUES = (b"[", b"{", b"l", b"u")
"""One of them is in every JSON value that is neither number nor string: arrays, objects, null, true and false."""
_NEWLINE, _COLON, _BRACE, _SPACE, _BRACKET = b"\n:} ["


@dataclass(frozen=True)
class _Layout:
    """The keys of a line, and the text before each number but the space that may follow the colon."""

    keys: list[str]
    texts: list[bytes]
    colons: list[int]
    """Which of the line's colons ends each text: a name may hold some too."""

    @classmethod
    def of(cls, line: bytes) -> _Layout | None:
        """The layout of a line; None where it isn't a record of numbers only."""
        texts: list[bytes] = []
        end = 0
        while (field := _FIELD.match(line, end)) and field[1].startswith(b"," if texts else b"{"):
            texts.append(field[1])
            end = field.end()
        if line[end:] != b"}":
            return None
        try:
            keys = list(orjson.loads(line))
        except orjson.JSONDecodeError:
            return None
        if len(keys) != len(texts) or not {"step", "time"} <= set(keys) or ROLLED_BACK in keys:
            return None
        counts = np.cumsum([text.count(b":") for text in texts])
        return cls(keys, texts, [int(count) - 1 for count in counts])


@dataclass(frozen=True)
class _Lines:
    """A text's lines, in a copy of it that is blanked out bit by bit; with a byte more at its end."""

    text: bytearray
    marks: NDArray[np.int64]
    """Where all newlines and colons are."""
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    """Of each line, where it begins and where its newline is."""
    first: NDArray[np.int64]
    """Of each line, which of the marks is its first colon."""
    colons: NDArray[np.int64]
    """Of each line, how many it has."""

    @classmethod
    def of(cls, text: bytes) -> _Lines:
        copy = bytearray(text + b"]")
        letters = np.frombuffer(copy, np.uint8)
        marks = np.flatnonzero((letters == _NEWLINE) | (letters == _COLON))
        newlines = np.flatnonzero(letters[marks] == _NEWLINE)
        first = np.concatenate([[0], newlines[:-1] + 1])
        ends = marks[newlines]
        return cls(copy, marks, np.concatenate([[0], ends[:-1] + 1]), ends, first, newlines - first)

    def line(self, number: int) -> bytes:
        return bytes(self.text[self.starts[number] : self.ends[number]])

    def blank(self, layout: _Layout, among: NDArray[np.int64]) -> NDArray[np.int64]:
        """Make a comma of each text of the layout in those of the lines that have exactly it; which ones they are.

        The layout must be that of the first of the lines, so that no text can begin before the first byte.
        """
        letters = np.frombuffer(self.text, np.uint8)
        found: NDArray[np.int64] = among[self.colons[among] == layout.colons[-1] + 1]
        found = found[letters[self.ends[found] - 1] == _BRACE]
        for column, (colon, text) in enumerate(zip(layout.colons, layout.texts, strict=True)):
            places = self.marks[self.first[found] + colon] - (len(text) - 1)
            same = self._items(len(text))[places] == text
            if column == 0:
                same &= places == self.starts[found]
            if not same.all():
                found = found[same]
        for colon, text in zip(layout.colons, layout.texts, strict=True):
            places = self.marks[self.first[found] + colon] - (len(text) - 1)
            self._items(len(text))[places] = b",".ljust(len(text))
        letters[self.ends[found] - 1] = _SPACE
        return found

    def _items(self, width: int) -> NDArray[np.bytes_]:
        """At each place the bytes from there on."""
        return np.ndarray((len(self.text) - width + 1,), f"S{width}", self.text, strides=(1,))


@dataclass(frozen=True)
class Columns:
    """Records as columns: of each metric its steps, values and times, rising."""

    points: dict[str, tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]]
    last_step: int
    last_time: float

    @classmethod
    def of(cls, text: bytes) -> Columns | None:
        """The records in whole lines.

        None where lines must be looked at one by one: something in them is damaged or no number, training went back,
        steps don't rise, or there are too many layouts for anything to be won.
        """
        if not text.startswith(b"{") or not text.endswith(b"}\n"):
            return None
        lines = _Lines.of(text)
        groups = _grouped(lines)
        numbers = _numbers(lines.text, sum(len(found) * len(layout.keys) for layout, found in groups))
        if not numbers:
            return None
        parts: dict[str, list[tuple[Any, ...]]] = {}
        last_step, last_time = 0, 0.0
        values, offsets = np.array(numbers, np.float64), _offsets(groups, len(lines.ends))
        for layout, found in groups:
            first = offsets[found]
            place = layout.keys.index("step")
            steps = _steps(
                numbers[place :: len(layout.keys)]
                if len(groups) == 1
                else [numbers[number] for number in (first + place).tolist()]
            )
            times = values[first + layout.keys.index("time")]
            if steps is None or not np.isfinite(times).all():
                return None
            last_step, last_time = max(last_step, int(steps.max())), max(last_time, float(times.max()))
            for place, name in enumerate(layout.keys):
                if name not in ("step", "time"):
                    parts.setdefault(name, []).append((found, steps, values[first + place], times))
        points = {name: _in_order(same) for name, same in parts.items()}
        if any((np.diff(steps) <= 0).any() for steps, _, _ in points.values()):
            return None
        return cls(points, last_step, last_time)

    def go_on_from(self, series: Mapping[str, Series]) -> bool:
        """Whether each metric's first step lies past the last one known."""
        return all(steps[0] > series[name].steps[-1] for name, (steps, _, _) in self.points.items() if name in series)


_Groups = list[tuple[_Layout, NDArray[np.int64]]]


def _grouped(lines: _Lines) -> _Groups:
    """Which lines are of which layout, all texts blanked out; none where there are other lines too."""
    groups: _Groups = []
    left = np.arange(len(lines.ends))
    checks, most = 0, int(lines.colons.sum()) // _NUMBERS_A_CHECK
    while len(left):
        layout = _Layout.of(lines.line(left[0]))
        if layout is None or (checks := checks + len(layout.keys)) > most:
            return []
        found = lines.blank(layout, left)
        groups.append((layout, found))
        left = np.setdiff1d(left, found, assume_unique=True) if len(found) < len(left) else left[:0]
    return groups


def _numbers(text: bytearray, count: int) -> list[float] | None:
    """The numbers of a text that is blanked out; None where they aren't so many, or something else is among them."""
    if not count or any(mark in text for mark in _OTHER_VALUES):
        return None
    words = b'"' in text
    text[0] = _BRACKET
    try:
        found: list[Any] = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if len(found) != count:
        return None
    if words:
        found = [decode_number(value) if type(value) is str else value for value in found]
        return None if None in found else found
    return found


def _offsets(groups: _Groups, lines: int) -> NDArray[np.int64]:
    """Of each line, which is its first number."""
    widths = np.zeros(lines, np.int64)
    for layout, found in groups:
        widths[found] = len(layout.keys)
    return np.cumsum(widths) - widths


def _steps(column: list[float]) -> NDArray[np.int64] | None:
    """A column of steps; None where one is no whole number, too large or below 0."""
    steps = np.array(column)
    return steps if steps.dtype == np.int64 and steps.min() >= 0 else None


def _in_order(parts: list[tuple[Any, ...]]) -> tuple[Any, Any, Any]:
    if len(parts) == 1:
        return parts[0][1:]
    order = np.argsort(np.concatenate([part[0] for part in parts]), kind="stable")
    steps, values, times = (np.concatenate([part[index] for part in parts])[order] for index in (1, 2, 3))
    return steps, values, times
