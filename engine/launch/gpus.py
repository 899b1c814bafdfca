"""The GPUs of this machine through NVML: what they do, how hot they are, and whose processes hold their memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Gpu:
    """One GPU now. What a driver doesn't tell is None.

    `percent` is the share of the last moment in which it did anything; memory in bytes; temperature in °C; power and
    its limit in watts; `processes` are (pid, bytes of its memory).
    """

    index: int
    uuid: str
    name: str
    percent: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    temperature: float | None = None
    power: float | None = None
    power_limit: float | None = None
    processes: tuple[tuple[int, int | None], ...] = ()

    def figures(self) -> dict[str, float]:
        """What is known, under the names of system.jsonl."""
        known = {
            "percent": self.percent, "memory_used": self.memory_used, "memory_total": self.memory_total,
            "temperature": self.temperature, "power": self.power, "power_limit": self.power_limit,
        }  # fmt: skip
        return {f"gpu{self.index}_{name}": value for name, value in known.items() if value is not None}


class Gpus:
    """All GPUs. Where there are none, or no way to ask, `problem` says so in a few words and `read` gives none."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self._handles: list[Any] = []
        try:
            import pynvml
        except Exception:  # noqa: BLE001  a broken install is as good as none
            self.problem = "no GPU figures: the package nvidia-ml-py can't be imported"
            return
        try:
            pynvml.nvmlInit()
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        except Exception as error:  # noqa: BLE001  no driver, no rights, a driver of another version
            self.problem = _why(error)
            return
        if not self._handles:
            self.problem = "no GPU"

    def read(self) -> list[Gpu]:
        """How they are now, in the order of NVML."""
        return [_read(index, handle) for index, handle in enumerate(self._handles)]


def _why(error: Exception) -> str:
    name = type(error).__name__
    if "LibraryNotFound" in name or "DriverNotLoaded" in name:
        return "no GPU: there is no NVIDIA driver"
    return f"no GPU figures: {error or name}"


def _read(index: int, handle: Any) -> Gpu:
    import pynvml as nvml

    def ask(question: Callable[[], Any]) -> Any:
        try:
            return question()
        except Exception:  # noqa: BLE001  one figure that a card doesn't have must not hide the others
            return None

    memory = ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    power, limit = (
        ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle)),
        ask(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle)),
    )
    held: dict[int, int | None] = {}
    for list_processes in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
        for process in ask(lambda name=list_processes: getattr(nvml, name)(handle)) or ():  # type: ignore[misc]
            with contextlib.suppress(TypeError, ValueError):
                used = process.usedGpuMemory
                held[int(process.pid)] = None if used is None else int(used)
    return Gpu(
        index=index,
        uuid=_text(ask(lambda: nvml.nvmlDeviceGetUUID(handle))),
        name=_text(ask(lambda: nvml.nvmlDeviceGetName(handle))) or "GPU",
        percent=ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu),
        memory_used=memory.used if memory is not None else None,
        memory_total=memory.total if memory is not None else None,
        temperature=ask(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        power=None if power is None else power / 1000,
        power_limit=None if limit is None else limit / 1000,
        processes=tuple(sorted(held.items())),
    )


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
