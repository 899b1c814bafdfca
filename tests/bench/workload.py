"""One model, one set of data and one optimizer for all loops, at two sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

VOCABULARY = 64
SAMPLES = 4096
BATCH = 16
PEAK_LR = 1e-3
MIN_LR_RATIO = 0.1
MAX_NORM = 1.0
WEIGHT_DECAY = 0.01
ENDLESS = 1_000_000
"""Steps that a loop is told to take; its process is ended long before."""
LENGTHS = {"small": 16, "medium": 8}
"""Tokens in a sample, by size. A step takes about 1 ms (small) and 5 ms (medium) on one thread."""


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixed, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        size, length, width = hidden.shape
        parts = self.mixed(self.norm_1(hidden)).view(size, length, 3, 4, width // 4)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        hidden = hidden + self.joined(seen.transpose(1, 2).reshape(size, length, width))
        result: Tensor = hidden + self.down(functional.gelu(self.up(self.norm_2(hidden))))
        return result


def build_model(size: str) -> nn.Module:
    """The model of a size: (B, T) tokens to (B, T, V) logits."""
    torch.manual_seed(0)
    width = 64
    middle: list[nn.Module] = [Block(width), Block(width)] if size == "medium" else [nn.Linear(width, width), nn.GELU()]
    return nn.Sequential(nn.Embedding(VOCABULARY, width), *middle, nn.Linear(width, VOCABULARY))


def build_data(size: str) -> tuple[Tensor, Tensor]:
    """Inputs and targets in memory, (N, T) each."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(VOCABULARY, (SAMPLES, LENGTHS[size] + 1), generator=generator)
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def loss_of(model: Any, tokens: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy."""
    return functional.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())


def build_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """Fused AdamW in two groups, as heats makes them."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    rest = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=PEAK_LR, fused=True)


def cosine(step: int) -> float:
    """The factor on the peak rate at a step."""
    return MIN_LR_RATIO + (1 - MIN_LR_RATIO) * (1 + math.cos(math.pi * step / ENDLESS)) / 2


class Batches(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Batches gathered by index, in a new order each epoch; for DataLoaders with batch_size=None."""

    def __init__(self, size: str, steps: int = ENDLESS) -> None:
        self._tokens, self._targets = build_data(size)
        self._steps = steps
        self._epoch, self._order = -1, torch.empty(0)

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        epoch, index = divmod(position, SAMPLES // BATCH)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(epoch))
        chosen = self._order[index * BATCH : (index + 1) * BATCH]
        return self._tokens[chosen], self._targets[chosen]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return (self[position] for position in range(self._steps))
