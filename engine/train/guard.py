"""Watches for non-finite losses and gradients. Such a step is skipped, and counted; too many end the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.config.sections import GuardSection
from engine.train.optim import is_fused


class TooManySkips(Exception):
    """The run can't go on: its gradients stay non-finite."""


@dataclass
class GuardReport:
    """What the guard has to say at a reading: how many steps in a row, and overall, were skipped."""

    streak: int
    total: int
    new: int


class Guard:
    """Counts skipped steps on the device; the host looks at fixed steps only."""

    def __init__(self, options: GuardSection, device: torch.device) -> None:
        self.options = options
        self._streak = torch.zeros((), dtype=torch.int64, device=device)
        self._total = torch.zeros((), dtype=torch.int64, device=device)
        self._reported = 0

    def judge(self, loss: Tensor, norm: Tensor) -> Tensor:
        """Whether this step must be skipped, as a bool scalar on the device; and count it."""
        # One comparison catches NaN and both infinities of either; a sum of finite halves can't overflow wrongly
        # without the norm being useless anyway.
        bad = ~((loss.detach().float().abs() + norm) < torch.inf)
        self._total += bad
        self._streak += 1
        self._streak *= bad
        return bad

    def report(self) -> GuardReport:
        """Read the counters (one sync) and say what is new since the last reading.

        Raises:
            TooManySkips: `guard.max_skipped` steps in a row were skipped.
        """
        streak, total = (int(value) for value in torch.stack([self._streak, self._total]).tolist())
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
        self._streak.fill_(state["streak"])
        self._total.fill_(state["total"])
        self._reported = state["total"]


def step_unless(optimizer: torch.optim.Optimizer, bad: Tensor) -> None:
    """Take an optimizer step unless `bad`: then weights, moments and step counters stay as they are, bit for bit.

    Fused optimizers skip on the device through `found_inf`, the hook that torch's GradScaler uses; elsewhere, and on
    a CPU where reading a flag costs nothing, the host decides. (An update multiplied by 0 would leak NaN into the
    moments.)
    """
    if is_fused(optimizer) and bad.device.type != "cpu":
        skip_on_device(optimizer, bad)
    elif not bad.item():
        optimizer.step()


def skip_on_device(optimizer: torch.optim.Optimizer, bad: Tensor) -> None:
    """The step of a fused optimizer, skipped on the device if `bad`."""
    optimizer.grad_scale = None  # type: ignore[attr-defined]
    optimizer.found_inf = bad.float()  # type: ignore[attr-defined]
    optimizer.step()
    del optimizer.found_inf, optimizer.grad_scale  # type: ignore[attr-defined]
