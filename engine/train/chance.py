"""Is a classifier better than guessing? Tasks that say how many classes they tell apart are watched for it."""

from __future__ import annotations

import math
from typing import Any

from engine.train.guard_policy import Finding
from engine.train.task import Task

_EPOCHS = 3


def worse_than_guessing(task: Task[Any], measured: dict[str, float], step: int, epochs: float) -> Finding | None:
    """A finding if the evaluation's cross entropy is above log K, that of guessing among K classes, after 3 epochs.

    Args:
        task: says K, and which figure is the cross entropy.
        measured: an evaluation, by full name (`val/loss`).
        step: its step.
        epochs: how many were trained.
    """
    value = _figure(measured, task.cross_entropy_figure)
    if task.num_classes is None or value is None or epochs < _EPOCHS:
        return None
    level = math.log(task.num_classes)
    if value <= level:
        return None
    message = (
        f"after {epochs:.3g} epochs the cross entropy on held-out data is {value:.4g}, worse than guessing among "
        f"{task.num_classes} classes ({level:.4g})"
    )
    return Finding("worse_than_chance", message, step, value, level)


def suspicion(task: Task[Any], measured: dict[str, float]) -> dict[str, Any] | None:
    """The facts of the event `suspect` if a finished run's accuracy is under 3 times chance; None if it is fine.

    With few classes three times chance is more than can be asked: there it is a quarter of the way from chance to 1.
    """
    value = _figure(measured, task.accuracy_figure)
    if task.num_classes is None or value is None:
        return None
    chance = 1 / task.num_classes
    least = min(3 * chance, chance + (1 - chance) / 4)
    if value >= least:
        return None
    message = (
        f"it has finished with an accuracy of {value:.2%} where chance is {chance:.2%}: under {least:.2%} hardly "
        "anything was learnt"
    )
    return {"message": message, "figure": task.accuracy_figure, "value": value, "level": least, "chance": chance}


def _figure(measured: dict[str, float], name: str) -> float | None:
    return next((value for full, value in measured.items() if full.partition("/")[2] == name), None)
