"""Watches over losses, gradients and weights. Bad updates are dropped in the step; all else falls at fixed steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.config.sections import GuardSection
from engine.train.figures import Row
from engine.train.guard_policy import Decision, Finding, PolicyMachine
from engine.train.levels import LossLevel, NormLevel
from engine.train.optim import is_fused

Flag = Tensor | bool
"""A bool scalar on an accelerator, or a plain bool where the host decides anyway."""
_ANCHORS = 8
_LEAST_CHECK, _MOST_CHECK = 20, 1000


class GuardStopped(Exception):
    """The guard has ended the run, for the reason that it says."""


class _Seen(NamedTuple):
    """What the guard keeps of a step until the next decision."""

    step: int
    loss: float
    norm: float
    skipped: bool
    scale: float
    """NaN where there is no scaler."""
    shares: tuple[tuple[str, float], ...]


class Guard:
    """Judges each step without waiting for the device, and decides at the steps at which it is asked to.

    The limits that a step is judged by are taken anew at each decision and stay until the next, so that a device can
    compare by itself, and it makes no difference where the training runs.

    Args:
        options: the config's section.
        device: where training runs.
    """

    def __init__(self, options: GuardSection, device: torch.device) -> None:
        self.options = options
        self.policy = PolicyMachine(options)
        self._on_host = device.type == "cpu"
        self._loss = LossLevel(options)
        self._norm = NormLevel(options)
        self._loss_limit = math.inf
        self._norm_limit = math.inf
        self._pending: list[_Seen] = []
        self._streak = 0
        self._total = 0
        self._anchors: list[int] = []
        self._fingerprint = ""
        self._checked = 0
        self._check_every = options.moved_every or _MOST_CHECK

    def begin(self, steps_per_epoch: int, fingerprint: Callable[[], str]) -> None:
        """Training is about to go on; `fingerprint` changes with any weight."""
        if not self.options.moved_every:
            self._check_every = min(max(steps_per_epoch, _LEAST_CHECK), _MOST_CHECK)
        if not self._fingerprint and self.options.no_weight_moved != "ignore":
            self._fingerprint = fingerprint()

    def judge(self, loss: Tensor, norm: Tensor) -> Flag:
        """Whether this step's update must be dropped (on an accelerator as a bool scalar there)."""
        if self._on_host:
            loss_value, norm_value = loss.item(), norm.item()
            # Comparisons with NaN are false, so this is true only for finite values within the limits.
            fine = -math.inf < loss_value <= self._loss_limit and norm_value <= self._norm_limit
            return not (fine and loss_value < math.inf and norm_value < math.inf)
        loss = loss.detach()
        bad = ~torch.isfinite(loss + norm)
        if self._loss_limit < math.inf:
            bad = bad | (loss > self._loss_limit)
        if self._norm_limit < math.inf:
            bad = bad | (norm > self._norm_limit)
        return bad

    def take(self, rows: Sequence[Row]) -> None:
        """Take in the figures of steps, whenever they are read; nothing follows from them before the next decision."""
        for step, _, figures in rows:
            shares: tuple[tuple[str, float], ...] = ()
            if self.options.share_every and (step - 1) % self.options.share_every == 0:
                shares = tuple(
                    (name.removeprefix("share/"), value) for name, value in figures.items() if name.startswith("share/")
                )
            scale = figures.get("train/loss_scale", math.nan)
            skipped = figures["train/skipped"] != 0
            self._pending.append(_Seen(step, figures["train/loss"], figures["train/grad_norm"], skipped, scale, shares))

    def decide(self, step: int, fingerprint: Callable[[], str]) -> Decision:
        """Judge the steps since the last decision. Called at fixed steps only, or a run couldn't be repeated."""
        rows, self._pending = self._pending, []
        found: dict[str, Finding | None] = {}
        if rows:
            found["non_finite"] = _non_finite(rows)
            found["skipped"] = self._skipped(rows)
            found["explosion"] = self._explosion(rows)
            found["norm_outlier"] = self._outlier(rows)
            if not math.isnan(rows[-1].scale):
                found["dead_scale"] = _dead_scale(rows)
            measured = [row for row in rows if row.shares]
            if measured:
                found["share"] = _drowning(measured[-1], self.options.share_limit)
        if self.options.no_weight_moved != "ignore" and step - self._checked >= self._check_every:
            found["no_weight_moved"] = self._unmoved(step, fingerprint())
        self._renew_limits()
        return self.policy.decide(step, found)

    def judge_evaluation(self, step: int, finding: Finding | None) -> Decision:
        """Take in whether an evaluation was worse than chance."""
        return self.policy.decide(step, {"worse_than_chance": finding})

    def anchor(self, step: int) -> None:
        """A checkpoint of this step is due by the config alone, so a rollback may go back to it."""
        if self._anchors[-1:] != [step]:
            self._anchors = [*self._anchors, step][-_ANCHORS:]

    def rollback_steps(self, before: int) -> list[int]:
        """The steps to go back to, the best choice first: before the trouble, and not gone back to already."""
        steps = [step for step in reversed(self._anchors) if step < before]
        used = {to_step for _, to_step in self.policy.rollbacks}
        return [step for step in steps if step not in used] + [step for step in steps if step in used]

    def _skipped(self, rows: list[_Seen]) -> Finding | None:
        longest, end = 0, 0
        for row in rows:
            self._streak = self._streak + 1 if row.skipped else 0
            self._total += row.skipped
            if self._streak > longest:
                longest, end = self._streak, row.step
        limit = self.options.max_skipped
        if longest < limit:
            return None
        why = f"{self._streak or longest} optimizer steps in a row were skipped"
        last = next(row for row in rows if row.step == end)
        if not math.isfinite(last.loss):
            why += " because the loss was not finite"
        elif not math.isfinite(last.norm):
            why += " because the gradient was not finite"
        return Finding("skipped", why, end - longest + 1, longest, limit)

    def _explosion(self, rows: list[_Seen]) -> Finding | None:
        above: list[tuple[_Seen, float]] = []
        for row in rows:
            level = self._loss.level
            if math.isfinite(row.loss) and level is not None and row.loss > level:
                above.append((row, level))
            if not row.skipped and math.isfinite(row.loss):
                self._loss.take(row.loss)
        self._loss.renew()
        if not above:
            return None
        worst, level = max(above, key=lambda item: item[0].loss)
        message = f"the loss is {worst.loss:.4g}, above its running level {level:.4g}{_dropped(above)}"
        return Finding("explosion", message, above[0][0].step, worst.loss, level)

    def _outlier(self, rows: list[_Seen]) -> Finding | None:
        level = self._norm.level
        above: list[tuple[_Seen, float]] = []
        for row in rows:
            if math.isfinite(row.norm) and level is not None and row.norm > level:
                above.append((row, level))
            if not row.skipped:
                self._norm.take(row.norm)
        self._norm.renew()
        if not above or level is None:
            return None
        worst = max(row.norm for row, _ in above)
        message = f"the gradient's norm is {worst:.4g}, above its running level {level:.4g}{_dropped(above)}"
        return Finding("norm_outlier", message, above[0][0].step, worst, level)

    def _unmoved(self, step: int, fingerprint: str) -> Finding | None:
        before, since = self._fingerprint, self._checked
        self._fingerprint, self._checked = fingerprint, step
        if fingerprint != before:
            return None
        many = step - since
        return Finding("no_weight_moved", f"no weight has changed in {many:,} steps", since + 1, 0.0, float(many))

    def _renew_limits(self) -> None:
        """Only where updates are to be dropped does a step need limits."""
        loss, norm = self._loss.level, self._norm.level
        self._loss_limit = loss if self.options.explosion == "skip" and loss is not None else math.inf
        self._norm_limit = norm if self.options.norm_outlier == "skip" and norm is not None else math.inf

    def state_dict(self) -> dict[str, Any]:
        first = self._loss.first
        return {
            "streak": self._streak,
            "total": self._total,
            "losses": [value.hex() for value in self._loss.values],
            "first_loss": None if first is None else first.hex(),
            "norms": [value.hex() for value in self._norm.values],
            "pending": [_encode(row) for row in self._pending],
            "anchors": self._anchors,
            "fingerprint": self._fingerprint,
            "checked": self._checked,
            **self.policy.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state.keys() == {"streak", "total"}:  # by a version that watched nothing else
            state = Guard(self.options, torch.device("cpu")).state_dict() | state
        self._streak, self._total = state["streak"], state["total"]
        first = state["first_loss"]
        self._loss.restore(_floats(state["losses"]), None if first is None else float.fromhex(first))
        self._norm.restore(_floats(state["norms"]))
        self._pending = [_decode(row) for row in state["pending"]]
        self._anchors = list(state["anchors"])
        self._fingerprint, self._checked = state["fingerprint"], state["checked"]
        self.policy.load_state_dict(state)
        self._renew_limits()


def _non_finite(rows: list[_Seen]) -> Finding | None:
    """Under a loss scaler gradients overflow now and then as a matter of course: there only the loss counts."""
    bad = [
        row for row in rows if not math.isfinite(row.loss) or (math.isnan(row.scale) and not math.isfinite(row.norm))
    ]
    if not bad:
        return None
    first = bad[0]
    what = f"the loss was {first.loss}" if not math.isfinite(first.loss) else f"the gradient's norm was {first.norm}"
    more = f" ({len(bad)} of the last {len(rows)} steps were so)" if len(bad) > 1 else ""
    value = first.norm if math.isfinite(first.loss) else first.loss
    message = f"{what} at step {first.step:,}, and the update was dropped{more}"
    return Finding("non_finite", message, first.step, value, math.inf)


def _dead_scale(rows: list[_Seen]) -> Finding | None:
    dead = [row for row in rows if row.scale < 1]
    if not dead or rows[-1].scale >= 1:
        return None
    message = f"the loss scale has fallen to {rows[-1].scale:.3g}: gradients overflow at any scale"
    return Finding("dead_scale", message, dead[0].step, rows[-1].scale, 1.0)


def _drowning(row: _Seen, limit: float) -> Finding | None:
    for name, share in row.shares:
        if math.isnan(share):
            return Finding("share", f"the gradient of the loss term `{name}` is not finite", row.step, share, limit)
        if share > limit:
            message = f"the loss term `{name}` has {share:.2%} of the gradient and drowns the others"
            return Finding("share", message, row.step, share, limit)
    return None


def _dropped(above: list[tuple[_Seen, float]]) -> str:
    many = sum(row.skipped for row, _ in above)
    return f" ({many} updates were dropped)" if many > 1 else " (the update was dropped)" if many else ""


def _encode(row: _Seen) -> list[Any]:
    shares = [[name, value.hex()] for name, value in row.shares]
    return [row.step, row.loss.hex(), row.norm.hex(), int(row.skipped), row.scale.hex(), shares]


def _decode(saved: list[Any]) -> _Seen:
    step, loss, norm, skipped, scale, shares = saved
    pairs = tuple((name, float.fromhex(value)) for name, value in shares)
    return _Seen(step, float.fromhex(loss), float.fromhex(norm), bool(skipped), float.fromhex(scale), pairs)


def _floats(saved: list[str]) -> list[float]:
    return [float.fromhex(value) for value in saved]


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
