"""Bounds on the gradient's norm: fixed, or following a running quantile of recent norms. No sync with the host."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from engine.config.sections import ClipSection
from engine.train.guard import Flag
from engine.train.window import SortedWindow


class Clipper:
    """Holds the window of recent accepted norms and says the bound."""

    def __init__(self, options: ClipSection, peak_lr: float, device: torch.device) -> None:
        self.options = options
        self.peak_lr = peak_lr
        size = options.window if options.kind == "dynamic" else 0
        self._window = _HostWindow(size) if device.type == "cpu" else _DeviceWindow(size, device)

    def bound(self, lr: float) -> Tensor | float | None:
        """The bound for a step at this learning rate; None where nothing is clipped."""
        options = self.options
        if options.kind == "none":
            return None
        if options.kind == "fixed":
            return options.max_norm
        tightening = (lr / self.peak_lr) ** options.lr_power
        bound = self._window.quantile(options.quantile, options.max_norm) * tightening
        if isinstance(bound, Tensor):
            clamped: Tensor = bound.clamp(options.lower, options.upper)
            return clamped
        return float(min(max(bound, options.lower), options.upper))

    def accept(self, norm: Tensor, bad: Flag) -> None:
        """Take in a step's norm unless the step was skipped."""
        if self.options.kind == "dynamic":
            self._window.add(norm, bad)

    def forget(self) -> None:
        """Another phase begins, whose norms are others."""
        self._window.restore([])

    def state_dict(self) -> dict[str, Any]:
        """The window, oldest first, as hexadecimal floats, so that not a bit is lost."""
        return {"window": [value.hex() for value in self._window.values()]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a window; one of another size (changed by an override) keeps its newest norms."""
        self._window.restore([float.fromhex(value) for value in state["window"]])


class _HostWindow(SortedWindow):
    """For a CPU, where reading a norm costs nothing."""

    def add(self, norm: Tensor, bad: Flag) -> None:
        if not bad:
            self.push(norm.item())


class _DeviceWindow:
    """For an accelerator: a ring there, so that the host never waits for a norm. Empty slots are NaN."""

    def __init__(self, size: int, device: torch.device) -> None:
        self._ring = torch.full((size,), math.nan, device=device)
        self._next = torch.zeros((), dtype=torch.int64, device=device)

    def quantile(self, share: float, empty: float) -> Tensor:
        return torch.nanquantile(self._ring, share).nan_to_num(nan=empty)

    def add(self, norm: Tensor, bad: Flag) -> None:
        good = ~torch.as_tensor(bad, device=self._ring.device)
        slot = torch.arange(len(self._ring), device=self._ring.device) == self._next
        self._ring = torch.where(slot & good, norm, self._ring)
        self._next = (self._next + good) % len(self._ring)

    def values(self) -> list[float]:
        start = int(self._next)
        ring: list[float] = self._ring.tolist()
        return [value for value in ring[start:] + ring[:start] if not math.isnan(value)]

    def restore(self, values: list[float]) -> None:
        size = len(self._ring)
        kept = values[-size:] if size else []
        self._ring.fill_(math.nan)  # a rollback restores into a ring that was in use
        self._ring[: len(kept)] = torch.tensor(kept)
        self._next.fill_(len(kept) % size if size else 0)
