"""Host figures over a run's life: the reader of each attempt's system.jsonl, and what each figure is."""

from __future__ import annotations

import math
import re
from array import array
from dataclasses import dataclass
from typing import Any, Literal

from engine.store.files import decode_number
from engine.store.metrics import JsonLinesTail
from engine.store.paths import RunPaths

Unit = Literal["%", "B", "B/s", "°C", "W", ""]
MOST_ROWS = 40_000
"""Past this many (4.6 days at one each ten seconds) neighbours are averaged, from then on those that come too."""


@dataclass(frozen=True)
class Figure:
    """What one name in system.jsonl means.

    `ceiling` is the name of the figure that bounds it (memory_total for memory_used), or "100".
    """

    name: str
    group: str
    label: str
    unit: Unit
    ceiling: str | None = None


_HOST = (
    Figure("cpu_percent", "CPU", "all cores", "%", "100"),
    Figure("load", "CPU", "load over a minute", ""),
    Figure("run_cpu_percent", "CPU", "this run (100 % is a core)", "%"),
    Figure("trainer_cpu_percent", "CPU", "its trainer alone", "%"),
    Figure("memory_used", "Memory", "taken", "B", "memory_total"),
    Figure("memory_total", "Memory", "there is", "B"),
    Figure("run_memory", "Memory", "this run", "B", "memory_total"),
    Figure("trainer_memory", "Memory", "its trainer alone", "B", "memory_total"),
    Figure("run_processes", "Memory", "processes of this run", ""),
    Figure("disk_free", "Disk", "free where the store lies", "B", "disk_total"),
    Figure("disk_total", "Disk", "there is", "B"),
    Figure("disk_read_rate", "Disk", "read by all", "B/s"),
    Figure("disk_write_rate", "Disk", "written by all", "B/s"),
    Figure("network_received_rate", "Network", "received by all", "B/s"),
    Figure("network_sent_rate", "Network", "sent by all", "B/s"),
)
_GPU = (
    ("percent", "busy", "%", "100"),
    ("memory_used", "memory used", "B", "gpu{}_memory_total"),
    ("memory_total", "memory there is", "B", None),
    ("run_memory", "memory of this run", "B", "gpu{}_memory_total"),
    ("temperature", "temperature", "°C", None),
    ("power", "power", "W", "gpu{}_power_limit"),
    ("power_limit", "power limit", "W", None),
)  # fmt: skip
_GPU_NAME = re.compile(r"gpu(\d{1,3})_(\w+)")
_ORDER = {figure.name: place for place, figure in enumerate(_HOST)}
_GPU_ORDER = {name: place for place, (name, *_) in enumerate(_GPU)}


def figure(name: str) -> Figure:
    """What a name in system.jsonl means; one that nobody knows is shown under its own name."""
    if name in _ORDER:
        return _HOST[_ORDER[name]]
    if (found := _GPU_NAME.fullmatch(name)) and found[2] in _GPU_ORDER:
        _, label, unit, ceiling = _GPU[_GPU_ORDER[found[2]]]
        return Figure(name, f"GPU {found[1]}", label, unit, ceiling.format(found[1]) if ceiling else None)  # type: ignore[arg-type]
    return Figure(name, "Other", name, "")


class SystemHistory:
    """The host figures of a run over all its attempts, as its supervisors wrote them, one row each ten seconds.

    Make one for a run and call `refresh` whenever there may be more, in a thread: it reads only what was appended.
    Never raises for what is in the files; a damaged line is skipped and counted. A run without figures (imported,
    or made before they were kept) has no names.

        history = SystemHistory(run)
        history.refresh()
        for name in history.names():                  # in the order in which people look at them
            what = figure(name)                       # group, label, unit, ceiling
            times, values = history.curve(name)       # seconds since 1970, ascending; no NaN in them
        history.latest()                              # {"cpu_percent": 12.5, ...}

    `breaks` are the times at which a later attempt began: a line must not be drawn across one.
    """

    def __init__(self, run: RunPaths, most: int = MOST_ROWS) -> None:
        self.run = run
        self.most = most
        self.times: array[float] = array("d")
        self.breaks: list[float] = []
        self._columns: dict[str, array[float]] = {}
        self._tails: dict[int, _Tail] = {}
        self._stride = 1
        self._pending: list[dict[str, float]] = []
        self._latest: dict[str, float] = {}

    @property
    def damaged(self) -> int:
        """How many damaged lines were skipped."""
        return sum(tail.damaged for tail in self._tails.values())

    def __len__(self) -> int:
        return len(self.times)

    def refresh(self) -> bool:
        """Take in what was appended since the last call; whether anything was."""
        changed = False
        for attempt in self.run.attempts():
            tail = self._tails.get(attempt.number)
            if tail is None:
                tail = self._tails[attempt.number] = _Tail(attempt.system)
            for row in tail.read():
                if not tail.begun and self.times:
                    self.breaks.append(float(row["time"]))
                tail.begun = True
                self._take(row)
                changed = True
        return changed

    def _take(self, record: dict[str, Any]) -> None:
        numbers = ((name, decode_number(raw)) for name, raw in record.items())
        row = {name: value for name, value in numbers if value is not None and math.isfinite(value)}
        self._latest = {name: value for name, value in row.items() if name != "time"}
        self._pending.append(row)
        if len(self._pending) < self._stride:
            return
        merged = {
            name: _mean([row[name] for row in self._pending if name in row]) for row in self._pending for name in row
        }
        self._pending = []
        # Where the clock was set back, order stands above it.
        time = max(merged.pop("time"), self.times[-1] if self.times else 0.0)
        height = len(self.times)
        self.times.append(time)
        for name in merged.keys() - self._columns.keys():
            self._columns[name] = array("d", [math.nan]) * height
        for name, column in self._columns.items():
            column.append(merged.get(name, math.nan))
        if len(self.times) >= self.most:
            self._stride *= 2
            self.times = _halved(self.times)
            self._columns = {name: _halved(column) for name, column in self._columns.items()}

    def names(self) -> list[str]:
        """The figures that there are, in the order in which people look at them."""
        return sorted(self._columns, key=_place)

    def curve(self, name: str) -> tuple[array[float], array[float]]:
        """One figure: times in seconds since 1970, ascending, and its values in `figure(name).unit`."""
        times, values = array("d"), array("d")
        for time, value in zip(self.times, self._columns.get(name, ()), strict=False):
            if value == value:
                times.append(time)
                values.append(value)
        return times, values

    def latest(self) -> dict[str, float]:
        """The newest row, without what was missing in it."""
        return dict(self._latest)


class _Tail(JsonLinesTail):
    begun = False

    def accepts(self, record: Any) -> bool:
        time = record.get("time") if isinstance(record, dict) else None
        return isinstance(time, (int, float)) and not isinstance(time, bool) and 0 <= time < 1e11


def _halved(column: array[float]) -> array[float]:
    pairs = zip(column[::2], column[1::2], strict=False)
    return array("d", (_mean([value for value in pair if value == value]) for pair in pairs))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _place(name: str) -> tuple[int, int, int, str]:
    if name in _ORDER:
        return 0, 0, _ORDER[name], name
    if found := _GPU_NAME.fullmatch(name):
        return -1, int(found[1]), _GPU_ORDER.get(found[2], len(_GPU)), name
    return 1, 0, 0, name
