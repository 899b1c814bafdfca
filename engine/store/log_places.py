"""Where in a log something stands: a moment, or a step. The lines' own times and steps say so; they rise."""

from __future__ import annotations

import re
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from engine.errors import HeatsError
from engine.store.logs import LogFile
from engine.store.paths import RunPaths
from engine.store.records import read_launch

_STAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) |\{\"time\": ([\d.e+]+)")
_STEP = re.compile(r"\bstep ([\d,]+)\b")
_LOOK = 400
"""So many lines without a time are passed over: a traceback, a table."""
_AGO = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Jump:
    """Where to go in a log: a moment (seconds since 1970), a step, a line (from 1 on) or a share of it (0 to 1)."""

    kind: Literal["time", "step", "line", "share"]
    value: float


def parse_jump(text: str, now: float) -> Jump:
    """Understand what somebody typed: `14:05`, `2026-01-02 14:05`, `10m` (ago), `step 1200`, `line 5` or `50%`.

    Args:
        text: as typed.
        now: seconds since 1970; a time of day is the last one before it.

    Raises:
        HeatsError: it is none of these.
    """
    word = text.strip().lower().replace(",", "")
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])(?: ago)?", word):
        return Jump("time", now - float(found[1]) * _AGO[found[2]])
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", word):
        return Jump("share", min(1.0, float(found[1]) / 100))
    if found := re.fullmatch(r"(step|line)?\s*(\d+)", word):
        return Jump("line" if found[1] == "line" else "step", float(found[2]))
    today = time.strftime("%Y-%m-%d", time.localtime(now))
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%H:%M:%S", "%H:%M"):
        whole = word if form.startswith("%Y") else f"{today} {word}"
        try:
            moment = time.mktime(time.strptime(whole, form if form.startswith("%Y") else f"%Y-%m-%d {form}"))
        except (ValueError, OverflowError):
            continue
        return Jump("time", moment - 86400 if moment > now and not form.startswith("%Y") else moment)
    raise HeatsError(f"{text!r} is no place in a log", remedy="write 14:05, 10m (ago), step 1200, line 500 or 50%")


def find_place(log: LogFile, jump: Jump) -> int:
    """The number of the line (from 0 on) at which what is looked for begins; the last one where it never comes."""
    last = max(0, log.line_count - 1)
    if jump.kind == "line":
        return min(last, max(0, int(jump.value) - 1))
    if jump.kind == "share":
        return min(last, int(jump.value * log.line_count))
    key = line_time if jump.kind == "time" else line_step
    return min(last, bisect_left(_Keys(log, key), jump.value))


def attempt_with(run: RunPaths, jump: Jump) -> int:
    """The number of the attempt in whose log a moment or a step is: the newest that had begun by then."""
    first = 1
    for attempt in reversed(run.attempts()):
        launch = read_launch(attempt.launch)
        began = (launch.started if jump.kind == "time" else launch.resumed_from_step) if launch is not None else None
        first = attempt.number
        if (began or 0) <= jump.value:
            break
    return first


def line_time(line: str) -> float | None:
    """When a line was written, in seconds since 1970; None where it doesn't say."""
    found = _STAMP.match(line)
    if found is None:
        return None
    try:
        return float(found[2]) if found[2] else time.mktime(time.strptime(found[1], "%Y-%m-%d %H:%M:%S"))
    except (ValueError, OverflowError):
        return None


def line_step(line: str) -> float | None:
    """The step that a line tells of; None where it tells of none."""
    found = _STEP.search(line)
    return float(found[1].replace(",", "")) if found and found[1].strip(",") else None


class _Keys:
    """The lines' times or steps as an ascending sequence; a line without one has that of the next before it."""

    def __init__(self, log: LogFile, key: Callable[[str], float | None]) -> None:
        self.log = log
        self.key = key

    def __len__(self) -> int:
        return self.log.line_count

    def __getitem__(self, number: int) -> float:
        for high in range(number + 1, max(0, number + 1 - _LOOK), -50):
            for line in reversed(self.log.lines(max(0, high - 50), high)):
                found = self.key(line)
                if found is not None:
                    return found
        return float("-inf")
