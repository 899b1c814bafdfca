"""Host figures while an attempt runs: CPU, memory, disk and GPU, one line each few seconds."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import psutil

from engine.store.files import append_record


class SystemRecorder:
    """Appends to an attempt's system.jsonl."""

    def __init__(self, path: Path, trainer_pid: int) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._folder = path.parent
        self._trainer = psutil.Process(trainer_pid)
        self._gpus = _gpu_handles()
        psutil.cpu_percent()  # the first call has nothing to compare with
        self._trainer.cpu_percent()

    def record(self) -> None:
        """Write one line of figures: percentages, and memory in bytes.

        Raises:
            OSError, psutil.Error: a figure can't be had; nothing was written.
        """
        memory = psutil.virtual_memory()
        line: dict[str, Any] = {
            "time": time.time(),
            "cpu_percent": psutil.cpu_percent(),
            "memory_used": memory.used,
            "memory_total": memory.total,
            "disk_free": psutil.disk_usage(str(self._folder)).free,
            "trainer_cpu_percent": self._trainer.cpu_percent(),
            "trainer_memory": self._trainer.memory_info().rss,
        }
        for number, handle in enumerate(self._gpus):
            line |= _gpu_figures(number, handle)
        append_record(self._descriptor, line)


def _gpu_handles() -> list[Any]:
    try:
        import pynvml

        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
    except Exception:  # noqa: BLE001  no driver, no library, no rights: all mean no GPU figures
        return []


def _gpu_figures(number: int, handle: Any) -> dict[str, float]:
    import pynvml

    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return {
        f"gpu{number}_percent": pynvml.nvmlDeviceGetUtilizationRates(handle).gpu,
        f"gpu{number}_memory_used": memory.used,
        f"gpu{number}_memory_total": memory.total,
    }
