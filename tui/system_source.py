"""Where the System tab has host figures from: each attempt's system.jsonl, oldest attempt first.

A small stand-in with the calls of `engine.store.system`, whose SystemHistory and figure take its place.
"""

from __future__ import annotations

import math
import re
from array import array
from dataclasses import dataclass

from engine.store.files import decode_number, read_records
from engine.store.paths import RunPaths

_KNOWN = {
    "cpu_percent": ("CPU", "all cores", "%", "100"),
    "trainer_cpu_percent": ("CPU", "its trainer alone", "%", None),
    "memory_used": ("Memory", "used", "B", "memory_total"),
    "memory_total": ("Memory", "there is", "B", None),
    "trainer_memory": ("Memory", "its trainer alone", "B", "memory_total"),
    "disk_free": ("Disk", "free where the store lies", "B", None),
}
_GPU = {
    "percent": ("busy", "%", "100"),
    "memory_used": ("memory used", "B", "gpu{}_memory_total"),
    "memory_total": ("memory there is", "B", None),
}


@dataclass(frozen=True)
class Figure:
    """What one name in system.jsonl means; `ceiling` is the name of the figure that bounds it, or "100"."""

    name: str
    group: str
    label: str
    unit: str
    ceiling: str | None = None


def figure(name: str) -> Figure:
    """What a name in system.jsonl means; one that nobody knows is shown under its own name."""
    if name in _KNOWN:
        return Figure(name, *_KNOWN[name])
    if (found := re.fullmatch(r"gpu(\d{1,3})_(\w+)", name)) and found[2] in _GPU:
        label, unit, ceiling = _GPU[found[2]]
        return Figure(name, f"GPU {found[1]}", label, unit, ceiling.format(found[1]) if ceiling else None)
    return Figure(name, "Other", name, "")


class SystemHistory:
    """The host figures of a run over all its attempts. Call `refresh` in a thread."""

    def __init__(self, run: RunPaths) -> None:
        self.run = run
        self.breaks: list[float] = []
        self._rows: list[dict[str, float]] = []
        self._sizes: list[int] = []

    def refresh(self) -> bool:
        """Take in what was appended since the last call; whether anything was."""
        paths = [attempt.system for attempt in self.run.attempts()]
        sizes = [path.stat().st_size if path.exists() else 0 for path in paths]
        if sizes == self._sizes:
            return False
        self._sizes, self._rows = sizes, []
        for path in paths:
            for record in read_records(path)[0]:
                numbers = ((name, decode_number(raw)) for name, raw in record.items())
                row = {name: value for name, value in numbers if value is not None and math.isfinite(value)}
                self._rows += [row] if "time" in row else []
        return True

    def names(self) -> list[str]:
        """The figures that there are, in the order in which people look at them."""
        return list(dict.fromkeys(name for row in self._rows[-1:] for name in row if name != "time"))

    def curve(self, name: str) -> tuple[array[float], array[float]]:
        """One figure: times in seconds since 1970, ascending, and its values."""
        rows = [(row["time"], row[name]) for row in self._rows if name in row]
        return array("d", (time for time, _ in rows)), array("d", (value for _, value in rows))

    def latest(self) -> dict[str, float]:
        """The newest row."""
        return {name: value for name, value in (self._rows[-1] if self._rows else {}).items() if name != "time"}
