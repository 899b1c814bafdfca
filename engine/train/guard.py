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
        share_every = self.options.share_every
        for step, _, figures in rows:
            shares: tuple[tuple[str, float], ...] = ()
            if share_every and (step - 1) % share_every == 0:
                named = [(name.partition("/"), value) for name, value in figures.items()]
                shares = tuple((parts[2], value) for parts, value in named if parts[0] == "share")
            scale = figures.get("train/loss_scale", math.nan)
            skipped = figures["train/skipped"] != 0
            self._pending.append(_Seen(step, figures["train/loss"], figures["train/grad_norm"], skipped, scale, shares))

    def decide(self, step: int, fingerprint: Callable[[], str]) -> Decision:
        """Judge the steps since the last decision. Called at fixed steps only, or a run couldn't be repeated."""
        rows, self._pending = self._pending, []
        found: dict[str, Finding | None] = {}
        if rows:
            found = self._judge_rows(rows)
        if self.options.no_weight_moved != "ignore" and step - self._checked >= self._check_every:
            found["no_weight_moved"] = self._unmoved(step, fingerprint())
        self._renew_limits()
        return self.policy.decide(step, found)

    def forget_levels(self) -> None:
        """Another phase begins, whose losses and norms are others: running levels start anew."""
        self._loss.restore([], None)
        self._norm.restore([])
        self._renew_limits()

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

    def _judge_rows(self, rows: list[_Seen]) -> dict[str, Finding | None]:
        """One pass over the steps since the last decision; only what stands out is looked at closer."""
        loss_level, norm_level = self._loss.level, self._norm.level
        broken: list[_Seen] = []
        high_loss: list[_Seen] = []
        high_norm: list[_Seen] = []
        longest: tuple[int, _Seen] = (0, rows[0])
        for row in rows:
            _, loss, norm, skipped, scale, _ = row
            # A difference of a number to itself is 0 unless it is NaN or infinite.
            fine_loss, fine_norm = loss - loss == 0, norm - norm == 0
            # Under a loss scaler gradients overflow now and then as a matter of course: there only the loss counts.
            if not fine_loss or not (fine_norm or scale == scale):
                broken.append(row)
            if skipped:
                self._total += 1
                self._streak += 1
                if self._streak > longest[0]:
                    longest = (self._streak, row)
            else:
                self._streak = 0
                if fine_loss:
                    self._loss.take(loss)
                    loss_level = self._loss.level  # the very first loss makes one
                if fine_norm:
                    self._norm.take(norm)
            if fine_loss and loss > loss_level:
                high_loss.append(row)
            if fine_norm and norm > norm_level:
                high_norm.append(row)
        self._loss.renew()
        self._norm.renew()
        found: dict[str, Finding | None] = {
            "non_finite": _non_finite(broken, len(rows)) if broken else None,
            "skipped": _many_skipped(*longest, self.options.max_skipped) if longest[0] else None,
            "explosion": _too_high("explosion", "the loss", high_loss, loss_level) if high_loss else None,
            "norm_outlier": _too_high("norm_outlier", "the gradient's norm", high_norm, norm_level)
            if high_norm
            else None,
        }
        if rows[-1].scale == rows[-1].scale:
            found["dead_scale"] = _dead_scale(rows)
        if self.options.share_every:
            measured = [row for row in rows if row.shares]
            if measured:
                found["share"] = _drowning(measured[-1], self.options.share_limit)
        return found

    def _unmoved(self, step: int, fingerprint: str) -> Finding | None:
        before, since = self._fingerprint, self._checked
        self._fingerprint, self._checked = fingerprint, step
        if fingerprint != before:
            return None
        many = step - since
        return Finding("no_weight_moved", f"no weight has changed in {many:,} steps", since + 1, 0.0, float(many))

    def _renew_limits(self) -> None:
        """Only where updates are to be dropped does a step need limits."""
        self._loss_limit = self._loss.level if self.options.explosion == "skip" else math.inf
        self._norm_limit = self._norm.level if self.options.norm_outlier == "skip" else math.inf

    def state_dict(self) -> dict[str, Any]:
        first = self._loss.first
        return {
            "streak": self._streak,
            "total": self._total,
            "losses": [value.hex() for value in self._loss.window.values()],
            "first_loss": None if first is None else first.hex(),
            "norms": [value.hex() for value in self._norm.window.values()],
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


def _non_finite(broken: list[_Seen], among: int) -> Finding:
    first = broken[0]
    what = f"the loss was {first.loss}" if not math.isfinite(first.loss) else f"the gradient's norm was {first.norm}"
    more = f" ({len(broken)} of the last {among} steps were so)" if len(broken) > 1 else ""
    value = first.norm if math.isfinite(first.loss) else first.loss
    message = f"{what} at step {first.step:,}, and the update was dropped{more}"
    return Finding("non_finite", message, first.step, value, math.inf)


def _many_skipped(longest: int, last: _Seen, limit: int) -> Finding | None:
    if longest < limit:
        return None
    message = f"{longest} optimizer steps in a row were skipped"
    if not math.isfinite(last.loss):
        message += " because the loss was not finite"
    elif not math.isfinite(last.norm):
        message += " because the gradient was not finite"
    return Finding("skipped", message, last.step - longest + 1, longest, limit)


def _too_high(cause: str, what: str, rows: list[_Seen], level: float) -> Finding:
    worst = max(row.loss if cause == "explosion" else row.norm for row in rows)
    many = sum(row.skipped for row in rows)
    dropped = f" ({many} updates were dropped)" if many > 1 else " (the update was dropped)" if many else ""
    message = f"{what} is {worst:.4g}, above its running level {level:.4g}{dropped}"
    return Finding(cause, message, rows[0].step, worst, level)


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
