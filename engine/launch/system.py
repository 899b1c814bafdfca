"""Host figures while an attempt runs: CPU, memory, disk and GPU, one line each few seconds. What each name means, and
the reader, are in `engine.store.system`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import psutil

from engine.launch.gpus import Gpu, Gpus
from engine.launch.processes import Process, ProcessReader, totals
from engine.store import host
from engine.store.files import append_record

_LEAST_CPU_SECONDS = 0.2
"""Over fewer seconds of all cores a share says nothing: the kernel counts in hundredths."""


class HostFigures:
    """This machine's CPU, memory, disk and network, as differences between looks where they are rates.

    Args:
        folder: on the disk whose room counts.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counted: tuple[float, dict[str, int]] | None = None
        self._busy = _cpu_times()

    def read(self) -> dict[str, float]:
        """The figures now, under the names of system.jsonl: percentages, bytes, bytes a second."""
        memory = psutil.virtual_memory()
        found: dict[str, float] = {
            "memory_used": memory.total - memory.available,
            "memory_total": memory.total,
        }
        if (share := self._cpu_share()) is not None:
            found["cpu_percent"] = share
        try:
            found["load"] = os.getloadavg()[0]
            disk = psutil.disk_usage(str(self._folder))
            found |= {"disk_free": disk.free, "disk_total": disk.total}
        except OSError:
            pass
        return found | self._rates()

    def _cpu_share(self) -> float | None:
        """Percent of all cores since the last look; None where that was just now: a moment is all or nothing.

        psutil's own `cpu_percent` keeps the last look by thread, and looks come from any thread of a pool.
        """
        (busy, whole), (busy_now, whole_now) = self._busy, _cpu_times()
        if whole_now - whole < _LEAST_CPU_SECONDS:
            return None
        self._busy = busy_now, whole_now
        return min(100.0, max(0.0, 100.0 * (busy_now - busy) / (whole_now - whole)))

    def _rates(self) -> dict[str, float]:
        now, counted = time.monotonic(), _counters()
        before, self._counted = self._counted, (now, counted)
        if before is None or now <= before[0]:
            return {}
        span = now - before[0]
        # A counter that ran backwards was reset, by a driver or by a change of namespace.
        return {name: max(0, value - before[1].get(name, value)) / span for name, value in counted.items()}


def _cpu_times() -> tuple[float, float]:
    """Seconds that the cores were busy, and all their seconds. What guests had is among what users had."""
    times = psutil.cpu_times()._asdict()
    whole = sum(times.values()) - times.get("guest", 0.0) - times.get("guest_nice", 0.0)
    return whole - times.get("idle", 0.0) - times.get("iowait", 0.0), whole


def _counters() -> dict[str, int]:
    found: dict[str, int] = {}
    try:
        disk = psutil.disk_io_counters()
        if disk is not None:
            found |= {"disk_read_rate": disk.read_bytes, "disk_write_rate": disk.write_bytes}
        network = psutil.net_io_counters()
        found |= {"network_received_rate": network.bytes_recv, "network_sent_rate": network.bytes_sent}
    except (psutil.Error, OSError, RuntimeError, AttributeError):  # containers may hide them
        pass
    return found


class SystemRecorder:
    """Appends to an attempt's system.jsonl."""

    def __init__(self, path: Path, trainer_pid: int) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._trainer_pid = trainer_pid
        self._host = HostFigures(path.parent)
        self._gpus = Gpus()
        self._processes = ProcessReader()
        self._own()

    def record(self) -> None:
        """Write one line of figures.

        Raises:
            OSError, psutil.Error: a figure can't be had; nothing was written.
        """
        own, gpus = self._own(), self._gpus.read()
        line: dict[str, Any] = {"time": time.time()} | self._host.read()
        if own:
            line |= {"trainer_cpu_percent": own[0].cpu_percent or 0.0, "trainer_memory": own[0].memory}
            line |= totals(own)
        for gpu in gpus:
            line |= gpu.figures() | _held_by({process.pid for process in own}, gpu)
        append_record(self._descriptor, {name: _short(value) for name, value in line.items()})

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _own(self) -> list[Process]:
        """The trainer and all below it, as its own processes may start others at any time."""
        trainer = self._processes.read(self._trainer_pid, "trainer")
        below = [self._processes.read(pid, "worker", 1) for pid in host.descendants(self._trainer_pid)]
        found = [process for process in (trainer, *below) if process is not None]
        self._processes.forget_all_but({process.pid for process in found})
        return found if trainer is not None else []


def _held_by(pids: set[int], gpu: Gpu) -> dict[str, float]:
    held = [memory for pid, memory in gpu.processes if pid in pids and memory is not None]
    return {f"gpu{gpu.index}_run_memory": sum(held)} if held else {}


def _short(value: float) -> float:
    """Without digits that mean nothing: there is a line each ten seconds for weeks."""
    return round(value, 3) if isinstance(value, float) else value
