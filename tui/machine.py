"""What the screen of the queue and the machine, and its plain twin, show: read here, and turned into texts."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.store.paths import Store
from tui import format

if TYPE_CHECKING:
    from engine.launch.gpus import Gpu
    from engine.launch.machine import MachineView, MachineWatch
    from engine.launch.queue import Waiting
    from engine.store.summary import RunSummary

HISTORY_SECONDS = 60
_GAP_SECONDS = 30.0
_BLOCKS, _ASCII_BLOCKS = " ▁▂▃▄▅▆▇█", " .:-=+*#@"


@dataclass(frozen=True)
class SlotUse:
    """A slot of this machine, and which run holds it; `store` names another store's folder of runs by its id."""

    name: str
    run: str | None = None
    since: float | None = None
    elsewhere: bool = False


@dataclass(frozen=True)
class QueueView:
    """What waits, for what, and which slots there are."""

    waiting: tuple[Waiting, ...]
    slots: tuple[SlotUse, ...]
    paused: bool
    reason: str


@dataclass(frozen=True)
class Gauge:
    """One line about the machine: its name, the figure whose history is drawn, its share of all there is, and words."""

    label: str
    name: str
    share: float | None
    text: str


def read_queue(root: Path) -> QueueView:
    """What waits on this machine, without starting anything. The store need not exist yet.

    Raises:
        HeatsError: the store can't be read, or HEATS_SLOTS is no number.
    """
    from engine.launch import queue, slots
    from engine.store.paths import EMPTY_STORE, open_store
    from engine.store.queue import read_state

    store = open_store(root) if root.is_dir() else Store(root.absolute(), EMPTY_STORE)
    waiting, state = tuple(queue.waiting(store)), read_state(store)
    claims = {claim.slot: claim for claim in slots.claims()}
    used = []
    for slot in slots.machine_slots():
        claim = claims.get(slot.name)
        elsewhere = claim is not None and claim.store != store.id
        used.append(SlotUse(slot.name, claim.run if claim else None, claim.time if claim else None, elsewhere))
    return QueueView(waiting, tuple(used), state.paused, state.reason)


class MachineMemory:
    """The machine as it was in the last minute. `look` is called in a thread, one at a time; the rest anywhere."""

    def __init__(self, root: Path) -> None:
        self._store = Store(root.absolute(), "")
        self._watch: MachineWatch | None = None
        self._last = 0.0
        self.histories: dict[str, deque[float]] = {}

    def look(self, runs: Sequence[RunSummary]) -> MachineView:
        """See how the machine is now."""
        if self._watch is None:
            from engine.launch.machine import MachineWatch

            self._watch = MachineWatch(self._store)
        return self._watch.look(runs)

    def remember(self, view: MachineView) -> None:
        """Keep what was seen; what is older than a minute, or lies before a long gap, is forgotten."""
        now = time.monotonic()
        if now - self._last > _GAP_SECONDS:
            self.histories = {}
        self._last = now
        for gauge in gauges(view):
            if gauge.share is not None:
                self.histories.setdefault(gauge.name, deque(maxlen=HISTORY_SECONDS)).append(gauge.share)


def gauges(view: MachineView) -> list[Gauge]:
    """The machine in a line each: CPU, memory, disk, and the GPUs."""
    now = view.figures
    found = [
        Gauge("CPU", "cpu_percent", _part(now.get("cpu_percent"), 100), _cpu(now)),
        Gauge("Memory", "memory_used", _part(now.get("memory_used"), now.get("memory_total")), _memory(now)),
    ]
    if "disk_free" in now:
        taken = now["disk_total"] - now["disk_free"]
        found.append(Gauge("Disk", "disk_taken", _part(taken, now["disk_total"]), _disk(now)))
    for gpu in view.gpus:
        name = f"GPU {gpu.index}"
        found.append(Gauge(name, f"gpu{gpu.index}_percent", _part(gpu.percent, 100), _gpu(gpu)))
        if gpu.memory_used is not None:
            text = f"{format.size(gpu.memory_used)} of {format.size(gpu.memory_total)}"
            found.append(Gauge("  memory", f"gpu{gpu.index}_memory", _part(gpu.memory_used, gpu.memory_total), text))
    if view.gpu_problem:
        found.append(Gauge("GPU", "gpu", None, view.gpu_problem))
    return found


def _part(value: float | None, whole: float | None) -> float | None:
    return None if value is None or not whole else min(1.0, max(0.0, value / whole))


def _cpu(now: Mapping[str, float]) -> str:
    import os

    load = f", load {now['load']:.1f} on {os.cpu_count()} cores" if "load" in now else ""
    return f"{now['cpu_percent']:.0f} %{load}" if "cpu_percent" in now else load.removeprefix(", ")


def _memory(now: Mapping[str, float]) -> str:
    return f"{format.size(int(now.get('memory_used', 0)))} of {format.size(int(now.get('memory_total', 0)))}"


def _disk(now: Mapping[str, float]) -> str:
    text = f"{format.size(int(now['disk_free']))} free of {format.size(int(now['disk_total']))}"
    rates = [f"{what} {format.size(round(now[name]))}/s" for what, name in _RATES if now.get(name, 0) >= 1024]
    return ", ".join([text, *rates])


_RATES = (("reads", "disk_read_rate"), ("writes", "disk_write_rate"))


def _gpu(gpu: Gpu) -> str:
    parts = [f"{gpu.percent:.0f} %"] if gpu.percent is not None else []
    parts += [f"{gpu.temperature:.0f} °C"] if gpu.temperature is not None else []
    if gpu.power is not None:
        parts.append(f"{gpu.power:.0f} W" + (f" of {gpu.power_limit:.0f}" if gpu.power_limit else ""))
    return ", ".join([*parts, gpu.name])


def gauge_line(gauge: Gauge, history: Iterable[float], width: int, *, ascii_only: bool) -> str:
    """A gauge in one line: name, the last minute, and its words, as many as fit."""
    cells = 0 if width < 60 else min(30, width // 4)
    marks = _ASCII_BLOCKS if ascii_only else _BLOCKS
    drawn = "".join(marks[max(1, round(share * (len(marks) - 1)))] for share in list(history)[-cells:]) if cells else ""
    text = gauge.text if not ascii_only else gauge.text.replace(" °C", " C")
    gap = f"{drawn:>{cells}} " if cells else ""
    return f"{gauge.label:<9}{gap}{text}"[:width]


def figures_json(view: MachineView) -> dict[str, float]:
    """All figures of the machine under the names of system.jsonl."""
    from engine.store.system import figure

    found = dict(view.figures)
    for gpu in view.gpus:
        found |= gpu.figures()
    return {name: value for name, value in found.items() if figure(name).group != "Other"}


def slot_words(slot: SlotUse) -> str:
    """Who holds a slot."""
    if slot.run is None:
        return "free"
    return f"{slot.run} (of another store)" if slot.elsewhere else slot.run
