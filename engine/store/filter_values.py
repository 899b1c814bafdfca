"""What the terms of a filter look at in a run, and how values are compared."""

from __future__ import annotations

import calendar
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from typing import Any

from engine.errors import HeatsError
from engine.store.files import decode_number

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_MOMENT = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2}))?)?")
_EQUAL = 1e-9
_NUMBERS: dict[str, Callable[[Any, float], Any]] = {
    "loss": lambda run, now: run.loss,
    "step": lambda run, now: run.step,
    "total_steps": lambda run, now: run.total_steps,
    "seed": lambda run, now: run.seed,
    "attempts": lambda run, now: run.attempts,
    "rate": lambda run, now: run.rate,
    "left": lambda run, now: run.left,
    "age": lambda run, now: now - run.created if run.created else None,
    "created": lambda run, now: run.created or None,
}
_TEXTS = ("id", "name", "task", "study", "arm", "host", "note", "status")
_DURATIONS = ("age", "left")


@dataclass
class Subject:
    """A run that a filter is held against."""

    run: Any
    config: Mapping[str, Any]
    has_checkpoint: bool
    now: float

    @cached_property
    def haystack(self) -> str:
        """Where plain words are looked for, in lower case."""
        run = self.run
        parts = (run.id, run.name, run.task, str(run.status), run.study or "", run.arm or "", run.note, *run.tags)
        return "\n".join(parts).lower()


@dataclass(frozen=True)
class Comparison:
    """`name operator value`. `number` is the value as one, if it is one; `until` ends a whole day."""

    name: str
    operator: str
    text: str
    number: float | None
    until: float | None = None

    @property
    def needs_config(self) -> bool:
        """Whether the name may be an option of the config."""
        return self.name not in _NUMBERS and self.name not in _TEXTS

    def holds(self, subject: Subject) -> bool:
        found = self._find(subject)
        if isinstance(found, (list, tuple)):
            if self.operator == "!=":
                return all(self._compare(part) for part in found)
            return any(self._compare(part) for part in found)
        return self._compare(found)

    def _find(self, subject: Subject) -> Any:
        if self.name in _NUMBERS:
            return _NUMBERS[self.name](subject.run, subject.now)
        if self.name in _TEXTS:
            found = getattr(subject.run, self.name)
            return None if found is None else str(found)
        place = locate(self.name, tuple(subject.config), tuple(subject.run.metrics))
        if place is None:
            return None
        is_option, name = place
        if is_option:
            found = subject.config[name]
            return "none" if found is None else found
        return decode_number(subject.run.metrics[name])

    def _compare(self, found: Any) -> bool:
        if found is None:
            return False
        if isinstance(found, bool):
            return self._texts("true" if found else "false")
        number = decode_number(found) if not isinstance(found, str) else None
        if number is None:
            return self._texts(str(found))
        if self.number is None:
            return self.operator == "!="
        return _numbers(self.operator, number, self.number, self.until)

    def _texts(self, found: str) -> bool:
        if self.operator not in ("=", "!="):
            return False
        wanted, found = self.text.lower(), found.lower()
        equal = fnmatchcase(found, wanted) if "*" in wanted else found == wanted
        return equal == (self.operator == "=")


def compare(name: str, operator: str, text: str, *, quoted: bool = False) -> Comparison:
    """A comparison, its value understood as what the name asks for.

    Raises:
        HeatsError: the value is none of that kind.
    """
    known = name.lower()
    name = known if known in _NUMBERS or known in _TEXTS or known == "tag" else name
    if name == "tag":
        raise HeatsError("tags aren't compared", remedy=f"write tag:{text}")
    if name in _TEXTS and operator not in ("=", "!="):
        raise HeatsError(f"`{name}` is text, which is compared with = and != only")
    number, until = None if quoted and name not in _NUMBERS else _number(text), None
    if name in _DURATIONS and number is None:
        number = _duration(text)
        if number is None:
            raise HeatsError(f"`{text}` is no length of time", remedy="write it as 90s, 30m, 2h, 3d or 1w")
    elif name == "created" and number is None:
        number, until = _moment(text)
    elif number is None and (name in _NUMBERS or operator not in ("=", "!=")):
        raise HeatsError(f"`{text}` is no number")
    return Comparison(name, operator, text, number, until)


