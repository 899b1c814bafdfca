"""Gradient checkpointing: recompute a layer's activations in the backward pass instead of keeping them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def run_layer(layer: nn.Module, *args: Any, recompute: bool) -> Tensor:
    """Call a layer, keeping only its inputs for the backward pass if `recompute` and gradients are on.

    The random state of the forward pass is put back for the recomputation, so dropout gives the same mask and the
    gradients are those of the plain call, bit for bit.
    """
    if recompute and torch.is_grad_enabled():
        result: Tensor = checkpoint(layer, *args, use_reentrant=False)
        return result
    plain: Tensor = layer(*args)
    return plain
