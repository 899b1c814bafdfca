"""Losses between the teacher's and the student's logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engine.tasks.distillation.losses.numeric import EPSILON, in_fp32

_OUT_OF_REACH = -1e9
"""A logit whose probability is exactly 0 beside any other; unlike that of minus infinity its gradient is finite."""


def logit_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(teacher || student) of the softened predictions, the mean over the batch (Hinton and others 2015).

    Args:
        student, teacher: (B, K) logits.
        temperature: T.
    """
    with in_fp32(student):
        predicted = functional.log_softmax(student.float() / temperature, dim=1)
        wanted = functional.log_softmax(teacher.float() / temperature, dim=1)
        return temperature**2 * functional.kl_div(predicted, wanted, reduction="batchmean", log_target=True)


def standardised(logits: Tensor) -> Tensor:
    """Z-scores of each row, fp32; zeros where all logits of a row are equal.

    Args:
        logits: (B, K).
    """
    centred = logits.float() - logits.float().mean(dim=1, keepdim=True)
    variance = centred.square().sum(dim=1, keepdim=True) / (logits.shape[1] - 1)
    return centred / (variance + EPSILON).sqrt()


def standardised_logit_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """The same of z-scored logits (Sun and others, CVPR 2024): the student needn't copy the teacher's range.

    Args:
        student, teacher: (B, K) logits.
        temperature: T.
    """
    with in_fp32(student):
        return logit_loss(standardised(student), standardised(teacher), temperature)


def decoupled_losses(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Of the target class against all others, and among the others alone (Zhao and others, CVPR 2022).

    Their sum with the weights 1 and (1 - the teacher's probability of the target) would be the plain logit loss.

    Args:
        student, teacher: (B, K) logits.
        labels: (B,) int64.
        temperature: T.

    Returns:
        The two losses, scalars, each times T^2 and the mean over the batch.
    """
    with in_fp32(student):
        target = functional.one_hot(labels, student.shape[1]).bool()
        (mine, mine_others), (wanted, wanted_others) = (
            _decoupled(logits.float() / temperature, target) for logits in (student, teacher)
        )
        scale = temperature**2
        of_target = functional.kl_div(mine, wanted, reduction="batchmean", log_target=True)
        among_others = functional.kl_div(mine_others, wanted_others, reduction="batchmean", log_target=True)
        return scale * of_target, scale * among_others


def _decoupled(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of (target, any other), (B, 2), and among the others, (B, K) with the target out of reach."""
    others = logits.masked_fill(target, _OUT_OF_REACH)
    # From the logits, not from probabilities: a sure prediction has others of probability 0, whose logarithm is none.
    together = torch.stack([logits.masked_fill(~target, 0.0).sum(dim=1), others.logsumexp(dim=1)], dim=1)
    return functional.log_softmax(together, dim=1), functional.log_softmax(others, dim=1)
