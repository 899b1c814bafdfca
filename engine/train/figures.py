"""Figures of steps, kept where they are computed and read in one go: no wait for the device in between."""

from __future__ import annotations

import time
from typing import NamedTuple

import torch
from torch import Tensor


class Row(NamedTuple):
    """The figures of one step; `moment` in seconds since 1970."""

    step: int
    moment: float
    figures: dict[str, float]


class StepFigures:
    """Rows of figures of the steps since the last reading."""

    def __init__(self, device: torch.device) -> None:
        self._on_cpu = device.type == "cpu"
        self._plain: list[Row] = []
        self._rows: list[tuple[int, float, dict[str, float | Tensor]]] = []

    def add(self, step: int, figures: dict[str, float | Tensor]) -> None:
        """Keep a step's figures: numbers, or scalar tensors on the device."""
        if self._on_cpu:  # reading costs nothing here, keeping tensors would
            plain = {
                name: value.item() if isinstance(value, Tensor) else float(value) for name, value in figures.items()
            }
            self._plain.append(Row(step, time.time(), plain))
        else:
            self._rows.append((step, time.time(), figures))

    def read(self) -> list[Row]:
        """All rows since the last reading, with one copy from the device."""
        if self._on_cpu:
            plain, self._plain = self._plain, []
            return plain
        rows, self._rows = self._rows, []
        tensors = [value for _, _, figures in rows for value in figures.values() if isinstance(value, Tensor)]
        numbers = iter(torch.stack([value.detach().float() for value in tensors]).tolist()) if tensors else iter(())

        def number(value: float | Tensor) -> float:
            return next(numbers) if isinstance(value, Tensor) else float(value)

        return [
            Row(step, moment, {name: number(value) for name, value in figures.items()})
            for step, moment, figures in rows
        ]
