"""Evaluation that leaves no trace: training goes on with the same bits whether or not it took place."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from engine.train import random_state
from engine.train.precision import Precision
from engine.train.task import Task


def evaluate(
    task: Task[Any], model: nn.Module, split: str, device: torch.device, precision: Precision
) -> dict[str, float]:
    """A task's figures on a split, by full name (`val/loss`). The model's mode and all generators are put back."""
    was_training = model.training
    # A task must not draw from the global generators here; should one do so all the same, no bit of training changes.
    states = random_state.capture()
    model.eval()
    try:
        with torch.no_grad(), precision.autocast():
            measured = task.evaluate(model, split, device)
    finally:
        model.train(was_training)
        random_state.restore(states)
    return {f"{split}/{name}": float(value) for name, value in measured.items()}
