"""Each loss against a form worked out by hand, by NumPy, or by captum."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from engine.errors import HeatsError
from engine.tasks.confounded import explanations
from engine.tasks.confounded.data import CONFOUNDED, OTHER
from engine.tasks.confounded.losses import lacking, mean_over, raise_multipliers, sample_losses
from engine.tasks.confounded.measures import interventions
from engine.tasks.confounded.model import Network
from engine.tasks.confounded.task import Confounded
from engine.train.loader import IndexLoader
from engine.train.task import Batch, BatchKey, LossTerms, StepContext
from tests.engine.tasks.confounded.trained import tiny

KINDS = ["plain", "balanced", "imbalanced", "lagrangian", "rrr", "rrr_gradcam", "cdep"]
CPU = torch.device("cpu")


def network(seed: int = 0) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(1, 12, (4, 4), 8)


def pictures(count: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(count, 1, 12, 12, generator=generator)
    masks = torch.zeros(count, 1, 12, 12, dtype=torch.bool)
    masks[:, :, 9:12, 9:12] = True
    return images, masks, torch.arange(count) % 2


def step(kind: str, **values: object) -> tuple[Confounded, nn.Module, Batch, LossTerms, StepContext]:
    task = Confounded(tiny({"loss.kind": kind, "data.corrected_per_batch": 4} | values))
    data = task.build_data()
    model = network()
    batch = data.gather(data.sampler.batch(0, 0), BatchKey(0, 0, 0))
    context = StepContext(0, 12, CPU, torch.Generator())
    return task, model, batch, task.loss(model, batch, context), context


def total(terms: LossTerms) -> float:
    return float(sum(weight * value.detach() for weight, value in terms.values()))


def test_the_network_has_the_size_that_is_told() -> None:
    assert sum(p.numel() for p in Network(1, 28, (16, 32), 128).parameters()) == 205_890


def test_imbalanced_is_balanced_at_its_own_lambda_but_for_a_factor() -> None:
    count, corrected = 16, 4
    weight = corrected / (count - corrected)
    _, _, _, mixed, context = step("imbalanced")
    _, _, _, weighed, _ = step("balanced", **{"loss.corrected_weight": weight})
    assert total(mixed) == pytest.approx(total(weighed) * (count - corrected) / count, rel=1e-6)
    assert float(context.figures["train/corrected"]) == pytest.approx(float(weighed["corrected"][1].detach()), rel=1e-6)


def test_balanced_is_the_mean_over_each_part() -> None:
    _, model, batch, terms, _ = step("balanced", **{"loss.corrected_weight": 3.0})
    losses = nn.functional.cross_entropy(model(batch["image"]), batch["label"], reduction="none")
    assert float(terms["confounded"][1].detach()) == pytest.approx(float(losses[:12].mean().detach()), rel=1e-6)
    assert float(terms["corrected"][1].detach()) == pytest.approx(float(losses[12:].mean().detach()), rel=1e-6)
    assert terms["corrected"][0] == 3.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("corrected", [0, 16])
def test_batches_without_one_part_have_finite_losses_and_gradients(kind: str, corrected: int) -> None:
    _, model, _, terms, _ = step(kind, **{"data.corrected_per_batch": corrected})
    loss = torch.stack([weight * value for weight, value in terms.values()]).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert math.isfinite(float(loss.detach()))
    assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_are_finite_in_half_precision_and_for_blank_pictures(kind: str, dtype: torch.dtype) -> None:
    task, model, batch, _, context = step(kind)
    for images in (batch["image"], torch.zeros_like(batch["image"])):
        model.zero_grad()
        with torch.autocast("cpu", dtype=dtype):
            terms = task.loss(model, batch | {"image": images}, context)
        loss = torch.stack([weight * value.float() for weight, value in terms.values()]).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters() if p.grad is not None)


def test_a_mean_over_no_rows_is_zero() -> None:
    values = torch.tensor([1.0, 3.0, 5.0])
    size, none = torch.tensor(3), torch.tensor(0)
    assert float(mean_over(values, torch.tensor([True, False, True]), torch.tensor(2), size)) == 3.0
    assert float(mean_over(values, torch.zeros(3, dtype=torch.bool), none, size)) == 0.0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "lagrangian"])
@pytest.mark.parametrize("corrected", [3, 4])
def test_processes_that_share_a_batch_take_the_step_that_one_alone_would(kind: str, corrected: int) -> None:
    task = Confounded(tiny({"loss.kind": kind, "data.corrected_per_batch": corrected, "loss.explained": "all"}))
    data = task.build_data()

    def gradient(rank: int, size: int) -> Tensor:
        model = network()
        options = task.config
        batch = IndexLoader(data, options.train.batch_size, options.seed, options.data, rank, size).one_batch(0)
        terms = task.loss(model, batch, StepContext(0, 12, CPU, torch.Generator()))
        torch.stack([weight * value for weight, value in terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    together = torch.stack([gradient(rank, 2) for rank in range(2)]).mean(0)
    assert torch.allclose(together, gradient(0, 1), rtol=1e-4, atol=1e-6)


def test_each_process_has_some_of_the_corrected_samples() -> None:
    data = Confounded(tiny({"loss.kind": "balanced", "data.corrected_per_batch": 4})).build_data()
    shares = [IndexLoader(data, 16, 0, tiny({}).data, rank, 2).one_batch(0) for rank in range(2)]
    assert [int(share["corrected"].sum()) for share in shares] == [2, 2]
    assert sorted(torch.cat([share["member"] for share in shares]).tolist()) == sorted(
        IndexLoader(data, 16, 0, tiny({}).data).one_batch(0)["member"].tolist()
    )


def test_multipliers_of_several_processes_are_refused_before_anything_is_made() -> None:
    with pytest.raises(HeatsError, match="lagrangian keeps a multiplier"):
        tiny({"loss.kind": "lagrangian", "parallel.procs": 2})


def test_a_constraint_is_met_exactly_where_the_confidence_is_reached() -> None:
    probabilities = torch.tensor([0.2, 0.949, 0.951, 1.0])
    logits = torch.stack([torch.zeros(4), torch.logit(probabilities, eps=1e-6)], 1)
    gaps = lacking(sample_losses(logits, torch.ones(4, dtype=torch.int64)), 0.95)
    assert (gaps > 0).tolist() == [True, True, False, False]
    assert float(gaps[0]) == pytest.approx(math.log(0.95 / 0.2), rel=1e-5)


def test_multipliers_rise_by_what_is_lacking_fall_when_it_is_met_and_stay_in_bounds() -> None:
    before = torch.tensor([1.0, 1.0, 0.01, 9.99])
    members, gaps = torch.tensor([0, 0, 2, 3]), torch.tensor([0.5, 0.5, -3.0, 5.0])
    after = raise_multipliers(before, members, gaps, rate=0.1, largest=10.0)
    assert after.tolist() == pytest.approx([1.1, 1.0, 0.0, 10.0])
    broken = raise_multipliers(before, members, torch.full((4,), math.nan), rate=0.1, largest=10.0)
    assert torch.equal(broken, before)


def test_the_lagrangian_weighs_each_sample_by_its_own_multiplier_and_then_moves_it() -> None:
    task = Confounded(tiny({"loss.kind": "lagrangian"}))
    data, model = task.build_data(), network()
    task.multipliers = torch.linspace(0.0, 1.8, 10)
    before = task.multipliers.clone()
    batch = data.gather(data.sampler.batch(0, 0), BatchKey(0, 0, 0))
    context = StepContext(0, 12, CPU, torch.Generator())
    terms = task.loss(model, batch, context)
    members = batch["member"][batch["corrected"]]
    losses = nn.functional.cross_entropy(model(batch["image"]), batch["label"], reduction="none")[batch["corrected"]]
    gaps = losses.detach() + math.log(0.95)
    assert float(terms["constraint"][1]) == pytest.approx(float((before[members] * gaps).mean()), rel=1e-5)
    expected = before.clone()
    for member, gap in zip(members.tolist(), gaps.tolist(), strict=True):
        expected[member] += 0.1 * gap
    assert task.multipliers.tolist() == pytest.approx(expected.clamp(min=0).tolist(), rel=1e-5)
    assert float(context.figures["train/multiplier_max"]) == pytest.approx(float(task.multipliers.max()))


def test_the_penalty_of_right_reasons_is_that_of_finite_differences() -> None:
    model = network().double()
    images, masks, _ = pictures(3)
    images = images.double()
    found = explanations.gradient_penalty(model, images, masks)

    def summed(pixels: Tensor) -> Tensor:
        return nn.functional.log_softmax(model(pixels), dim=1).sum(dim=1)

    expected = torch.zeros(3, dtype=torch.float64)
    with torch.no_grad():
        for row in range(9, 12):
            for column in range(9, 12):
                up, down = images.clone(), images.clone()
                up[:, :, row, column] += 1e-6
                down[:, :, row, column] -= 1e-6
                expected += ((summed(up) - summed(down)) / 2e-6).square()
    assert torch.allclose(found.detach(), expected, rtol=1e-4)


def test_our_gradcam_is_captums() -> None:
    from captum.attr import LayerGradCam

    model = network()
    images, _, labels = pictures()

    class Maps(nn.Module):
        """The network with its rectified maps as a module's output, where captum can hook them."""

        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.Identity()

        def forward(self, pixels: Tensor) -> Tensor:
            return model.classify(self.maps(model.maps(pixels)))

    wrapped = Maps()
    theirs = LayerGradCam(wrapped, wrapped.maps).attribute(images, labels, relu_attributions=True)
    ours = explanations.gradcam(model, images, labels)
    assert torch.allclose(ours, theirs.squeeze(1), atol=1e-6)


