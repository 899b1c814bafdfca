"""Bounds on the gradient's norm: fixed, or following a running quantile of recent norms. No sync with the host."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from engine.config.sections import ClipSection


class Clipper:
    """Holds the window of recent accepted norms, on the device."""

    def __init__(self, options: ClipSection, peak_lr: float, device: torch.device) -> None:
        self.options = options
        self.peak_lr = peak_lr
        size = options.window if options.kind == "dynamic" else 0
        self._window = torch.full((size,), math.nan, device=device)
        self._next = 0

    def bound(self, lr: float) -> Tensor | float | None:
        """The bound for a step at this learning rate; None where nothing is clipped."""
        options = self.options
        if options.kind == "none":
            return None
        if options.kind == "fixed":
            return options.max_norm
        tightening = (lr / self.peak_lr) ** options.lr_power
        quantile = torch.nanquantile(self._window, options.quantile).nan_to_num(nan=options.max_norm)
        bound: Tensor = (quantile * tightening).clamp(options.lower, options.upper)
        return bound

    def accept(self, norm: Tensor, bad: Tensor) -> None:
        """Take in a step's norm unless the step was skipped."""
        if self.options.kind == "dynamic":
            slot = self._window[self._next]
            slot.copy_(torch.where(bad, slot, norm))
            self._next = (self._next + 1) % len(self._window)

    def state_dict(self) -> dict[str, Any]:
        """The window as hexadecimal floats, so that not a bit is lost."""
        return {"window": [float(value).hex() for value in self._window.tolist()], "next": self._next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a window; one of another size (changed by an override) keeps its newest norms."""
        values = [float.fromhex(value) for value in state["window"]]
        size, position = len(self._window), int(state["next"])
        if len(values) == size:
            self._window.copy_(torch.tensor(values))
            self._next = position
        elif size:
            newest_first = [values[(position - 1 - back) % len(values)] for back in range(min(size, len(values)))]
            self._window[: len(newest_first)] = torch.tensor(newest_first[::-1])
            self._next = len(newest_first) % size
