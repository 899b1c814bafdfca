"""The terms of the loss, computed in fp32 whatever the precision of the forward pass."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engine.tasks.multiplication.data import PAD, TIMES

COLUMN_SUM_UNIT = 10.0
"""The auxiliary head predicts running column sums in this unit, in which their whole part is the carry."""


def answer_log_probabilities(logits: Tensor, target: Tensor) -> Tensor:
    """Log-probability of each token of the answer, 0 at PAD.

    Args:
        logits: (B, T, V), of any floating type.
        target: (B, T) int64.

    Returns:
        (B, T) fp32.
    """
    log_probabilities = functional.log_softmax(logits.float(), dim=-1)
    chosen = log_probabilities.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    return chosen.masked_fill(target == PAD, 0.0)


def cross_entropy(log_probabilities: Tensor, target: Tensor) -> Tensor:
    """Mean negative log-probability (nats) of the tokens that aren't PAD; a scalar.

    Args:
        log_probabilities: (B, T), as from `answer_log_probabilities`.
        target: (B, T) int64.
    """
    return -log_probabilities.sum() / (target != PAD).sum()


def sequence_error(log_probabilities: Tensor) -> Tensor:
    """1 - mean over sequences of the probability of the whole answer, EOS included; a scalar in [0, 1].

    A differentiable stand-in for 1 - exact match: the expected error of answers sampled from the model.

    Args:
        log_probabilities: (B, T), 0 at PAD.
    """
    return 1.0 - torch.exp(log_probabilities.sum(dim=1)).mean()


def column_sum_error(predicted: Tensor, sums: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of the running column sums over the digits of the products, in units of ten; a scalar.

    Args:
        predicted: (B, T), in units of ten.
        sums: (B, T) fp32, the true sums.
        target: (B, T) int64; only places that hold a digit count.
    """
    is_digit = target < TIMES
    squared = (predicted.float() - sums / COLUMN_SUM_UNIT).square()
    return squared.masked_fill(~is_digit, 0.0).sum() / is_digit.sum()