def _number(text: str) -> float | None:
    try:
        return float(text) if text.isascii() and "_" not in text else None
    except ValueError:
        return None


def _duration(text: str) -> float | None:
    if not text.isascii() or not _DURATION.fullmatch(text):
        return None
    return sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(text))


def _moment(text: str) -> tuple[float, float | None]:
    """Seconds since 1970 of a local date or time; a date alone lasts until the next."""
    match = _MOMENT.fullmatch(text) if text.isascii() else None
    problem = HeatsError(f"`{text}` is no date", remedy="write it as 2026-01-31 or 2026-01-31T18:00")
    if match is None:
        raise problem
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]):
        raise problem
    if hour > 23 or minute > 59 or second > 59:
        raise problem
    try:
        begin = time.mktime((year, month, day, hour, minute, second, 0, 0, -1))
        end = time.mktime((year, month, day + 1, 0, 0, 0, 0, 0, -1))
    except (OverflowError, ValueError):
        raise problem from None
    return begin, end if match.group(4) is None else None


def _numbers(operator: str, found: float, wanted: float, until: float | None) -> bool:
    if until is not None:  # a whole day: after it, before it, within it
        inside = wanted <= found < until
        return {
            "=": inside, "!=": not inside, "<": found < wanted, "<=": found < until, ">": found >= until,
            ">=": found >= wanted,
        }[operator]  # fmt: skip
    if math.isnan(wanted):
        return math.isnan(found) == (operator == "=") if operator in ("=", "!=") else False
    equal = math.isclose(found, wanted, rel_tol=_EQUAL)
    if operator in ("=", "!="):
        return equal == (operator == "=")
    if operator in ("<=", ">=") and equal:
        return True
    return found < wanted if operator in ("<", "<=") else found > wanted


@lru_cache(maxsize=4096)
def locate(name: str, options: tuple[str, ...], metrics: tuple[str, ...]) -> tuple[bool, str] | None:
    """Which of a run's options (True) or metrics (False) a name means; None for none of them, or several.

    The whole name first, then the last part of an option's, then of a metric's, where those of `val/` come first.
    """
    if name in options:
        return True, name
    if name in metrics:
        return False, name
    candidates = _candidates(name, options, metrics)
    return candidates[0] if len(candidates) == 1 else None


@lru_cache(maxsize=4096)
def is_ambiguous(name: str, options: tuple[str, ...], metrics: tuple[str, ...]) -> tuple[str, ...]:
    """The several things that a name could mean, if it could mean several."""
    if name in _NUMBERS or name in _TEXTS or name in options or name in metrics:
        return ()
    candidates = _candidates(name, options, metrics)
    return tuple(found for _, found in candidates) if len(candidates) > 1 else ()


def _candidates(name: str, options: tuple[str, ...], metrics: tuple[str, ...]) -> list[tuple[bool, str]]:
    found = [(True, option) for option in options if option.endswith(f".{name}")]
    if not found:
        found = [(False, metric) for metric in metrics if metric.endswith(f"/{name}")]
        measured = [place for place in found if place[1] == f"val/{name}"]
        found = measured or found
    return found


def field_holds(run: Any, field: str, wanted: str) -> bool:
    """Whether a field of a run has a text in it, whatever the case; with `*` or `?` the whole field must fit."""
    if field == "tag":  # a tag is a label: part of one is another
        return any(fnmatchcase(tag.lower(), wanted) for tag in run.tags)
    if field == "seed":
        return run.seed is not None and run.seed == int(wanted)
    found = str(getattr(run, field) or "").lower()
    return fnmatchcase(found, wanted) if "*" in wanted or "?" in wanted else wanted in found


def has(run: Any, what: str) -> bool:
    """Whether a run has a note, a tag, a star, alerts, a study, problems, or is archived."""
    name = {"tag": "tags", "alert": "alerts", "problem": "problems"}.get(what, what)
    return bool(getattr(run, name))
