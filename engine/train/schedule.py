"""The learning rate as a pure function of the step: nothing to restore, nothing that a later step could undo."""

from __future__ import annotations

import math

from engine.config.sections import TaskConfig


def learning_rate(config: TaskConfig, step: int) -> float:
    """The rate of the optimizer step that follows `step` completed ones.

    Rises linearly over the warm-up (never over a tenth of the run), then falls to `optim.min_lr_ratio` of the peak at
    `train.max_steps`: cosine (Loshchilov and Hutter 2017, without restarts), linear, or not at all.
    """
    peak, ratio = config.optim.lr, config.optim.min_lr_ratio
    total = config.train.max_steps
    warmup = min(config.schedule.warmup_steps, total // 10)
    if step < warmup:
        return peak * (step + 1) / warmup
    if config.schedule.kind == "constant":
        return peak
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    falling = (1 + math.cos(math.pi * progress)) / 2 if config.schedule.kind == "cosine" else 1 - progress
    return peak * (ratio + (1 - ratio) * falling)
