"""ResNets for small pictures, deep and wide, which give their groups' outputs beside the logits."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

Outputs = tuple[Tensor, Tensor, Tensor, Tensor]
"""What the three groups give, (B, C, H, W) each, and the logits, (B, K). Whatever needs logits takes `outputs[-1]`."""
_WIDTHS = (16, 32, 64)


@dataclass(frozen=True)
class Network:
    """Which network: `depth` layers, its groups `width` times as wide as the narrowest."""

    depth: int
    width: int
    wide: bool

    @classmethod
    def named(cls, name: str) -> Network:
        """The network of a name: `resnet20`, `wide16-2`. (`resnet112` is what some call the one of 110 layers.)"""
        match = re.fullmatch(r"(?:resnet(\d+)|wide(\d+)-(\d+))", name)
        assert match is not None, f"the config has let {name} pass"
        if match[1]:
            return cls(min(int(match[1]), 110), 1, wide=False)
        return cls(int(match[2]), int(match[3]), wide=True)

    @property
    def blocks(self) -> int:
        """Blocks in each group."""
        return (self.depth - (4 if self.wide else 2)) // 6

    @property
    def channels(self) -> tuple[int, int, int]:
        """What the three groups give."""
        return tuple(width * self.width for width in _WIDTHS)  # type: ignore[return-value]


def build_network(name: str, in_channels: int, classes: int) -> nn.Module:
    """A freshly initialised network that gives `Outputs`.

    Args:
        name: as in `Network.named`.
        in_channels: of the pictures.
        classes: how many logits.
    """
    network = Network.named(name)
    return (WideResNet if network.wide else ResNet)(network, in_channels, classes)


class ResNet(nn.Module):
    """He and others 2016 (arXiv 1512.03385), section 4.2: 6n + 2 layers; shortcuts across widths are projections."""

    def __init__(self, network: Network, in_channels: int, classes: int) -> None:
        super().__init__()
        first, *_, last = network.channels
        self.stem = nn.Conv2d(in_channels, first, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(first)
        self.groups = _groups(_BasicBlock, network, first)
        self.head = nn.Linear(last, classes)
        _initialise(self)

    def forward(self, images: Tensor) -> Outputs:
        """Three groups' outputs and the logits of (B, C, H, W) pictures."""
        hidden = functional.relu(self.norm(self.stem(images)))
        one = self.groups[0](hidden)
        two = self.groups[1](one)
        three = self.groups[2](two)
        return one, two, three, self.head(three.mean(dim=(2, 3)))


class WideResNet(nn.Module):
    """Zagoruyko and Komodakis 2016 (arXiv 1605.07146): 6n + 4 layers, norms before convolutions. The third output is
    taken after the last norm, like the other network's after a ReLU."""

    def __init__(self, network: Network, in_channels: int, classes: int) -> None:
        super().__init__()
        last = network.channels[-1]
        self.stem = nn.Conv2d(in_channels, _WIDTHS[0], 3, padding=1, bias=False)
        self.groups = _groups(_WideBlock, network, _WIDTHS[0])
        self.norm = nn.BatchNorm2d(last)
        self.head = nn.Linear(last, classes)
        _initialise(self)

    def forward(self, images: Tensor) -> Outputs:
        """Three groups' outputs and the logits of (B, C, H, W) pictures."""
        one: Tensor = self.groups[0](self.stem(images))
        two = self.groups[1](one)
        three = functional.relu(self.norm(self.groups[2](two)))
        return one, two, three, self.head(three.mean(dim=(2, 3)))


class _BasicBlock(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, hidden: Tensor) -> Tensor:
        inner = functional.relu(self.first_norm(self.first(hidden)))
        return functional.relu(self.second_norm(self.second(inner)) + self.shortcut(hidden))


class _WideBlock(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first_norm = nn.BatchNorm2d(before)
        self.first = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        same = stride == 1 and before == after
        self.shortcut = None if same else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        ready = functional.relu(self.first_norm(hidden))
        inner = functional.relu(self.second_norm(self.first(ready)))
        kept = hidden if self.shortcut is None else self.shortcut(ready)
        changed: Tensor = self.second(inner)
        return changed + kept


def _groups(block: type[nn.Module], network: Network, before: int) -> nn.ModuleList:
    groups = nn.ModuleList()
    for number, after in enumerate(network.channels):
        blocks = []
        for index in range(network.blocks):
            blocks.append(block(before, after, 2 if number and not index else 1))
            before = after
        groups.append(nn.Sequential(*blocks))
    return groups


def _initialise(model: nn.Module) -> None:
    """Kaiming's normal initialisation of the convolutions (arXiv 1502.01852); norms begin as they are made."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def pooled(features: Tensor) -> Tensor:
    """The mean over all places of (B, C, H, W) features: (B, C)."""
    return features.mean(dim=(2, 3))


def count_parameters(model: nn.Module) -> int:
    """How many numbers a model learns."""
    return sum(parameter.numel() for parameter in model.parameters())
