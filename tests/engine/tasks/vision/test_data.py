"""Three sets that share no sample, and batches that depend on seed, epoch and index alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.config.sections import DataSection
from engine.tasks.vision.augment import crop_and_flip, resized_crop
from engine.tasks.vision.config import VisionDataSection
from engine.tasks.vision.data import ImageData, Normalisation, cut_by_class, load_splits
from engine.tasks.vision.sources import load_images
from engine.train.loader import IndexLoader
from engine.train.task import Batch, BatchKey

DIGITS = VisionDataSection(validation_fraction=0.25)


def rows(images: Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_train_validation_and_test_share_no_sample_and_validation_follows_the_seed() -> None:
    first, again, other = (load_splits(DIGITS, seed) for seed in (0, 0, 1))
    assert len(first.train) + len(first.val) == 1198
    assert torch.equal(first.val.images, again.val.images)
    assert rows(first.val.images) != rows(other.val.images)
    assert torch.equal(first.test.images, other.test.images)
    for one, two in ((first.train, first.val), (first.train, first.test), (first.val, first.test)):
        assert not rows(one.images) & rows(two.images)
    shares = first.val.labels.bincount() / (first.val.labels.bincount() + first.train.labels.bincount())
    assert float(shares.min()) == pytest.approx(0.25, abs=0.01)


def test_few_labels_leave_validation_and_test_as_they_are() -> None:
    whole, few = load_splits(DIGITS, 3), load_splits(DIGITS.model_copy(update={"train_fraction": 0.05}), 3)
    assert torch.equal(whole.val.images, few.val.images)
    assert torch.equal(whole.test.images, few.test.images)
    assert rows(few.train.images) <= rows(whole.train.images)
    counts = few.train.labels.bincount()
    assert int(counts.min()) >= 4
    assert int(counts.max()) <= 5


def test_every_class_keeps_a_sample_however_small_the_share() -> None:
    digits = load_images("digits", "", "test")
    tiny, _ = cut_by_class(digits, 1e-6, 0)
    assert tiny.labels.tolist().count(7) == 1
    assert len(tiny) == 10


def test_normalised_pictures_have_mean_0_and_deviation_1_and_come_back() -> None:
    images = load_images("digits", "", "train").images.expand(-1, 3, -1, -1)
    normalisation = Normalisation.of(images)
    shown = normalisation(images)
    assert shown.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0.0] * 3, abs=1e-5)
    assert shown.double().std(dim=(0, 2, 3)).tolist() == pytest.approx([1.0] * 3, abs=1e-4)
    assert torch.equal(normalisation.undo(shown).round().to(torch.uint8), images)
    unit = Normalisation.unit(3)(images)
    assert [float(unit.min()), float(unit.max())] == pytest.approx([0.0, 1.0])
    assert torch.isfinite(Normalisation.of(torch.zeros(2, 1, 4, 4, dtype=torch.uint8))(images[:, :1])).all()


def test_a_shifted_picture_is_a_piece_of_the_padded_one() -> None:
    images = load_images("digits", "", "test").resized(32).images[:64].expand(-1, 3, -1, -1).contiguous()
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
    shifted = crop_and_flip(images, generator(), mirrored=False)
    flipped = crop_and_flip(images, generator(), mirrored=True)
    places, turned = set(), 0
    for place in range(len(images)):
        windows = {
            (top, left): padded[place, :, top : top + 32, left : left + 32] for top in range(9) for left in range(9)
        }
        found = [where for where, window in windows.items() if torch.equal(window, shifted[place])]
        assert found
        places.add(found[0])
        straight = any(torch.equal(window, flipped[place]) for window in windows.values())
        mirror = any(torch.equal(window.flip(-1), flipped[place]) for window in windows.values())
        assert straight or mirror
        turned += mirror and not straight
    assert len(places) > 20
    assert 16 < turned < 48


def test_a_resized_crop_of_the_whole_is_the_picture_itself_and_a_part_is_scaled_up() -> None:
    images = load_images("digits", "", "test").resized(32).images[:16]
    whole = resized_crop(images, generator(), mirrored=False, area=(1.0, 1.0), ratio=(1.0, 1.0))
    assert torch.allclose(whole, images.float(), atol=1e-2)
    # A ramp from left to right: after a cut it is still a ramp, but a flatter one.
    ramp = torch.arange(32.0).expand(200, 1, 32, 32)
    cut = resized_crop(ramp, generator(), mirrored=False, ratio=(1.0, 1.0))
    slopes = (cut[:, 0, 16, 20] - cut[:, 0, 16, 12]) / 8
    assert float(slopes.min()) >= 0.08**0.5 - 1e-3
    assert float(slopes.max()) <= 1 + 1e-3
    assert float(slopes.square().mean()) == pytest.approx(0.54, abs=0.06)  # the mean of the areas
    mirrored = resized_crop(ramp, generator(), mirrored=True, ratio=(1.0, 1.0))
    falling = (mirrored[:, 0, 16, 20] < mirrored[:, 0, 16, 12]).float().mean()
    assert 0.35 < float(falling) < 0.65


@pytest.mark.parametrize("augment", ["standard", "resized_crop", "none"])
def test_batches_depend_on_seed_epoch_and_index_alone(augment: str) -> None:
    options = VisionDataSection(augment=augment)  # type: ignore[arg-type]
    splits = load_splits(options, 0)

    def batches(position: int, count: int, workers: int = 0) -> list[Batch]:
        data = ImageData(splits.train, splits.normalisation, options)
        stream = IndexLoader(data, 200, 5, DataSection(num_workers=workers)).batches(position)
        return [next(stream) for _ in range(count)]

    straight = batches(0, 8)
    resumed = batches(3, 5)
    torch.rand(10)  # what anybody else draws changes nothing
    others = batches(3, 5, workers=2)
    for one, two, three in zip(straight[3:], resumed, others, strict=True):
        for name in ("image", "label", "index"):
            assert torch.equal(one[name], two[name])
            assert torch.equal(one[name], three[name])
    first = straight[0]
    assert torch.equal(splits.train.labels[first["index"]], first["label"])
    plain = splits.normalisation(splits.train.images[first["index"]])
    assert torch.equal(plain, first["image"]) == (augment == "none")


def test_digits_are_never_mirrored() -> None:
    options = VisionDataSection(image_size=16)
    splits = load_splits(options, 0)
    data = ImageData(splits.train, splits.normalisation, options)
    indices = torch.arange(64)
    shown = data.gather(indices, BatchKey(0, 0, 0))["image"]
    expected = crop_and_flip(splits.train.images[indices], BatchKey(0, 0, 0).generator(), mirrored=False)
    assert torch.equal(shown, splits.normalisation(expected))
