from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from engine.tasks.multiplication.data import BOS, EOS, PAD
from engine.tasks.multiplication.decoding import greedy_tokens, own_prefix, shift_right, stop_at_eos
from engine.tasks.multiplication.layers import (
    AbacusPositions,
    DecoderLayer,
    EncoderLayer,
    LatentLayer,
    significance,
)
from engine.tasks.multiplication.models import LatentModel, Memory, SimpleModel
from tests.engine.tasks.multiplication.conftest import MakeModel, write

KINDS = ("simple", "latent")
SOURCE = torch.tensor([write("12*34"), write("7*80"), write("99*1"), write("3*3")])
TARGET = torch.tensor([write("804$"), write("065$"), write("99$"), write("9$")])


def decode(model: SimpleModel, source: Tensor, prefix: Tensor) -> Tensor:
    logits: Tensor = model(source, prefix).logits
    return logits


@pytest.mark.parametrize("kind", KINDS)
def test_the_decoder_never_sees_what_comes_later(make_model: MakeModel, kind: str) -> None:
    model, prefix = make_model({"model.kind": kind}), shift_right(TARGET)
    changed = prefix.clone()
    changed[:, 3:] = (changed[:, 3:] + 1) % 10
    before, after = decode(model, SOURCE, prefix), decode(model, SOURCE, changed)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


@pytest.mark.parametrize("kind", KINDS)
def test_every_digit_of_the_problem_matters(make_model: MakeModel, kind: str) -> None:
    model, prefix = make_model({"model.kind": kind}), shift_right(TARGET[:1])
    base = decode(model, SOURCE[:1], prefix)
    for place in (0, 1, 3, 4):
        changed = SOURCE[:1].clone()
        changed[0, place] = 0
        assert not torch.allclose(base, decode(model, changed, prefix), atol=1e-4), place


def test_the_latent_decoder_reads_the_latents_and_nothing_else(make_model: MakeModel) -> None:
    """With the latents held fixed, the source and the encoder's states may be anything."""
    model = make_model({"model.kind": "latent"})
    assert isinstance(model, LatentModel)
    latents = model.encode(SOURCE)
    assert latents.states.shape == (4, 3, 16)
    assert latents.mask is None

    class FixedLatents(LatentModel):
        def encode(self, source: Tensor) -> Memory:
            super().encode(source)
            return latents

    prefix = shift_right(TARGET)
    expected = decode(model, SOURCE, prefix)
    model.__class__ = FixedLatents
    other = torch.tensor([write("98*76")] * 4)
    assert torch.equal(decode(model, other, prefix), expected)
    assert torch.equal(greedy_tokens(model, other), greedy_tokens(model, SOURCE))
    # No gradient reaches the encoder around the latents.
    leaves = latents.states.detach().requires_grad_()
    latents = Memory(leaves, None)
    decode(model, SOURCE, prefix).sum().backward()  # type: ignore[no-untyped-call]
    assert leaves.grad is not None
    assert all(parameter.grad is None for parameter in model.encoder.parameters())
    assert all(parameter.grad is None for parameter in model.latent_layer.parameters())


def test_latents_carry_the_problem(make_model: MakeModel) -> None:
    model = make_model({"model.kind": "latent"})
    states = model.encode(SOURCE).states
    assert not torch.allclose(states[0], states[1], atol=1e-3)


def test_more_rounds_compute_more_with_the_same_parameters(make_model: MakeModel) -> None:
    one, three = (make_model({"model.kind": "latent", "model.latent_rounds": rounds}) for rounds in (1, 3))
    assert sum(p.numel() for p in one.parameters()) == sum(p.numel() for p in three.parameters())
    calls = []
    assert isinstance(three, LatentModel)
    three.latent_layer.register_forward_hook(lambda *_: calls.append(1))
    three.encode(SOURCE)
    assert len(calls) == 3


def test_both_kinds_start_equal_where_they_share_weights(make_model: MakeModel) -> None:
    simple, latent = make_model({"model.kind": "simple"}), make_model({"model.kind": "latent"})
    theirs = latent.state_dict()
    assert len(theirs) > len(simple.state_dict())
    for name, tensor in simple.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name


@pytest.mark.parametrize("positions", ["learned", "abacus"])
@pytest.mark.parametrize("kind", KINDS)
def test_padding_after_the_problem_changes_nothing(make_model: MakeModel, kind: str, positions: str) -> None:
    model = make_model({"model.kind": kind, "model.positions": positions})
    short = SOURCE[3:, :3]  # 3*3 without its padding
    torch.testing.assert_close(
        decode(model, SOURCE[3:], shift_right(TARGET[3:])), decode(model, short, shift_right(TARGET[3:]))
    )


def test_zeros_in_an_operand_are_seen(make_model: MakeModel) -> None:
    model = make_model()
    a, b = (torch.tensor([write(text)]) for text in ("10*20", "1*2"))
    assert not torch.allclose(decode(model, a, shift_right(TARGET[:1])), decode(model, b, shift_right(TARGET[:1])))


def test_the_column_head_is_there_only_when_it_is_trained(make_model: MakeModel) -> None:
    without, with_head = make_model(), make_model({"loss.column_sum_weight": 0.1})
    assert without(SOURCE, shift_right(TARGET)).column_sums is None
    assert not any("column" in name for name, _ in without.named_parameters())
    assert with_head(SOURCE, shift_right(TARGET)).column_sums.shape == TARGET.shape
    assert torch.equal(with_head(SOURCE, shift_right(TARGET)).logits, without(SOURCE, shift_right(TARGET)).logits)


# Abacus positions


