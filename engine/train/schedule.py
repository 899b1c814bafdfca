"""The learning rate as a pure function of the step: nothing to restore, nothing that a later step could undo."""

from __future__ import annotations

import math

from engine.config.sections import TaskConfig


def learning_rate(config: TaskConfig, step: int) -> float:
    """The rate of the optimizer step that follows `step` completed ones.

    Rises linearly over the warm-up (never over a tenth of the run), then falls to `optim.min_lr_ratio` of the peak at
    `train.max_steps`: cosine (Loshchilov and Hutter 2017, without restarts), linear, in steps, or not at all.
    """
    return rate_at(config, step, config.optim.lr, config.train.max_steps)


def rate_at(config: TaskConfig, step: int, peak: float, total: int) -> float:
    """The same shape with another peak and length, for a phase of a run.

    Args:
        config: says the shape.
        step: completed steps of the phase.
        peak: the highest rate.
        total: steps of the phase.
    """
    ratio = config.optim.min_lr_ratio
    warmup = min(config.schedule.warmup_steps, total // 10)
    if step < warmup:
        return peak * (step + 1) / warmup
    if config.schedule.kind == "constant":
        return peak
    if config.schedule.kind == "multistep":
        passed = sum(step >= milestone * total for milestone in config.schedule.milestones)
        return peak * config.schedule.gamma**passed
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    falling = (1 + math.cos(math.pi * progress)) / 2 if config.schedule.kind == "cosine" else 1 - progress
    return peak * (ratio + (1 - ratio) * falling)
