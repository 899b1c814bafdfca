"""The convolutional network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.tasks.confounded.config import Config
from engine.tasks.vision.config import VisionDataSection

CHANNELS = {"cifar10": 3, "cifar100": 3, "svhn": 3, "tiny_imagenet": 3}
"""Sources in colour; the others have one channel."""


class Network(nn.Module):
    """Two 3x3 convolutions, each with ReLU and 2x2 pooling, a dense layer with ReLU, and two logits.

    206,000 weights at 28x28 pixels, one channel and the default widths.
    """

    def __init__(self, in_channels: int, size: int, channels: Sequence[int], hidden: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, channels[0], 3, padding=1)
        self.second = nn.Conv2d(channels[0], channels[1], 3, padding=1)
        self.hidden = nn.Linear(channels[1] * (size // 4) ** 2, hidden)
        self.output = nn.Linear(hidden, 2)

    def maps(self, images: Tensor) -> Tensor:
        """(B, C2, H/2, W/2): the activations of the second convolution, which GradCAM looks at."""
        pooled = functional.max_pool2d(functional.relu(self.first(images)), 2)
        return functional.relu(self.second(pooled))

    def classify(self, maps: Tensor) -> Tensor:
        """(B, 2) logits from the second convolution's activations."""
        dense = functional.relu(self.hidden(functional.max_pool2d(maps, 2).flatten(1)))
        logits: Tensor = self.output(dense)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """(B, 2) logits of pictures (B, C, H, W)."""
        return self.classify(self.maps(images))


def build_network(config: Config) -> Network:
    """The network of a config, drawn from the global generator."""
    options: VisionDataSection = config.data
    network = Network(CHANNELS.get(options.source, 1), options.image_size, config.model.channels, config.model.hidden)
    if config.train.channels_last:
        network = network.to(memory_format=torch.channels_last)
    return network


def bare(model: nn.Module) -> Network:
    """The network inside the wrappers of data parallelism and torch.compile."""
    for wrapper in ("module", "_orig_mod"):
        model = getattr(model, wrapper, model)
    assert isinstance(model, Network)
    return model