@pytest.mark.parametrize(
    ("problem", "digits", "operands"),
    [
        ("12*34", [2, 1, 0, 2, 1], [1, 1, 0, 2, 2]),
        ("7*80", [1, 0, 2, 1, 0], [1, 0, 2, 2, 0]),
        ("012*003", [3, 2, 1, 0, 3, 2, 1], [1, 1, 1, 0, 2, 2, 2]),
    ],
)
def test_significance(problem: str, digits: list[int], operands: list[int]) -> None:
    got = significance(torch.tensor([write(problem)]))
    assert got[0].tolist() == [digits]
    assert got[1].tolist() == [operands]


def test_abacus_aligns_columns_of_operands_and_product(make_model: MakeModel) -> None:
    positions = make_model({"model.positions": "abacus"}).positions
    first = positions.source(torch.tensor([write("12*34")]))[0]
    other = positions.source(torch.tensor([write("7*80")]))[0]
    assert torch.equal(first[1], other[0])  # units of the first operand
    assert torch.equal(first[3], other[2])  # tens of the second
    assert isinstance(positions, AbacusPositions)
    operands = positions.operands.weight
    for place in range(2):  # the place that writes the units is aligned with the units of both operands
        column = positions.target(place, place + 1)[0]
        torch.testing.assert_close(first[1 - place], column + operands[1])
        torch.testing.assert_close(first[4 - place], column + operands[2])


def test_abacus_of_a_product_written_forward_has_places_of_its_own(make_model: MakeModel) -> None:
    """Significance would say how many digits are still to come."""
    positions = make_model({"model.positions": "abacus", "data.reverse": False}).positions
    assert isinstance(positions, AbacusPositions)
    assert positions.target_places is not None
    assert torch.equal(positions.target(1, 3), positions.target_places.weight[1:3])


# Greedy decoding


def uncached_greedy(model: SimpleModel, source: Tensor) -> Tensor:
    prefix = torch.full((len(source), 1), BOS)
    for _ in range(model.layout.target_length):
        token = decode(model, source, prefix)[:, -1:].argmax(-1)
        prefix = torch.cat([prefix, token], dim=1)
    return prefix[:, 1:]


@pytest.mark.parametrize("positions", ["learned", "abacus"])
@pytest.mark.parametrize("kind", KINDS)
def test_cached_decoding_is_uncached_decoding(make_model: MakeModel, kind: str, positions: str) -> None:
    source = torch.tensor([write(f"{a}*{b}", 9) for a in range(1, 3000, 171) for b in (7, 20, 305, 9999)])
    for seed in range(3):
        model = make_model({"model.kind": kind, "model.positions": positions, "data.max_digits": 4}, seed=seed)
        tokens = greedy_tokens(model, source)
        assert torch.equal(tokens, uncached_greedy(model, source))
        assert len(set(tokens.flatten().tolist())) > 1
    # and the logits agree, not only which is largest
    caches = model.start(model.encode(source))
    prefix = shift_right(tokens)
    stepped = torch.stack([model.step(prefix[:, place], place, caches) for place in range(9)], dim=1)
    torch.testing.assert_close(stepped, decode(model, source, prefix), atol=1e-5, rtol=1e-4)


def test_answers_stop_at_the_first_eos() -> None:
    tokens = torch.tensor([[1, EOS, 2, EOS, 3], [1, 2, 3, 4, 5], [EOS, 0, 0, 0, 0]])
    assert stop_at_eos(tokens).tolist() == [
        [1, EOS, PAD, PAD, PAD],
        [1, 2, 3, 4, 5],
        [EOS, PAD, PAD, PAD, PAD],
    ]


def test_decoding_draws_nothing_and_leaves_no_gradient(make_model: MakeModel) -> None:
    model = make_model({"model.dropout": 0.5}).train()
    state = torch.get_rng_state()
    prefix = own_prefix(model, SOURCE)
    assert torch.equal(torch.get_rng_state(), state)
    assert not prefix.requires_grad
    assert model.training
    assert model.dropout.training
    assert torch.equal(prefix, shift_right(greedy_tokens(model.eval(), SOURCE)))


def test_own_prefix_keeps_modules_that_were_frozen_in_evaluation_mode(make_model: MakeModel) -> None:
    model = make_model().train()
    model.encoder.eval()
    own_prefix(model, SOURCE)
    assert model.decoder.training
    assert not model.encoder.training


# Gradient checkpointing


def gradients(model: nn.Module, calls: list[str]) -> dict[str, Tensor]:
    for name, layer in model.named_modules():
        if isinstance(layer, EncoderLayer | DecoderLayer | LatentLayer):
            layer.register_forward_pre_hook(lambda *_, name=name: calls.append(name))
    torch.manual_seed(5)
    model.train()(SOURCE, shift_right(TARGET)).logits.square().mean().backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_checkpointing_recomputes_and_gives_the_same_bits(make_model: MakeModel, kind: str) -> None:
    values = {"model.kind": kind, "model.dropout": 0.2, "model.latent_rounds": 2}
    kept_calls: list[str] = []
    recomputed_calls: list[str] = []
    kept = gradients(make_model(values), kept_calls)
    recomputed = gradients(make_model(values | {"train.gradient_checkpointing": True}), recomputed_calls)
    # The thinking part lies inside the latent layer and is called with it.
    assert sorted(recomputed_calls) == sorted(kept_calls * 2)
    assert len(kept_calls) == (4 if kind == "simple" else 8)
    assert kept.keys() == recomputed.keys()
    for name, gradient in kept.items():
        assert torch.equal(gradient, recomputed[name]), name


def test_nothing_is_recomputed_without_gradients(make_model: MakeModel) -> None:
    model = make_model({"train.gradient_checkpointing": True})
    calls: list[int] = []
    model.encoder[0].register_forward_hook(lambda *_: calls.append(1))
    greedy_tokens(model, SOURCE)
    assert calls == [1]
