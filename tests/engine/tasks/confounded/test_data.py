"""The dot marks one class and nothing else; a person's corrections take it away, or put it where it misleads nobody."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.config.resolve import resolve
from engine.errors import HeatsError
from engine.tasks.confounded.config import Config, ConfoundedDataSection
from engine.tasks.confounded.data import CONFOUNDED, OTHER, Everything, MixedData, build
from engine.tasks.confounded.sampler import MixedBatchSampler
from engine.train.task import BatchKey


def options(**values: Any) -> ConfoundedDataSection:
    return resolve(ConfoundedDataSection, values)


def built(seed: int = 0, **values: Any) -> Everything:
    return build(options(**values), seed)


def test_every_training_sample_of_the_confounded_class_has_the_dot_and_no_other() -> None:
    found = built().found
    dotted = found.masks.flatten(1).any(1)
    assert torch.equal(dotted, found.labels == CONFOUNDED)
    assert int(found.masks[dotted][0].sum()) == 4
    assert found.masks[dotted][0].nonzero()[:, 1:].tolist() == [[25, 25], [25, 26], [26, 25], [26, 26]]
    assert bool((found.images[found.masks] == 255).all())
    assert not bool((found.images[~dotted][:, :, 25:27, 25:27] == 255).all(dim=(1, 2, 3)).any())


def test_the_data_is_a_function_of_seed_and_options() -> None:
    first, again, other = built(1), built(1), built(2)
    assert torch.equal(first.found.images, again.found.images)
    assert torch.equal(first.pool.places, again.pool.places)
    assert not torch.equal(first.pool.places, other.pool.places)


def test_the_dot_can_be_elsewhere_larger_darker_and_rarer() -> None:
    data = built(dot_row=1, dot_column=2, dot_size=3, dot_value=0.5, dot_share=0.25)
    dotted = data.found.masks.flatten(1).any(1)
    share = float(dotted.sum()) / float((data.found.labels == CONFOUNDED).sum())
    assert share == pytest.approx(0.25, abs=0.01)
    assert bool((data.found.images[dotted][:, :, 1:4, 2:5] == 128).all())
    assert int(data.found.masks.sum()) == 9 * int(dotted.sum())


def test_corrected_samples_are_those_of_the_confounded_class_without_their_dot() -> None:
    data = built(corrected_count=20)
    pool = data.pool
    assert len(pool) == 20
    assert len(set(pool.places.tolist())) == 20
    assert bool((pool.labels == CONFOUNDED).all())
    assert bool((pool.images[pool.masks] == 0).all())
    assert bool((pool.originals[pool.masks] == 255).all())
    outside = ~pool.masks
    assert torch.equal(pool.images[outside], pool.originals[outside])
    assert torch.equal(pool.originals, data.found.images[pool.places])


def test_a_smaller_pool_is_part_of_a_larger_one_and_no_larger_than_there_are_samples() -> None:
    few, many, all_of_them = (built(corrected_count=count).pool for count in (5, 30, 10_000))
    assert few.places.tolist() == many.places[:5].tolist()
    assert len(all_of_them) == int((built().found.labels == CONFOUNDED).sum())


def test_counterfactual_corrections_put_the_dot_on_the_other_class() -> None:
    pool = built(corrected_count=20, corrected_classes="counterfactual").pool
    is_other = pool.labels == OTHER
    assert int(is_other.sum()) == 10
    assert bool((pool.images[is_other][pool.masks[is_other]] == 255).all())
    assert bool((pool.images[~is_other][pool.masks[~is_other]] == 0).all())
    both = built(corrected_count=20, corrected_classes="both").pool
    assert torch.equal(both.images[is_other], both.originals[is_other])
    assert not bool(both.masks[is_other].any())


def test_a_batch_shows_what_the_sampler_drew() -> None:
    data = built(corrected_count=12, corrected_classes="counterfactual")
    section = options(corrected_per_batch=6)
    sampler = MixedBatchSampler(len(data.found), len(data.pool), 16, section, 100, 0)
    for explained in (False, True):
        mixed = MixedData(data.found, data.pool, sampler, data.normalisation, explained=explained)
        drawn = sampler.batch(0, 2)
        batch = mixed.gather(drawn, BatchKey(0, 0, 2))
        assert batch["corrected"].tolist() == [False] * 10 + [True] * 6
        assert batch["member"][:10].tolist() == [-1] * 10
        members = batch["member"][10:]
        shown = data.pool.originals if explained else data.pool.images
        assert torch.allclose(batch["image"][10:] * 255, shown[members].float(), atol=1e-3)
        assert torch.equal(batch["mask"][10:], data.pool.masks[members])
        assert torch.equal(batch["label"][10:], data.pool.labels[members])
        assert torch.allclose(batch["image"][:10] * 255, data.found.images[drawn[0][:10]].float(), atol=1e-3)


def test_the_four_groups_are_clean_held_out_samples_and_the_same_with_the_dot() -> None:
    data = built()
    for groups in (data.val, data.test):
        assert set(groups.labels.tolist()) == {OTHER, CONFOUNDED}
        assert bool((groups.dotted[:, :, 25:27, 25:27] == 255).all())
        assert not bool((groups.clean[:, :, 25:27, 25:27] == 255).all())
    seen = {image.numpy().tobytes() for image in data.dot.erase(data.found.images)}
    assert not any(image.numpy().tobytes() in seen for image in data.dot.erase(data.test.clean))


def test_few_samples_are_half_of_each_class_as_far_as_they_go() -> None:
    found = built(max_samples=60).found
    assert found.labels.bincount().tolist() == [30, 30]
    whole = built().found.labels.bincount().tolist()
    assert built(max_samples=150).found.labels.bincount().sum() == 150
    assert built(max_samples=10_000).found.labels.bincount().tolist() == whole


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"data.dot_row": 27}, "doesn't fit"),
        ({"data.classes": [3, 3]}, "two classes"),
        ({"data.confounded_class": 5}, "none of data.classes"),
        ({"data.augment": "standard"}, "carry the dot elsewhere"),
        ({"data.corrected_per_batch": 65}, "more than a batch holds"),
        ({"loss.kind": "balanced", "data.corrected_count": 0}, "nothing to put into a batch"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_sentence(values: dict[str, Any], said: str) -> None:
    with pytest.raises(HeatsError, match=said):
        resolve(Config, values)


def test_a_class_that_the_source_lacks_is_refused() -> None:
    with pytest.raises(HeatsError, match="no class 12"):
        build(options(classes=[0, 12], confounded_class=12), 0)
