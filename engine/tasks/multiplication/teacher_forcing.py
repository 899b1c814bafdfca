"""How often the decoder is given the true prefix in training, and how often its own."""

from __future__ import annotations

import math
from typing import Literal, assert_never

import torch

Schedule = Literal["none", "linear", "cosine", "step"]


def probability(schedule: Schedule, step: int, start_step: int, max_steps: int) -> float:
    """Probability that a batch is teacher-forced (scheduled sampling, arXiv 1506.03099, a batch at a time).

    It is 1 before `start_step`. From there, with u the share of the way to `max_steps`: linear 1 - u, cosine
    (1 + cos(pi u)) / 2, step 1, 0.75, 0.5, 0.25, 0 in fifths of the way, none 1 for ever.

    Args:
        schedule: the shape.
        step: optimizer steps completed.
        start_step: where it begins to fall.
        max_steps: where it has reached 0.
    """
    if schedule == "none" or step < start_step:
        return 1.0
    done, span = step - start_step, max_steps - start_step
    if done >= span:
        return 0.0
    if schedule == "linear":
        return 1.0 - done / span
    if schedule == "cosine":
        return (1.0 + math.cos(math.pi * done / span)) / 2.0
    if schedule == "step":
        return 1.0 - 0.25 * (5 * done // span)  # in integers: the corners fall on whole steps
    assert_never(schedule)


def draw(forcing_probability: float, generator: torch.Generator) -> bool:
    """Whether this batch is teacher-forced.

    Always draws exactly one number, whatever the probability, so the generator's later numbers depend on the step
    alone and not on the schedule.
    """
    return float(torch.rand((), generator=generator)) < forcing_probability
