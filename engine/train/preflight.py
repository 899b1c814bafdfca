"""One batch forward and back through each loss term before the first step: what can't be trained isn't started."""

from __future__ import annotations

import copy
import logging
import math

import torch
from torch import Tensor, nn

from engine.errors import HeatsError
from engine.train import random_state
from engine.train.state import TrainState
from engine.train.task import Batch, StepContext

log = logging.getLogger("heats")


def check(state: TrainState, batch: Batch, context: StepContext) -> None:
    """Refuse a loss term whose value or gradient isn't finite. Leaves no trace: not a bit of training changes.

    Random generators, the model's buffers (running statistics move in every forward pass) and the task's own state
    are put back; gradients are never stored in the weights, so that optimizer and scaler see nothing of them.

    Args:
        state: freshly built.
        batch: any batch, on the device.
        context: of the first step.

    Raises:
        HeatsError: naming the term.
    """
    generators, own = random_state.capture(), state.generator.get_state()
    buffers = [
        (module, name, tensor, tensor.clone())
        for module in state.model.modules()
        for name, tensor in module._buffers.items()
        if tensor is not None
    ]
    task_state = copy.deepcopy(state.task.state_dict())
    try:
        problem = _first_problem(state, batch, context)
    except torch.OutOfMemoryError:
        log.warning("the look at each loss term before the first step needs too much memory, and is left out")
        problem = None
    finally:
        with torch.no_grad():
            for module, name, tensor, saved in buffers:
                module._buffers[name] = tensor  # a task may have replaced it
                tensor.copy_(saved)
        state.task.load_state_dict(task_state)
        state.generator.set_state(own)
        random_state.restore(generators)
    problem = next(filter(None, state.ranks.gather(problem)), None)  # on whichever rank
    if problem is not None:
        remedy = "mend the loss or the data, or start it all the same with guard.preflight=false"
        raise HeatsError(f"before the first step {problem}, so no step could be taken", remedy=remedy)


def _first_problem(state: TrainState, batch: Batch, context: StepContext) -> str | None:
    with state.precision.autocast():
        terms = state.parallel.look(lambda: state.task.loss(state.model, batch, context))
    named = [(name, parameter) for name, parameter in state.model.named_parameters() if parameter.requires_grad]
    for term, (weight, value) in terms.items():
        number = float(value.detach())
        if not math.isfinite(number):
            return f"the loss term `{term}` is {number}"
        if not value.requires_grad:
            continue
        # A term that is switched on later counts as well.
        weighted = value.float() * (weight or 1.0)
        gradients = torch.autograd.grad(
            weighted, [parameter for _, parameter in named], retain_graph=True, allow_unused=True
        )
        place = _first_broken(named, gradients)
        if place is not None:
            return f"the gradient of the loss term `{term}` is not finite (at `{place}`)"
    return None


def _first_broken(named: list[tuple[str, nn.Parameter]], gradients: tuple[Tensor | None, ...]) -> str | None:
    there = [(name, gradient) for (name, _), gradient in zip(named, gradients, strict=True) if gradient is not None]
    if not there:
        return None
    fine = torch.stack([torch.isfinite(gradient).all() for _, gradient in there]).tolist()
    return next((name for (name, _), good in zip(there, fine, strict=True) if not good), None)
