"""Lion and Muon: the steps of their papers, saved and restored, and skipped without a trace."""

from __future__ import annotations

import copy
from typing import Literal

import pytest
import torch
from torch import nn

from engine.config.sections import OptimSection
from engine.errors import HeatsError
from engine.train.checkpoint import optimizer_tensors, restore_optimizer
from engine.train.guard import step_unless
from engine.train.optim import build_optimizer, default_groups, describe

CPU = torch.device("cpu")
Name = Literal["lion", "muon"]


class Tied(nn.Module):
    """An embedding that is the output as well, a hidden matrix and a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.hidden = nn.Linear(4, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(self.hidden(self.embedding(ids)).tanh())
        return result


def _made(name: Name, decay: float = 0.1) -> tuple[Tied, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = Tied()
    options = OptimSection(name=name, lr=0.01, weight_decay=decay)
    return model, build_optimizer(options, default_groups(options, model), CPU)


def _backward(model: Tied, seed: int) -> None:
    model.zero_grad()
    ids = torch.randint(7, (5,), generator=torch.Generator().manual_seed(seed))
    nn.functional.cross_entropy(model(ids), ids.roll(1)).backward()  # type: ignore[no-untyped-call]


def test_lions_step_is_that_of_its_paper() -> None:
    model, optimizer = _made("lion")
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    moments = [torch.zeros_like(weight) for weight in weights]
    for seed in range(3):
        _backward(model, seed)
        optimizer.step()
        for weight, moment, parameter in zip(weights, moments, model.parameters(), strict=True):
            assert parameter.grad is not None
            decay = 0.1 if parameter.ndim > 1 else 0.0
            update = (0.9 * moment + 0.1 * parameter.grad).sign()
            weight.sub_(0.01 * (update + decay * weight))
            moment.mul_(0.99).add_(parameter.grad, alpha=0.01)
            assert torch.allclose(parameter.detach(), weight, atol=1e-7)


def test_muon_moves_hidden_matrices_and_adamw_the_rest() -> None:
    model, optimizer = _made("muon", decay=0.0)
    assert describe(optimizer) == "Muon+AdamW plain"
    before = model.hidden.weight.detach().clone()
    _backward(model, 0)
    optimizer.step()
    kept = {name: set(optimizer.state[parameter]) for name, parameter in model.named_parameters()}
    assert kept["hidden.weight"] == {"momentum_buffer"}
    assert kept["embedding.weight"] == kept["hidden.bias"] == {"step", "exp_avg", "exp_avg_sq"}
    moved = (model.hidden.weight.detach() - before) / (0.01 * 0.2 * 4**0.5)
    singular = torch.linalg.svdvals(moved)
    assert ((singular > 0.3) & (singular < 1.5)).all(), "an update is nearly orthogonal"


@pytest.mark.parametrize("name", ["lion", "muon"])
def test_a_state_that_is_saved_and_restored_goes_on_to_the_last_bit(name: Name) -> None:
    model, optimizer = _made(name)
    for seed in range(3):
        _backward(model, seed)
        optimizer.step()
    other, again = _made(name)
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    saved = {key: value.clone() for key, value in optimizer_tensors(optimizer, model).items()}
    restore_optimizer(again, other, saved)
    for current, its in ((model, optimizer), (other, again)):
        for seed in range(3, 6):
            _backward(current, seed)
            its.step()
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(model.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("name", ["lion", "muon"])
def test_a_dropped_update_leaves_no_trace_even_of_nan(name: Name) -> None:
    model, optimizer = _made(name)
    _backward(model, 0)
    optimizer.step()
    weights = copy.deepcopy(model.state_dict())
    moments = {key: value.clone() for key, value in optimizer_tensors(optimizer, model).items()}
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, torch.nan)
    step_unless(optimizer, bad=True)
    assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())
    assert all(torch.equal(moments[key], value) for key, value in optimizer_tensors(optimizer, model).items())


@pytest.mark.parametrize("name", ["lion", "muon"])
def test_a_weight_without_a_gradient_stays(name: Name) -> None:
    model, optimizer = _made(name)
    _backward(model, 0)
    model.hidden.weight.grad = None
    before = model.hidden.weight.detach().clone()
    optimizer.step()
    assert torch.equal(model.hidden.weight.detach(), before)


def test_muon_refuses_weights_that_are_cut_up() -> None:
    options = OptimSection(name="muon")
    with pytest.raises(HeatsError, match="needs whole matrices"):
        build_optimizer(options, default_groups(options, Tied()), CPU, sharded=True)
