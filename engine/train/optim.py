"""Optimizers by name, with weight decay on matrices only."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from engine.config.sections import OptimSection

_FUSED_DEVICES = ("cuda", "cpu", "mps")


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: parameters of two or more dimensions, which are decayed, and the rest, which aren't."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trainable if parameter.ndim >= 2]
    rest = [parameter for parameter in trainable if parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def build_optimizer(
    options: OptimSection, groups: list[dict[str, Any]], device: torch.device, *, sharded: bool = False
) -> torch.optim.Optimizer:
    """The optimizer that a config names; fused where the device has a fused kernel (that takes `sharded` weights)."""
    fused = options.fused and device.type in _FUSED_DEVICES
    if options.name == "adamw":
        return torch.optim.AdamW(
            groups, lr=options.lr, betas=(options.beta1, options.beta2), eps=options.eps, fused=fused
        )
    assert options.name == "sgd"
    return torch.optim.SGD(groups, lr=options.lr, momentum=options.momentum, fused=fused and not sharded)


def is_fused(optimizer: torch.optim.Optimizer) -> bool:
    """Whether its step can be skipped on the device through `found_inf`."""
    return bool(optimizer.defaults.get("fused"))


def describe(optimizer: torch.optim.Optimizer) -> str:
    """Name and implementation, as `AdamW fused`: another implementation gives other bits."""
    return f"{type(optimizer).__name__} {'fused' if is_fused(optimizer) else 'plain'}"