def test_what_comes_from_inside_and_outside_adds_up_to_the_logits() -> None:
    model = network()
    images, masks, _ = pictures()
    inside, outside = explanations.decompose(model, images, masks)
    assert torch.allclose(inside + outside, model(images), atol=1e-5)
    nothing, _ = explanations.decompose(model, images, torch.zeros_like(masks))
    assert torch.allclose(explanations.contribution_penalty(model, images, torch.zeros_like(masks)), torch.zeros(6))
    assert float(nothing.abs().max()) < 1e-5
    everything, rest = explanations.decompose(model, images, torch.ones_like(masks))
    assert torch.allclose(everything, model(images), atol=1e-3)
    assert float(rest.abs().max()) < 1e-3


@pytest.mark.parametrize("kind", ["rrr", "rrr_gradcam", "cdep"])
def test_descending_a_penalty_makes_the_model_indifferent_to_the_dot(kind: str) -> None:
    model = network()
    images, masks, labels = pictures()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)

    def penalty() -> Tensor:
        if kind == "rrr":
            return explanations.gradient_penalty(model, images, masks).mean()
        if kind == "rrr_gradcam":
            return explanations.gradcam_penalty(model, images, labels, masks).mean()
        return explanations.contribution_penalty(model, images, masks).mean()

    before = float(penalty())
    for _ in range(30):
        optimizer.zero_grad()
        penalty().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(penalty()) < 0.3 * before


