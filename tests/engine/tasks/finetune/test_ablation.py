"""Each ablation does what its name says, under SDPA and eager attention, and leaves no trace."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.errors import HeatsError
from engine.tasks.finetune.ablation import Ablation, ablate, attention_means
from engine.tasks.finetune.config import ABLATIONS, AblationName
from engine.tasks.finetune.hooks import Hooks
from tests.engine.tasks.finetune.made import HEADS, LAYERS, WIDTH, ids, tiny_model

KINDS = ("sdpa", "eager")
SIZE = WIDTH // HEADS


def _within(model: Any, place: str, given: Tensor, ablation: Ablation, *, output: bool = True) -> Tensor:
    """What comes out of a module, or goes into it, while a model is ablated."""
    found: list[Tensor] = []

    def keep(*seen: Any) -> None:
        found.append(seen[-1][0] if isinstance(seen[-1], tuple) else seen[-1])

    with ablate(model, ablation, attention_means(model, Ablation("mean"), [given])) as hooks:
        (hooks.after if output else hooks.before)(place, keep, changes=False)
        model(given)
    return found[0]


def _reaches(model: Any, given: Tensor, ablation: Ablation, means: Any = None) -> list[bool]:
    """For each position, whether another token there changes what is predicted at a later one."""
    with torch.no_grad(), ablate(model, ablation, means):
        before = model(given).logits
        found = []
        for place in range(given.shape[1] - 1):
            other = given.clone()
            other[:, place] = (other[:, place] + 1) % 61
            found.append(not torch.equal(model(other).logits[:, place + 1 :], before[:, place + 1 :]))
    return found


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("kind", ABLATIONS)
@pytest.mark.parametrize("heads", [(), (1, 2)])
def test_shapes_stay_and_the_model_is_as_it_was_afterwards(
    attention: str, kind: AblationName, heads: tuple[int, ...]
) -> None:
    model, given = tiny_model(attention), ids()
    plain = model(given).logits
    ablation = Ablation(kind, (0, 2), heads)
    with ablate(model, ablation, attention_means(model, Ablation("mean", (), heads), [given])):
        changed = model(given).logits
    assert changed.shape == plain.shape
    assert not torch.equal(changed, plain)
    assert torch.equal(model(given).logits, plain)


@pytest.mark.parametrize("attention", KINDS)
def test_delete_leaves_residual_and_mlp_and_nothing_passes_between_positions(attention: str) -> None:
    model, given = tiny_model(attention), ids()
    with ablate(model, Ablation("delete")):
        logits = model(given).logits
    core = model.transformer
    hidden = core.wte(given) + core.wpe(torch.arange(given.shape[1]))
    for block in core.h:
        hidden = hidden + block.mlp(block.ln_2(hidden))
    assert torch.allclose(logits, model.lm_head(core.ln_f(hidden)), atol=1e-5)
    assert not any(_reaches(model, given, Ablation("delete")))
    assert all(_reaches(model, given, Ablation("none")))
    model.train()
    with ablate(model, Ablation("delete")):
        model(given).logits.square().mean().backward()
    assert all(block.attn.c_attn.weight.grad is None for block in core.h)
    assert all(block.attn.c_proj.weight.grad is None for block in core.h)
    assert all(block.mlp.c_fc.weight.grad is not None for block in core.h)


@pytest.mark.parametrize("attention", KINDS)
def test_uniform_is_the_cumulative_mean_of_the_values_and_they_train(attention: str) -> None:
    model, given = tiny_model(attention), ids()
    ablation = Ablation("uniform")
    mixed = _within(model, "transformer.h.0.attn.c_proj", given, ablation, output=False)
    values = _within(model, "transformer.h.0.attn.c_attn", given, Ablation("none"))[..., 2 * WIDTH :]
    expected = values.cumsum(1) / torch.arange(1, given.shape[1] + 1).view(1, -1, 1)
    assert torch.allclose(mixed, expected, atol=1e-5)
    model.train()
    with ablate(model, ablation):
        model(given).logits.square().mean().backward()
    gradient = model.transformer.h[0].attn.c_attn.weight.grad
    assert (gradient[:, : 2 * WIDTH] == 0).all(), "neither queries nor keys matter"
    assert (gradient[:, 2 * WIDTH :] != 0).any()


@pytest.mark.parametrize("attention", KINDS)
def test_self_only_is_attention_under_a_diagonal_mask(attention: str) -> None:
    model, given = tiny_model(attention), ids()
    with ablate(model, Ablation("self_only")):
        logits = model(given).logits
    diagonal = torch.eye(given.shape[1], dtype=torch.bool).expand(len(given), 1, -1, -1)
    mask = torch.zeros(diagonal.shape).masked_fill(~diagonal, torch.finfo(torch.float32).min)
    assert torch.allclose(logits, model(given, attention_mask=mask).logits, atol=1e-5)
    assert not any(_reaches(model, given, Ablation("self_only")))


@pytest.mark.parametrize("attention", KINDS)
def test_mean_gives_every_position_the_mean_output(attention: str) -> None:
    model, given = tiny_model(attention), ids()
    outputs = {layer: _within(model, f"transformer.h.{layer}.attn", given, Ablation("none")) for layer in range(LAYERS)}
    means = attention_means(model, Ablation("mean"), [given[:1], given[1:]])
    for layer, output in outputs.items():
        assert torch.allclose(means[layer], output.flatten(0, 1).mean(0), atol=1e-5)
    replaced = _within(model, "transformer.h.1.attn", given, Ablation("mean", (1,)))
    assert torch.allclose(replaced, means[1].expand_as(replaced))
    assert not any(_reaches(model, given, Ablation("mean"), means))


@pytest.mark.parametrize("kind", ABLATIONS)
def test_of_chosen_heads_only_these_are_taken_and_only_in_the_chosen_layers(kind: AblationName) -> None:
    model, given = tiny_model(), ids()
    means = attention_means(model, Ablation("mean", (), (2,)), [given])
    place = "transformer.h.{}.attn.c_proj"

    def heads_of(layer: int, ablation: Ablation) -> Tensor:
        found: list[Tensor] = []
        with ablate(model, ablation, means) as hooks:
            hooks.before(place.format(layer), lambda module, inputs: found.append(inputs[0]), changes=False)
            model(given)
        return found[0].view(*found[0].shape[:-1], HEADS, SIZE)

    plain, other = (heads_of(1, item) for item in (Ablation("none"), Ablation(kind, (1,), (2,))))
    same = [bool(torch.allclose(plain[:, :, head], other[:, :, head], atol=1e-6)) for head in range(HEADS)]
    assert same == [True, True, False, True]
    earlier = [heads_of(0, item) for item in (Ablation("none"), Ablation(kind, (1,), (2,)))]
    assert torch.equal(*earlier)
    if kind == "delete":
        assert (other[:, :, 2] == 0).all()
    if kind == "mean":
        assert torch.allclose(other[:, :, 2], means[1].view(HEADS, SIZE)[2].expand_as(other[:, :, 2]))


@pytest.mark.parametrize("kind", ABLATIONS)
@pytest.mark.parametrize("heads", [(), (1,)])
def test_they_work_in_bf16_with_gradients(kind: AblationName, heads: tuple[int, ...]) -> None:
    model, given = tiny_model(dropout=0.1).train(), ids()
    ablation = Ablation(kind, (), heads)
    means = {layer: torch.full((WIDTH,), 0.5) for layer in range(LAYERS)}
    with torch.autocast("cpu", dtype=torch.bfloat16), ablate(model, ablation, means):
        loss = model(given).logits.float().square().mean()
    loss.backward()
    found = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in found)
    assert model.transformer.h[2].mlp.c_fc.weight.grad is not None


def test_a_layer_or_head_that_is_not_there_is_one_clear_sentence() -> None:
    with pytest.raises(HeatsError, match="there is no layer 3: the model has 3, counted from 0"):
        ablate(tiny_model(), Ablation("delete", (0, 3)))
    with pytest.raises(HeatsError, match="there is no head 4"):
        ablate(tiny_model(), Ablation("delete", (), (4,)))


def test_an_error_in_the_block_leaves_no_hook() -> None:
    model, given = tiny_model(), ids()
    plain = model(given).logits
    with pytest.raises(RuntimeError, match="broken"), ablate(model, Ablation("uniform")):
        raise RuntimeError("broken")
    assert torch.equal(model(given).logits, plain)
    with Hooks(model) as hooks:
        hooks.after("transformer.h.0.attn", lambda *_: None)
    assert not model.transformer.h[0].attn._forward_hooks
