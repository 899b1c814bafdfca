"""Watches for non-finite losses and gradients. Such a step is skipped, and counted; too many end the run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.config.sections import GuardSection
from engine.train.optim import is_fused

Flag = Tensor | bool
"""A bool scalar on an accelerator, or a plain bool where the host decides anyway."""


class TooManySkips(Exception):
    """The run can't go on: its gradients stay non-finite."""


@dataclass
class GuardReport:
    """What the guard has to say at a reading: how many steps in a row, and overall, were skipped."""

    streak: int
    total: int
    new: int


class Guard:
    """Counts skipped steps: on an accelerator in tensors there, which the host reads at fixed steps only; on a CPU,
    where reading a tensor costs nothing and arithmetic on one does, in plain numbers."""

    def __init__(self, options: GuardSection, device: torch.device) -> None:
        self.options = options
        self._on_host = device.type == "cpu"
        self._streak: Tensor | int = 0 if self._on_host else torch.zeros((), dtype=torch.int64, device=device)
        self._total: Tensor | int = 0 if self._on_host else torch.zeros((), dtype=torch.int64, device=device)
        self._reported = 0

    def judge(self, loss: Tensor, norm: Tensor) -> Flag:
        """Whether this step must be skipped (on an accelerator as a bool scalar there); and count it."""
        if self._on_host:
            bad: Flag = not (math.isfinite(loss.item()) and math.isfinite(norm.item()))
        else:
            bad = ~torch.isfinite(loss.detach() + norm)
        self._total = self._total + bad
        self._streak = (self._streak + 1) * bad
        return bad

    def report(self) -> GuardReport:
        """Read the counters (one wait for the device) and say what is new since the last reading.

        Raises:
            TooManySkips: `guard.max_skipped` steps in a row were skipped.
        """
        streak, total = int(self._streak), int(self._total)
        report = GuardReport(streak, total, total - self._reported)
        self._reported = total
        if streak >= self.options.max_skipped:
            raise TooManySkips(
                f"{streak} optimizer steps in a row were skipped because the loss or its gradient was not finite"
            )
        return report

    def state_dict(self) -> dict[str, Any]:
        return {"streak": int(self._streak), "total": int(self._total)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        # In place of the counter's own kind: a checkpoint may move between devices.
        self._streak = self._streak * 0 + state["streak"]
        self._total = self._total * 0 + state["total"]
        self._reported = state["total"]


def step_unless(optimizer: torch.optim.Optimizer, bad: Flag) -> None:
    """Take an optimizer step unless `bad`: then weights, moments and step counters stay as they are, bit for bit.

    Fused optimizers skip on the device through `found_inf`, the hook that torch's GradScaler uses; elsewhere, and on
    a CPU where reading a flag costs nothing, the host decides. (An update multiplied by 0 would leak NaN into the
    moments.)
    """
    if isinstance(bad, Tensor) and is_fused(optimizer):
        skip_on_device(optimizer, bad)
    elif not bad:
        optimizer.step()


def skip_on_device(optimizer: torch.optim.Optimizer, bad: Tensor) -> None:
    """The step of a fused optimizer, skipped on the device if `bad`."""
    optimizer.grad_scale = None  # type: ignore[attr-defined]
    optimizer.found_inf = bad.float()  # type: ignore[attr-defined]
    optimizer.step()
    del optimizer.found_inf, optimizer.grad_scale  # type: ignore[attr-defined]
