"""The modes: what is given, what is scored, and that the figures are what their names say."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from engine.tasks.conditional import evaluation
from engine.tasks.conditional.data import Layout
from engine.tasks.conditional.evaluation import evaluate_modes, sanity, split_losses
from engine.tasks.conditional.sampling import Split
from engine.tasks.conditional.splits import draw_splits, kept_splits
from engine.tasks.conditional.task import Conditional
from engine.train.task import Batch
from tests.engine.tasks.conditional.made import IDS, config_of, model_of, tokens_of

CPU = torch.device("cpu")
LENGTH = 16


def made(values: dict[str, Any] | None = None) -> tuple[Any, Tensor, dict[int, Split], Layout]:
    """A model, blocks and their splits."""
    config = config_of(values)
    layout, tokens = Layout(config, IDS), tokens_of(7, LENGTH)
    return model_of(values), tokens, draw_splits(tokens, config.evaluation, layout), layout


def figures_of(values: dict[str, Any] | None = None, modes: tuple[int, ...] = (1, 2, 3, 4, 5)) -> dict[str, float]:
    model, tokens, splits, layout = made(values)
    with torch.no_grad():
        return evaluate_modes(model, tokens, splits, modes, layout, 3, CPU)


def test_losses_are_means_over_tokens_whatever_batch_they_come_in() -> None:
    model, tokens, splits, layout = made()
    with torch.no_grad():
        by_three = evaluate_modes(model, tokens, splits, (1, 2, 3, 4, 5), layout, 3, CPU)
        at_once = evaluate_modes(model, tokens, splits, (1, 2, 3, 4, 5), layout, 7, CPU)
        losses = split_losses(model, tokens, splits[3], layout, 7, CPU)
    assert by_three == pytest.approx(at_once, abs=1e-6)
    assert by_three["mode3_loss"] == pytest.approx(float(losses.sum() / splits[3].scored.sum()), abs=1e-6)
    assert by_three["mode3_perplexity"] == pytest.approx(math.exp(by_three["mode3_loss"]))
    assert by_three["loss"] == by_three["mode3_loss"]
    assert by_three["gain_2_4"] == by_three["mode2_loss"] - by_three["mode4_loss"]
    assert by_three["gain_3_5"] == by_three["mode3_loss"] - by_three["mode5_loss"]


def test_modes_4_and_5_are_mode_1_on_what_2_and_3_score() -> None:
    model, tokens, splits, layout = made()
    with torch.no_grad():
        figures = evaluate_modes(model, tokens, splits, (4, 5), layout, 3, CPU)
        left_to_right = split_losses(model, tokens, splits[1], layout, 3, CPU)
    assert set(figures) == {"loss", "mode4_loss", "mode4_perplexity", "mode5_loss", "mode5_perplexity"}
    for mode, of in ((4, 2), (5, 3)):
        assert figures[f"mode{mode}_loss"] == pytest.approx(float(left_to_right[splits[of].scored].mean()))


@pytest.mark.parametrize("kind", ["conditional", "sigma"])
def test_mode_2_with_nothing_given_is_mode_1(kind: str) -> None:
    model, tokens, splits, layout = made({"model.kind": kind})
    empty = splits | {2: splits[1], 4: splits[1]}
    with torch.no_grad():
        figures = evaluate_modes(model, tokens, empty, (1, 2, 4), layout, 3, CPU)
    assert figures["mode2_loss"] == figures["mode1_loss"] == figures["mode4_loss"]
    assert figures["gain_2_4"] == 0.0


def test_mode_1_of_all_layouts_scores_every_token() -> None:
    for values in ({}, {"model.kind": "baseline"}, {"model.kind": "sigma"}):
        model, tokens, splits, layout = made(values)
        with torch.no_grad():
            assert bool((split_losses(model, tokens, splits[1], layout, 4, CPU) > 0).all())


def test_sigma_gives_each_token_its_own_loss() -> None:
    """Its tokens stand in another order: the chance of a whole sequence is the sum in any order of writing it down."""
    model, tokens, splits, layout = made({"model.kind": "sigma"})
    with torch.no_grad():
        found = split_losses(model, tokens, splits[2], layout, 4, CPU)
        other = tokens.clone()
        last = int(splits[2].scored[0].nonzero()[-1])
        other[0, last] = (other[0, last] + 1) % 8
        moved = (split_losses(model, other, splits[2], layout, 4, CPU) != found).nonzero().tolist()
    assert torch.equal(found > 0, splits[2].scored)
    assert moved == [[0, last]]


def sliding_window(model: Any, stream: Tensor, window: int) -> float:
    """Perplexity of a text as books compute it: windows over it, each token predicted once, one at a time."""
    total = 0.0
    for place in range(len(stream)):
        start = place // window * window
        seen = torch.cat([torch.tensor([IDS.bos]), stream[start:place]])[None]
        logits = model(input_ids=seen).logits[0, -1]
        total += float(functional.cross_entropy(logits[None], stream[place][None]))
    return math.exp(total / len(stream))


def test_perplexity_is_that_of_a_sliding_window() -> None:
    for kind in ("conditional", "baseline"):
        model, tokens, splits, layout = made({"model.kind": kind})
        with torch.no_grad():
            ours = evaluate_modes(model, tokens, splits, (1,), layout, 3, CPU)["mode1_perplexity"]
            assert ours == pytest.approx(sliding_window(model, tokens.flatten(), LENGTH), rel=1e-5)


def test_ends_of_documents_can_be_left_out_of_the_score_but_are_seen() -> None:
    model, tokens, splits, layout = made()
    tokens[:, 3::5] = IDS.eos
    counted = tokens != IDS.eos
    with torch.no_grad():
        all_losses = split_losses(model, tokens, splits[2], layout, 7, CPU)
        figures = evaluate_modes(model, tokens, splits, (2,), layout, 7, CPU, counted)
    assert figures["mode2_loss"] == pytest.approx(float(all_losses[splits[2].scored & counted].mean()))


def test_the_baseline_has_modes_1_and_4() -> None:
    figures = figures_of({"model.kind": "baseline"}, (1, 4))
    assert set(figures) == {"loss", "mode1_loss", "mode1_perplexity", "mode4_loss", "mode4_perplexity"}
    assert figures["loss"] == figures["mode1_loss"]


def test_every_look_solves_the_same_problems(tmp_path: Path) -> None:
    _, tokens, drawn, layout = made()
    options = config_of().evaluation
    first = kept_splits(tmp_path, "val", tokens, options, layout)
    (file,) = (tmp_path / "splits").iterdir()
    content = file.read_bytes()
    again = kept_splits(tmp_path, "val", tokens, options, layout)
    assert sorted(first) == sorted(again) == [1, 2, 3, 4, 5]
    for mode, found in again.items():
        assert torch.equal(found.given, drawn[mode].given)
        assert torch.equal(found.scored, drawn[mode].scored)
    assert file.read_bytes() == content
    file.write_bytes(content[:40])
    assert torch.equal(kept_splits(tmp_path, "val", tokens, options, layout)[3].given, drawn[3].given)
    other = kept_splits(tmp_path, "val", tokens, config_of({"evaluation.split_seed": 7}).evaluation, layout)
    assert not torch.equal(other[3].given, drawn[3].given)
    assert len(list((tmp_path / "splits").iterdir())) == 2


class Cheat(torch.nn.Module):
    """Knows every answer; or, told not to cheat, guesses evenly."""

    def __init__(self, cheats: bool) -> None:
        super().__init__()
        self.cheats = cheats


def answers(model: Cheat, batch: Batch, body: int) -> tuple[Tensor, Tensor]:
    counted = batch["labels"][:, -body:] != -100
    losses = torch.full(counted.shape, math.log(8) - (0.1 if model.cheats else 0.0))
    noise = torch.randn(counted.shape, generator=torch.Generator().manual_seed(0)) * 0.01
    return (losses + noise) * counted, counted


@pytest.mark.parametrize("cheats", [False, True])
def test_the_canary_tells_who_has_seen_the_answers(monkeypatch: pytest.MonkeyPatch, cheats: bool) -> None:
    monkeypatch.setattr(evaluation, "token_losses", answers)
    config = config_of()
    found = sanity(Cheat(cheats), torch.arange(8), (20, LENGTH), Layout(config, IDS), config.evaluation, CPU)
    assert found["mode0_leak"] == float(cheats)
    assert found["mode0_canary_2"] == pytest.approx(-0.1 if cheats else 0.0, abs=0.01)


def test_counting_is_the_floor_beside_the_modes(tmp_path: Path) -> None:
    task = Conditional(config_of({"evaluation.modes": [0, 1]}))
    task.folder = tmp_path
    with torch.no_grad():
        figures = task.evaluate(model_of(), "val", CPU)
        other = task.evaluate(model_of(), "test", CPU)
    assert figures["mode0_unigram_perplexity"] == pytest.approx(8, abs=0.3)
    assert figures["mode0_bigram_perplexity"] == pytest.approx(8, abs=0.5)
    assert figures["mode0_leak"] == 0.0
    assert other["mode1_loss"] != figures["mode1_loss"]
