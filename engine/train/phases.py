"""Runs of several phases: which one a step belongs to. Where a phase begins, running levels begin anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """A part of a run in which one thing is trained."""

    name: str = ""
    """What people read; empty where the run has one phase only."""
    start: int = 0
    """Optimizer steps completed when it begins."""
    judged: bool = True
    """Whether its evaluations say how good the run is: whether they count for the best one and for early stopping."""


ONE_PHASE = (Phase(),)


def phase_at(phases: Sequence[Phase], step: int) -> Phase:
    """The phase of the optimizer step that follows `step` completed ones.

    Args:
        phases: by ascending start, the first of which is 0.
        step: completed steps.
    """
    return next(phase for phase in reversed(phases) if phase.start <= step or phase is phases[0])


def beginning(phases: Sequence[Phase], step: int) -> Phase | None:
    """The phase that begins once `step` steps are completed, unless it is the first."""
    return next((phase for phase in phases[1:] if phase.start == step), None)
