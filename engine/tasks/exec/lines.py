"""Figures from lines that a script prints: `key: value`, `key=value`, dicts, JSON, progress bars.

Pure: text in, figures out. The rules, in the order in which they are tried on a line:

1. `exec.pattern`, where it is given, and nothing else;
2. a JSON object, or a dict as Python prints it;
3. a progress bar (`12/100 [00:03<...`): its place is the step;
4. words for a step with a number (`step 12/100`, `iter: 12`, `Epoch: 3 [640/60000`), then every `name: number` and
   `name=number`.

A figure counts at the step on its line, else at the last step known. Where no line ever names a step, the n-th time
that a figure is printed is its step n. A step inside an epoch counts on over the epochs before.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.tasks.exec.naming import group_of, metric_name

_LONGEST = 4000
"""Characters of a line beyond which it is no line of figures."""
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|NaN|inf|Infinity)"
_STEP = re.compile(
    r"\b(?P<word>global[ _]step|optimizer[ _]step|step|iteration|iter|it|update|batch)s?\b['\"]?\s*[:=#]?\s*[\[(]?\s*"
    r"(?P<step>\d+)(?!\d|[.:]\d)(?:\s*(?:/|of)\s*(?P<total>\d+))?",
    re.IGNORECASE,
)
_EPOCH = re.compile(
    r"\bepoch\b['\"]?\s*[:=#]?\s*[\[(]?\s*(?P<epoch>\d+(?:\.\d+)?)(?:\s*(?:/|of)\s*(?P<epochs>\d+))?[\])]?",
    re.IGNORECASE,
)
_PLACE = re.compile(r"\[\s*(?P<step>\d+)\s*/\s*(?P<total>\d+)(?:\s*\(\s*\d+(?:\.\d+)?%\s*\))?\s*\]")
_BAR = re.compile(r"(?:^|[\s|])(?P<step>\d+)/(?P<total>\d+)\s*\[\d+:\d+(?::\d+)?<")
_PAIR = re.compile(
    rf"(?P<key>['\"]?[A-Za-z_][\w./-]*['\"]?(?:[ _][A-Za-z][\w./-]*){{0,2}})\s*[:=]\s*['\"]?(?P<value>{_NUMBER})"
    r"(?:\s*/\s*(?P<whole>\d+))?(?P<percent>\s*%)?['\"]?(?![\w.]*[:\w])"
)
_STEP_NAMES = ("step", "global_step", "iteration", "iter", "update", "batch")


@dataclass(frozen=True)
class Figures:
    """What a line says: figures by metric, at a step; `total` is how many steps there are in all, where it says so."""

    step: int
    values: dict[str, float]
    total: int | None = None


@dataclass
class LineReader:
    """Reads lines one by one and keeps where the script is.

    Args:
        pattern: a regular expression that replaces all rules.
        step_key: the name of the step, where it isn't one of those known.
    """

    pattern: str = ""
    step_key: str = ""
    step: int = 0
    """The last step known."""
    named: bool = False
    """Whether any line has named a step."""
    total: int | None = None
    _epoch: float | None = None
    _epochs: int | None = None
    _first_epoch: int | None = None
    _before: int = 0
    """Steps of the epochs before this one, where steps are counted anew in each."""
    _raw: int = 0
    _bar: int = 0
    _bar_is_over: bool = False
    _bar_counts: bool = False
    """Whether figures came while the bar was there: a bar of loading or preparing data has none."""
    _group: str = ""
    _times: dict[str, int] = field(default_factory=dict)
    _by_epoch: bool = False
    _placed_epoch: int = -1

    def read(self, text: str) -> Figures | None:
        """What a line says; None where it holds no figure. Never raises."""
        line = _ANSI.sub("", text).strip()
        if not line or len(line) > _LONGEST:
            return None
        if self.pattern:
            return self._by_pattern(line)
        content, prefix = _object_in(line)
        return self._as_text(line) if content is None else self.take_object(content, group_of(prefix))

    # Each rule

    def _by_pattern(self, line: str) -> Figures | None:
        match = re.search(self.pattern, line)
        if match is None:
            return None
        groups = {name: number for name, text in match.groupdict().items() if (number := _number(text)) is not None}
        step, total = groups.pop("step", None), groups.pop("total", None)
        self._move(step, total)
        return self._place({metric_name(name): value for name, value in groups.items()}, step is not None)

    def take_object(self, content: dict[Any, Any], group: str = "") -> Figures | None:
        """A mapping of figures, with its step in it or at the last step known."""
        values: dict[str, float] = {}
        step: float | None = None
        for name, raw in _flat(content, ""):
            number = _number(raw)
            if number is None:
                continue
            if name == self.step_key or (not self.step_key and name.lower() in _STEP_NAMES):
                step = number
            elif name.lower() == "epoch":
                self._to_epoch(number, None)
            elif name.lower() not in ("time", "timestamp", "epochs", "seed"):
                values[metric_name(name, group)] = number
        if step is None and self._by_epoch and self._epoch is not None:
            step = self._epoch
        self._move(step, None)
        return self._place(values, step is not None)

    def _as_text(self, line: str) -> Figures | None:
        bar = _BAR.search(line)
        if bar is not None:
            self._to_bar(int(bar["step"]), int(bar["total"]))
            if self.step_key or not _PAIR.search(line):
                return None
        epoch = _EPOCH.search(line)
        place = _PLACE.search(line) if epoch is not None else None
        word = self._step_word(line)
        if epoch is not None:
            self._to_epoch(float(epoch["epoch"]), int(epoch["epochs"]) if epoch["epochs"] else None)
        said = bar is not None
        if word is not None:
            self._move(float(word["step"]), float(word["total"]) if word["total"] else None)
            said = True
        elif place is not None:
            self._in_epoch(int(place["step"]), int(place["total"]))
            said = True
        elif epoch is not None and (not self.named or self._by_epoch):
            self._by_epoch = True
            whole = int(float(epoch["epoch"]))
            self._move(float(whole), float(epoch["epochs"]) if epoch["epochs"] else None)
            said = True
        values = self._pairs(line, [match.span() for match in (epoch, place, word, bar) if match is not None])
        return self._place(values, said)

    def _step_word(self, line: str) -> re.Match[str] | None:
        if self.step_key:
            name = re.escape(self.step_key)
            return re.search(rf"{name}['\"]?\s*[:=#]?\s*(?P<step>\d+)(?:\s*/\s*(?P<total>\d+))?", line)
        return _STEP.search(line)

    def _pairs(self, line: str, taken: list[tuple[int, int]]) -> dict[str, float]:
        """Every `name: number` that is no step; the text before a colon names the part of data for all behind it."""
        values: dict[str, float] = {}
        for match in _PAIR.finditer(line):
            if any(match.start("value") < end and start < match.end("value") for start, end in taken):
                continue
            number = _number(match["value"])
            if number is None:
                continue
            if match["whole"]:  # 9,856/10,000 right
                number = number / int(match["whole"]) if int(match["whole"]) else math.nan
            elif match["percent"]:
                number /= 100
            key = match["key"].strip("'\" ")
            if key.lower() in ("epoch", "epochs", "step", "steps", "seed"):
                continue
            group = group_of(line[: match.start("key")])
            values[metric_name(key, group)] = number
        return values

    # Where the script is

    def _move(self, step: float | None, total: float | None) -> None:
        """A step was named. One that goes back while the total, or the epoch, went on is counted on from there."""
        if step is None or not math.isfinite(step) or not 0 <= step < 2**53:
            return
        raw = int(step)
        if raw < self._raw and self.named and not self._by_epoch:
            self._before = self.step
        self._raw, self.named = raw, True
        self.step = self._before + raw
        if total is not None and total >= raw and not self._before:
            self.total = int(total)
        elif self.total is not None and self.step > self.total:
            self.total = None

    def _in_epoch(self, place: int, size: int) -> None:
        """`Epoch: 3 [640/60000`: epochs of one size follow each other."""
        first = 0 if self._first_epoch == 0 else 1
        whole = int(self._epoch or first)
        self.named = True
        self._by_epoch = False
        step = max(0, whole - first) * size + place
        if whole == self._placed_epoch and step < self.step:
            step = self.step + 1  # a last batch that is smaller, counted as if all before were so too
        self._placed_epoch = whole
        self.step, self._raw = step, place
        if self._epochs is not None:
            self.total = self._epochs * size

    def _to_epoch(self, epoch: float, epochs: int | None) -> None:
        if not math.isfinite(epoch) or not 0 <= epoch < 2**53:
            return
        if self._first_epoch is None:
            self._first_epoch = int(epoch)
        self._epoch = epoch
        self._epochs = epochs or self._epochs

    def _to_bar(self, place: int, total: int) -> None:
        """The longest bar tells the step; those of evaluations are shorter and come in between."""
        if place > total:
            return
        if total != self._bar and not self._bar_counts and (total > self._bar or self._bar_is_over):
            self._before = self._raw = self.step = 0
        elif total < self._bar:
            return
        self._bar_is_over = place == total
        if total == self._bar and place < self._raw:  # a bar an epoch
            self._before = self.step
        self._bar, self._raw, self.named = total, place, True
        self.step = self._before + place
        self.total = None if self._before else total

    def _place(self, values: dict[str, float], said: bool) -> Figures | None:
        if not values:
            return None
        if said or self.named:
            self._bar_counts = self._bar_counts or self._bar > 0
            return Figures(self.step, values, self.total)
        # No step was ever named: a figure that comes again is one of a series, what is printed once is a setting.
        counted: dict[str, float] = {}
        for name, value in values.items():
            self._times[name] = self._times.get(name, 0) + 1
            if self._times[name] > 1:
                counted[name] = value
        if not counted:
            return None
        self.step = max(self._times[name] for name in counted)
        return Figures(self.step, counted)


def _object_in(line: str) -> tuple[dict[Any, Any] | None, str]:
    """A JSON object or a Python dict, alone on its line or behind a prefix such as a time; and that prefix."""
    start = line.find("{")
    if start < 0 or not line.endswith("}"):
        return None, ""
    content: Any = None
    try:
        content = json.loads(line[start:])
    except (ValueError, RecursionError):
        try:
            content = ast.literal_eval(line[start:])
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return None, ""
    return (content, line[:start]) if isinstance(content, dict) else (None, "")


def _flat(content: dict[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Nested mappings by names with slashes."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def _number(raw: Any) -> float | None:
    if isinstance(raw, bool):
        return None
    try:
        if isinstance(raw, str) and not re.fullmatch(_NUMBER, raw.strip()):
            return None
        return float(raw)
    except (TypeError, ValueError, OverflowError):
        return None
