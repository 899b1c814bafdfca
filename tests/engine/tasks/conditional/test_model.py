"""What the model may know of what, and that attention, positions and kinds are what they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.errors import HeatsError
from engine.tasks.conditional.layout import Ids, augment, plain, shuffled
from engine.tasks.conditional.model import body_logits, token_losses
from engine.tasks.conditional.sampling import Split, SplitRules
from engine.tasks.text.models import gpt2_config, new_model
from engine.train.task import Batch
from tests.engine.tasks.conditional.made import IDS, model_of, split_of, tokens_of

LENGTH = 20


def written(tokens: Tensor, found: Split, *, sealed: bool = True) -> Batch:
    return augment(tokens, torch.ones_like(tokens, dtype=torch.bool), found, IDS, sealed=sealed)


def nothing_given(tokens: Tensor) -> Split:
    nothing = torch.zeros_like(tokens, dtype=torch.bool)
    return Split(nothing, ~nothing)


def influence(model: Any, tokens: Tensor, found: Split, *, sealed: bool) -> tuple[float, float]:
    """How far logits up to the last scored token move, and how far what is said after it, when that token changes."""
    place = int(found.scored[0].nonzero()[-2])
    other = tokens.clone()
    other[0, place] = (other[0, place] + 1) % 8
    with torch.no_grad():
        logits = [body_logits(model, written(each, found, sealed=sealed), LENGTH)[0] for each in (tokens, other)]
    moved = (logits[0] - logits[1]).abs()
    return float(moved[: place + 1].max()), float(moved[place + 1 :].max())


@pytest.mark.parametrize("position", ["learned", "rope"])
def test_a_scored_token_moves_no_earlier_logit_unless_the_mask_leaks(position: str) -> None:
    model = model_of({"model.position": position})
    tokens = tokens_of(1, LENGTH)
    found = split_of(tokens, SplitRules(0.4, 0.4))
    before, behind = influence(model, tokens, found, sealed=True)
    assert before == 0.0
    assert behind > 1e-5
    assert influence(model, tokens, found, sealed=False)[0] > 1e-5


def test_a_leak_needs_a_prefix_and_two_layers() -> None:
    model = model_of()
    tokens = tokens_of(1, LENGTH)
    assert influence(model, tokens, nothing_given(tokens), sealed=False)[0] == 0.0
    del model.transformer.h[1:]
    assert influence(model, tokens, split_of(tokens, SplitRules(0.4, 0.4)), sealed=False)[0] == 0.0


def test_what_is_given_is_known_also_to_the_left_of_it() -> None:
    model = model_of()
    tokens = tokens_of(1, LENGTH)
    given = torch.arange(LENGTH)[None] == LENGTH - 1
    other = tokens.clone()
    other[0, -1] = (other[0, -1] + 1) % 8
    with torch.no_grad():
        first, second = (body_logits(model, written(each, Split(given, ~given)), LENGTH) for each in (tokens, other))
    assert float((first[0, 0] - second[0, 0]).abs().max()) > 1e-5


def test_what_is_neither_given_nor_scored_is_unknown() -> None:
    model = model_of()
    tokens = tokens_of(1, LENGTH)
    scored = torch.arange(LENGTH)[None] >= LENGTH // 2
    other = tokens.clone()
    other[0, : LENGTH // 2] = (other[0, : LENGTH // 2] + 1) % 8
    found = Split(torch.zeros_like(scored), scored)
    assert torch.equal(*(body_logits(model, written(each, found), LENGTH) for each in (tokens, other)))


@pytest.mark.parametrize("position", ["learned", "rope"])
def test_without_anything_given_it_is_plain_left_to_right(position: str) -> None:
    model = model_of({"model.position": position})
    tokens = tokens_of(3, LENGTH)
    layouts = written(tokens, nothing_given(tokens)), plain(tokens, IDS)
    torch.testing.assert_close(*(body_logits(model, each, LENGTH) for each in layouts), rtol=0, atol=1e-6)


def test_a_sequence_is_answered_alike_alone_and_among_others() -> None:
    """Padding of shorter prefixes is seen by nobody."""
    model = model_of()
    tokens = tokens_of(4, LENGTH)
    found = split_of(tokens, SplitRules(0.0, 0.8))
    together = body_logits(model, written(tokens, found), LENGTH)
    for row in range(4):
        part = slice(row, row + 1)
        alone = body_logits(model, written(tokens[part], Split(found.given[part], found.scored[part])), LENGTH)
        torch.testing.assert_close(together[part], alone, rtol=0, atol=1e-6)


@torch.no_grad()
def test_the_order_of_the_prefix_says_nothing_its_positions_do() -> None:
    model = model_of()
    tokens = tokens_of(1, LENGTH)
    batch = written(tokens, split_of(tokens, SplitRules(0.4, 0.4)))
    turned = {name: tensor.clone() for name, tensor in batch.items()}
    for name in ("input_ids", "position_ids"):
        turned[name][:, :8] = turned[name][:, :8].flip(1)
    first, second = (body_logits(model, each, LENGTH) for each in (batch, turned))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-6)
    turned["position_ids"][:, :8] = batch["position_ids"][:, :8]
    assert float((body_logits(model, turned, LENGTH) - first).abs().max()) > 1e-4


@torch.no_grad()
def test_rotated_positions_count_only_by_their_differences() -> None:
    tokens = tokens_of(2, LENGTH)
    batch = written(tokens, split_of(tokens))
    moved = batch | {"position_ids": batch["position_ids"] + 7}
    rope, learned = model_of({"model.position": "rope"}), model_of()
    torch.testing.assert_close(*(body_logits(rope, each, LENGTH) for each in (batch, moved)), rtol=0, atol=1e-5)
    assert float((body_logits(learned, batch, LENGTH) - body_logits(learned, moved, LENGTH)).abs().max()) > 1e-4
    swapped = batch | {"position_ids": batch["position_ids"].flip(1)}
    assert float((body_logits(rope, batch, LENGTH) - body_logits(rope, swapped, LENGTH)).abs().max()) > 1e-4
    assert "transformer.wpe.weight" not in dict(rope.named_parameters())


@pytest.mark.parametrize("position", ["learned", "rope"])
def test_sigma_uses_where_the_next_token_stands(position: str) -> None:
    model = model_of({"model.kind": "sigma", "model.position": position})
    tokens = tokens_of(2, LENGTH)
    batch = shuffled(tokens, split_of(tokens), IDS, None)
    asked = batch | {"next_position_ids": batch["next_position_ids"].flip(1)}
    first, second = (body_logits(model, each, LENGTH) for each in (batch, asked))
    assert float((first - second).abs().max()) > 1e-4
    losses, counted = token_losses(model, batch, LENGTH)
    assert torch.equal(counted, batch["labels"][:, 1:] != -100)
    assert bool((losses[counted] > 0).all())
    assert bool((losses[~counted] == 0).all())


def test_losses_are_those_of_the_library() -> None:
    """Its own shifted loss on the same labels, token by token."""
    model = model_of()
    tokens = tokens_of(3, LENGTH)
    batch = written(tokens, split_of(tokens))
    losses, counted = token_losses(model, batch, LENGTH)
    theirs = model(**batch).loss
    torch.testing.assert_close(losses.sum() / counted.sum(), theirs)


def test_flex_attention_is_refused_where_it_cannot_train() -> None:
    model = model_of()
    model.flex = "flex"
    tokens = tokens_of(2, LENGTH)
    with pytest.raises(HeatsError, match=r"model\.attention: FlexAttention can't train on a CPU"):
        body_logits(model, written(tokens, split_of(tokens)), LENGTH)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_answers_alike() -> None:
    model = model_of({"model.position": "rope"})
    tokens = tokens_of(2, LENGTH)
    batch = written(tokens, split_of(tokens))
    with torch.no_grad():
        plain_one = body_logits(model, batch, LENGTH)
        model.flex = "flex"
        torch.testing.assert_close(body_logits(model, batch, LENGTH), plain_one, rtol=0, atol=1e-5)


def test_detaching_changes_no_gradient() -> None:
    tokens = tokens_of(3, LENGTH)
    batch = written(tokens, split_of(tokens))
    gradients = []
    for each in (batch, {name: tensor.detach() for name, tensor in batch.items()}):
        model = model_of()
        token_losses(model, each, LENGTH)[0].sum().backward()  # type: ignore[no-untyped-call]
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert all(map(torch.equal, *gradients))


def test_gradient_checkpointing_recomputes_and_changes_nothing() -> None:
    tokens = tokens_of(3, LENGTH)
    batch = written(tokens, split_of(tokens))
    calls, gradients = [], []
    for on in (False, True):
        model = model_of({"train.gradient_checkpointing": on}).train()
        counted: list[int] = []
        model.transformer.h[0].mlp.c_fc.register_forward_hook(lambda *_, seen=counted: seen.append(1))
        token_losses(model, batch, LENGTH)[0].sum().backward()  # type: ignore[no-untyped-call]
        gradients.append([parameter.grad for parameter in model.parameters()])
        calls.append(len(counted))
    assert calls == [1, 2]
    assert all(map(torch.equal, *gradients))


def test_the_activation_is_gpt_2s_own() -> None:
    from transformers.activations import NewGELUActivation

    values = torch.linspace(-6, 6, 1001)
    ours = model_of().transformer.h[0].mlp.act(values)
    torch.testing.assert_close(ours, NewGELUActivation()(values), rtol=1e-6, atol=1e-6)


def test_it_starts_from_pretrained_weights(tmp_path: Path) -> None:
    """A folder that `transformers` wrote, with a table that lacks our special tokens."""
    tokenizer: Any = Ids(8, 9, 10, 11, 9)
    source = new_model(gpt2_config("nano", tokenizer))
    source.save_pretrained(tmp_path)
    model = model_of({"model.pretrained": str(tmp_path), "model.config": "small"})
    table = model.transformer.wte.weight
    assert (len(table), model.config.n_layer) == (IDS.vocabulary, 2)
    assert torch.equal(table[:9], source.transformer.wte.weight)
    assert torch.equal(model.transformer.h[1].mlp.c_fc.weight, source.transformer.h[1].mlp.c_fc.weight)
    assert model.lm_head.weight is table
    tokens = tokens_of(2, LENGTH)
    assert bool((token_losses(model, written(tokens, split_of(tokens)), LENGTH)[0] >= 0).all())
    new_model(gpt2_config("nano", tokenizer, positions=12)).save_pretrained(tmp_path / "short")
    with pytest.raises(HeatsError, match="a block of 12 tokens and BOS are more than the 12 positions"):
        model_of({"model.pretrained": str(tmp_path / "short")})
    assert model_of({"model.pretrained": str(tmp_path / "short"), "model.position": "rope"}) is not None
    with pytest.raises(HeatsError, match=r"model\.pretrained: the pretrained model `nowhere` is not"):
        model_of({"model.pretrained": "nowhere"})
