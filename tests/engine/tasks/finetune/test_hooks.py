"""Hooks: of each kind, to look and to change; listed, counted, and gone at the end."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from engine.errors import HeatsError
from engine.tasks.finetune.hooks import Hooks, Statistics, matching, table
from tests.engine.tasks.finetune.made import ids, tiny_model


def _network() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def test_each_kind_changes_what_it_says() -> None:
    network, given = _network(), torch.ones(1, 3, requires_grad=True)
    with Hooks(network) as hooks:
        hooks.before("0", lambda module, inputs: (inputs[0] * 0,), "zero what goes in")
        assert torch.equal(network(given), network[2](network[0].bias.tanh())[None])
    with Hooks(network) as hooks:
        hooks.after("1", lambda module, inputs, output: torch.ones_like(output))
        assert torch.allclose(network(given), network[2].weight.sum(1) + network[2].bias)
    with Hooks(network) as hooks:
        hooks.backward("2", lambda module, inner, outer: (torch.full_like(inner[0], 2.0),))
        network(given).sum().backward()
        assert torch.allclose(network[0].bias.grad, 2 * (1 - network[:2](given)[0].square()))
    network.zero_grad()
    with Hooks(network) as hooks:
        hidden = network[:2](given)
        hooks.tensor(hidden, "hidden", lambda gradient: gradient * 0)
        network[2](hidden).sum().backward()
        assert (network[0].weight.grad == 0).all()


def test_the_table_says_what_is_hooked_and_how_often_it_ran() -> None:
    network = _network()
    with Hooks(network) as hooks:
        hooks.after("1", lambda *_: None, "look", changes=False)
        hooks.backward("2", lambda *_: None, "mend")
        for _ in range(3):
            network(torch.ones(1, 3)).sum().backward()
    assert table(hooks.hooks) == [
        {"module": "1", "kind": "forward hook", "purpose": "look", "changes": "nothing", "calls": 3},
        {
            "module": "2", "kind": "backward hook", "purpose": "mend", "changes": "the gradient of what goes in",
            "calls": 3,
        },
    ]  # fmt: skip
    network(torch.ones(1, 3))
    assert hooks.hooks[0].calls == 3, "it is gone"


def test_what_is_recorded_is_what_went_through() -> None:
    network = _network()
    given = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    with Hooks(network) as hooks:
        activation, gradient = hooks.record("1", gradients=True)
        for part in given.split(2):  # type: ignore[no-untyped-call]
            network(part).sum().backward()
    seen = network[:2](given).detach().double()
    assert (activation.count, activation.calls, activation.shape) == (20, 3, (1, 4))
    assert activation.mean == pytest.approx(float(seen.mean()))
    assert activation.deviation == pytest.approx(float(seen.std(correction=0)))
    assert activation.rms == pytest.approx(float(seen.square().mean().sqrt()))
    assert (activation.lowest, activation.highest) == (float(seen.min()), float(seen.max()))
    assert gradient.mean == pytest.approx(float(network[2].weight.detach().sum(0).mean()))


def test_numbers_that_are_none_are_counted_apart() -> None:
    found = Statistics("x", "activation")
    found.take(torch.tensor([0.0, math.nan, 2.0, math.inf]))
    assert (found.count, found.non_finite, found.zero_share, found.mean) == (2, 2, 0.5, 1.0)
    assert math.isnan(Statistics("y", "gradient").mean)


def test_modules_are_found_by_pattern() -> None:
    model = tiny_model()
    assert matching(model, ["transformer.h.*.attn"]) == [f"transformer.h.{layer}.attn" for layer in range(3)]
    with pytest.raises(HeatsError, match=r"has no module `transformer\.h\.9\.attn`"):
        matching(model, ["transformer.h.9.attn"])
    with Hooks(model) as hooks:
        (attention,) = hooks.record("transformer.h.0.attn")
        model(ids())
    assert attention.shape == (2, 9, 16)
