"""Optimizers by name, with weight decay on matrices only."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from engine.config.sections import OptimSection
from engine.errors import HeatsError
from engine.train.optimizers import Lion, Together, hidden_groups

_FUSED_DEVICES = ("cuda", "cpu", "mps")


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: parameters of two or more dimensions, which are decayed, and the rest, which aren't."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trainable if parameter.ndim >= 2]
    rest = [parameter for parameter in trainable if parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def default_groups(options: OptimSection, model: nn.Module) -> list[dict[str, Any]]:
    """The groups that an optimizer wants where the task has no wishes."""
    if options.name == "muon":
        return hidden_groups(model, options.weight_decay)
    return decay_groups(model, options.weight_decay)


def build_optimizer(
    options: OptimSection, groups: list[dict[str, Any]], device: torch.device, *, sharded: bool = False
) -> torch.optim.Optimizer:
    """The optimizer that a config names; fused where the device has a fused kernel (that takes `sharded` weights).

    Raises:
        HeatsError: it needs whole matrices, and they are sharded.
    """
    fused = options.fused and device.type in _FUSED_DEVICES
    if options.name == "adamw":
        return torch.optim.AdamW(
            groups, lr=options.lr, betas=(options.beta1, options.beta2), eps=options.eps, fused=fused
        )
    if options.name == "sgd":
        return torch.optim.SGD(groups, lr=options.lr, momentum=options.momentum, fused=fused and not sharded)
    if options.name == "lion":
        return Lion(groups, lr=options.lr, betas=(options.beta1, options.lion_beta2))
    assert options.name == "muon"
    return _muon(options, groups, device, sharded)


def _muon(
    options: OptimSection, groups: list[dict[str, Any]], device: torch.device, sharded: bool
) -> torch.optim.Optimizer:
    """Muon with AdamW, at one rate: Muon's step is scaled to the root mean square of AdamW's (arXiv 2502.16982)."""
    if sharded:
        raise HeatsError("needs whole matrices, which parallel.kind=fsdp cuts up", place="optim.name=muon")
    hidden = [group for group in groups if group.get("hidden")]
    others = [group for group in groups if not group.get("hidden")]
    parts: list[torch.optim.Optimizer] = []
    if hidden:
        parts.append(
            torch.optim.Muon(hidden, lr=options.lr, momentum=options.muon_momentum, adjust_lr_fn="match_rms_adamw")
        )
    if others:
        # Fused kernels elsewhere want their step counters on the device, which a state of both kinds can't promise.
        betas, fused = (options.beta1, options.beta2), options.fused and device.type == "cpu"
        parts.append(torch.optim.AdamW(others, lr=options.lr, betas=betas, eps=options.eps, fused=fused))
    return Together(parts)


def is_fused(optimizer: torch.optim.Optimizer) -> bool:
    """Whether its step can be skipped on the device through `found_inf`."""
    return bool(optimizer.defaults.get("fused"))


def describe(optimizer: torch.optim.Optimizer) -> str:
    """Name and implementation, as `AdamW fused`: another implementation gives other bits."""
    name = optimizer.name if isinstance(optimizer, Together) else type(optimizer).__name__
    return f"{name} {'fused' if is_fused(optimizer) else 'plain'}"
