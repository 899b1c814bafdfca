"""The networks are the published ones: their sizes, and what they give."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.tasks.distillation.models import Network, build_network, count_parameters


@pytest.mark.parametrize(
    ("name", "millions"), [("resnet20", 0.27), ("resnet32", 0.46), ("resnet56", 0.85), ("resnet110", 1.7)]
)
def test_sizes_for_ten_classes_are_those_of_the_paper(name: str, millions: float) -> None:
    model = build_network(name, 3, 10)
    # The paper's shortcuts for CIFAR-10 have no weights; ours are projections, as in what is compared with since.
    projections = sum(
        count_parameters(part)
        for part in model.modules()
        if isinstance(part, nn.Sequential) and (len(part) == 2 and isinstance(part[0], nn.Conv2d))
    )
    found = (count_parameters(model) - projections) / 1e6
    assert round(found, 1 if name == "resnet110" else 2) == millions


@pytest.mark.parametrize(
    ("name", "count"), [("resnet8", 83_892), ("resnet20", 278_324), ("wide16-2", 703_284), ("wide40-2", 2_255_156)]
)
def test_sizes_for_a_hundred_classes_by_hand(name: str, count: int) -> None:
    """With projections at the two changes of width: stem, blocks, projections, norms and head added up."""

    def block(before: int, after: int) -> int:
        return 9 * before * after + 9 * after * after

    network = Network.named(name)
    before = 16
    total = 9 * 3 * 16 + (network.channels[2] + 1) * 100
    for after in network.channels:
        inner = block(before, after) + (network.blocks - 1) * block(after, after)
        projection = before * after if before != after else 0
        if network.wide:
            norms = 2 * (before + after) + (network.blocks - 1) * 4 * after
        else:
            norms = network.blocks * 4 * after + (2 * after if projection else 0)
        total += inner + projection + norms
        before = after
    total += 2 * (network.channels[2] if network.wide else 16)
    assert count_parameters(build_network(name, 3, 100)) == total == count


@pytest.mark.parametrize("name", ["resnet14", "wide16-2"])
def test_outputs_are_three_groups_and_the_logits(name: str) -> None:
    width = Network.named(name).width
    one, two, three, logits = build_network(name, 1, 7)(torch.randn(2, 1, 8, 8))
    assert [tuple(group.shape) for group in (one, two, three)] == [
        (2, 16 * width, 8, 8), (2, 32 * width, 4, 4), (2, 64 * width, 2, 2)
    ]  # fmt: skip
    assert logits.shape == (2, 7)


def test_resnet112_is_another_name_of_the_one_of_110_layers() -> None:
    assert Network.named("resnet112") == Network.named("resnet110")
    assert Network.named("resnet110").blocks == 18