def test_interventions_by_hand() -> None:
    # Four of the other class, of which two turn over at the dot and one is wrong anyway; four confounded ones, of which
    # three need the dot.
    labels = torch.tensor([OTHER] * 4 + [CONFOUNDED] * 4)
    clean = torch.tensor([0.1, 0.2, 0.3, 0.8, 0.9, 0.4, 0.3, 0.2])
    dotted = torch.tensor([0.2, 0.7, 0.9, 0.9, 0.95, 0.9, 0.9, 0.8])
    logits = [torch.stack([(1 - p).log(), p.log()], 1) for p in (clean, dotted)]
    found = interventions(logits[0], logits[1], labels)
    assert found["accuracy"] == pytest.approx(4 / 8)
    assert found["accuracy_other"] == pytest.approx(3 / 4)
    assert found["accuracy_other_dot"] == pytest.approx(1 / 4)
    assert found["accuracy_confounded"] == pytest.approx(1 / 4)
    assert found["accuracy_confounded_dot"] == 1.0
    assert found["worst_group"] == pytest.approx(1 / 4)
    assert found["dot_flip"] == pytest.approx(2 / 4)
    assert found["shift_added"] == pytest.approx((0.1 + 0.5 + 0.6 + 0.1) / 4)
    assert found["shift_removed"] == pytest.approx((0.05 + 0.5 + 0.6 + 0.6) / 4)
    assert found["confounded_accuracy"] == pytest.approx(7 / 8)
    assert found["reliance_gap"] == pytest.approx(3 / 8)
