"""Does it still look at the dot? What adding and removing it changes, measured on held-out samples."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engine.tasks.confounded.data import CONFOUNDED, OTHER


def interventions(clean: Tensor, dotted: Tensor, labels: Tensor) -> dict[str, float]:
    """All figures that say how a model stands to the dot.

    `accuracy` and `loss` are those of clean samples; `confounded_accuracy` and `confounded_loss` those of samples as
    in training, where the dot marks its class; `accuracy_GROUP` that of each of the four groups and `worst_group` the
    least of them; `dot_flip` the share of the other class's samples that become the confounded class when the dot is
    added; `shift_added` and `shift_removed` the mean absolute change of that class's probability when the dot is added
    to the other class, or removed from its own; `reliance_gap` how much more accurate it is where the dot helps.

    Args:
        clean: (N, 2) logits of samples without the dot.
        dotted: (N, 2) logits of the same samples with it.
        labels: (N,).
    """
    clean, dotted = clean.double().cpu(), dotted.double().cpu()
    labels = labels.cpu()
    is_other, is_confounded = labels == OTHER, labels == CONFOUNDED
    right = {"": clean.argmax(1) == labels, "_dot": dotted.argmax(1) == labels}
    groups = {
        f"accuracy_{name}{suffix}": _mean(hits[rows])
        for name, rows in (("other", is_other), ("confounded", is_confounded))
        for suffix, hits in right.items()
    }
    as_trained = torch.where(is_confounded.unsqueeze(1), dotted, clean)
    probabilities = [functional.softmax(logits, dim=1)[:, CONFOUNDED] for logits in (clean, dotted)]
    shift = (probabilities[1] - probabilities[0]).abs()
    flipped = (clean.argmax(1) == OTHER) & (dotted.argmax(1) == CONFOUNDED)
    accuracy, confounded_accuracy = _mean(right[""]), _mean(as_trained.argmax(1) == labels)
    return {
        "loss": float(functional.cross_entropy(clean, labels)),
        "accuracy": accuracy,
        **groups,
        "worst_group": min(groups.values()),
        "dot_flip": _mean(flipped[is_other]),
        "shift_added": _mean(shift[is_other]),
        "shift_removed": _mean(shift[is_confounded]),
        "confounded_loss": float(functional.cross_entropy(as_trained, labels)),
        "confounded_accuracy": confounded_accuracy,
        "reliance_gap": confounded_accuracy - accuracy,
    }


def _mean(values: Tensor) -> float:
    return float(values.double().mean())
