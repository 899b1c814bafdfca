"""The task `spirals`: its data, model, loss and evaluation. Everything else is the engine's."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.train.task import Batch, BatchKey, LossTerms, StepContext, Task
from heats_spirals.config import Config, SpiralsSection


class Points:
    """Points of both spirals. What is random in a batch comes from its key, so that a resume changes nothing."""

    def __init__(self, options: SpiralsSection, count: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.label = torch.randint(0, 2, (count,), generator=generator)
        radius = torch.rand(count, generator=generator).sqrt()
        angle = 2 * math.pi * options.turns * radius + math.pi * self.label
        self.place = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
        self.noise = options.noise

    def __len__(self) -> int:
        return len(self.label)

    def gather(self, indices: Tensor, key: BatchKey) -> Batch:
        """The batch of these points, each moved a little."""
        place = self.place[indices]
        place = place + self.noise * torch.randn(place.shape, generator=key.generator())
        return {"place": place, "label": self.label[indices]}


class Spirals(Task[Config]):
    """Two classes, judged by accuracy on points that were never seen."""

    num_classes = 2
    cross_entropy_figure = "loss"

    def build_model(self) -> nn.Module:
        """Drawn from the global generator, which the engine has seeded."""
        width = self.config.model.width
        return nn.Sequential(nn.Linear(2, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 2))

    def build_data(self) -> Points:
        """Training points; held-out ones are kept for `evaluate`."""
        options, seed = self.config.spirals, self.config.seed
        held_out = max(2, options.samples // 4)
        self._held_out = {"val": Points(options, held_out, seed + 1), "test": Points(options, held_out, seed + 2)}
        return Points(options, options.samples, seed)

    def loss(self, model: nn.Module, batch: Batch, context: StepContext) -> LossTerms:
        """One term; more of them would be weighted, logged and watched one by one."""
        return {"cross_entropy": (1.0, functional.cross_entropy(model(batch["place"]).float(), batch["label"]))}

    def evaluate(self, model: nn.Module, split: str, device: torch.device) -> dict[str, float]:
        """Cross entropy and accuracy on a split."""
        points = self._held_out[split]
        answer, label = model(points.place.to(device)).float(), points.label.to(device)
        return {
            "loss": functional.cross_entropy(answer, label).item(),
            "accuracy": (answer.argmax(1) == label).float().mean().item(),
        }


TASK = Spirals
"""What heats looks for in a task's package."""
