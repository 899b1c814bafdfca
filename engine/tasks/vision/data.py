"""Three sets, and batches of them: cut by the seed, normalised, augmented from each batch's own generator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import HeatsError
from engine.tasks.vision.augment import crop_and_flip, resized_crop
from engine.tasks.vision.config import VisionDataSection
from engine.tasks.vision.sources import MIRRORED, ImageSet, load_images
from engine.train.task import Batch, BatchKey

_VALIDATION_STREAM, _FEWER_STREAM = 0x5A1, 0xFE3


@dataclass(frozen=True)
class Normalisation:
    """From bytes to what a model reads: (image / 255 - mean) / deviation in each channel."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, images: Tensor) -> Normalisation:
        """That which gives these pictures, (N, C, H, W) uint8, mean 0 and deviation 1 in each channel."""
        # By how often each byte occurs: exact, whatever the number of threads.
        counts = torch.stack(
            [torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(1)]
        ).double()
        values = torch.arange(256, dtype=torch.float64)
        mean = counts @ values / counts.sum(1)
        variance = counts @ values.square() / counts.sum(1) - mean.square()
        deviation = variance.clamp(min=1.0).sqrt()  # a channel of one shade must not be divided by zero
        return cls(tuple((mean / 255).tolist()), tuple((deviation / 255).tolist()))

    @classmethod
    def unit(cls, channels: int) -> Normalisation:
        """That which only maps bytes to 0 to 1."""
        return cls((0.0,) * channels, (1.0,) * channels)

    def __call__(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8, or float from 0 to 255, as float32 for the model."""
        scale = torch.tensor([1 / (255 * value) for value in self.deviation], device=images.device)
        shift = torch.tensor(
            [-mean / deviation for mean, deviation in zip(self.mean, self.deviation, strict=True)], device=images.device
        )
        return images.float() * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)

    def undo(self, images: Tensor) -> Tensor:
        """The inverse, as float32 from 0 to 255."""
        deviation = torch.tensor(self.deviation, device=images.device).view(-1, 1, 1)
        mean = torch.tensor(self.mean, device=images.device).view(-1, 1, 1)
        return (images * deviation + mean) * 255


@dataclass(frozen=True)
class Splits:
    """Three sets: the best epoch is chosen on `val`; `test` is looked at once, at the end."""

    train: ImageSet
    val: ImageSet
    test: ImageSet
    normalisation: Normalisation
    """From the training samples alone."""


def load_splits(options: VisionDataSection, seed: int, *, classes: tuple[int, ...] = ()) -> Splits:
    """The source's pictures as three sets, at the size and in the number that the options ask for.

    Args:
        options: which pictures.
        seed: decides which samples are for validation, and which are left out below a train_fraction of 1.
        classes: only these, relabelled 0, 1, ...; all of them when empty.

    Raises:
        HeatsError: the data isn't there, or too little of it.
    """
    sets = [load_images(options.source, options.root, split, download=options.download) for split in ("train", "test")]
    if classes:
        sets = [found.only(classes) for found in sets]
    if options.image_size:
        sets = [found.resized(options.image_size) for found in sets]
    whole, test = sets
    train, val = cut_by_class(whole, 1 - options.validation_fraction, seed * 1_000_003 + _VALIDATION_STREAM)
    if options.train_fraction < 1:
        train, _ = cut_by_class(train, options.train_fraction, seed * 1_000_003 + _FEWER_STREAM)
    if not (len(train) and len(val) and len(test)):
        raise HeatsError(
            f"{options.source} leaves {len(train)} samples for training, {len(val)} for validation and {len(test)} for "
            "testing", place="data.validation_fraction", remedy="change it, or data.train_fraction",
        )  # fmt: skip
    standard = options.normalise == "standard"
    channels = train.images.shape[1]
    return Splits(train, val, test, Normalisation.of(train.images) if standard else Normalisation.unit(channels))


def cut_by_class(images: ImageSet, share: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """Two parts of a set, the first with this share of every class (at least one of each); each in its old order."""
    generator = torch.Generator().manual_seed(seed & 0x7FFF_FFFF_FFFF_FFFF)
    first = torch.zeros(len(images), dtype=torch.bool)
    for label in range(len(images.classes)):
        places = (images.labels == label).nonzero().squeeze(1)
        order = torch.randperm(len(places), generator=generator)
        count = max(1, round(len(places) * share)) if len(places) else 0
        first[places[order[:count]]] = True
    return images.take(first.nonzero().squeeze(1)), images.take((~first).nonzero().squeeze(1))


class ImageData:
    """Training pictures: gathered as bytes, augmented from the batch's own generator, then normalised."""

    def __init__(self, images: ImageSet, normalisation: Normalisation, options: VisionDataSection) -> None:
        self.images = images
        self.normalisation = normalisation
        self._augment = options.augment
        self._mirrored = options.source in MIRRORED

    def __len__(self) -> int:
        return len(self.images)

    def gather(self, indices: Tensor, key: BatchKey) -> Batch:
        """`image` (B, C, H, W) float32, `label` (B,) and `index` (B,), the samples' places in the set, int64."""
        pictures = self.augmented(self.images.images[indices], key.generator())
        return {"image": self.normalisation(pictures), "label": self.images.labels[indices], "index": indices}

    def augmented(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        """What the options make of a batch of pictures, (B, C, H, W) uint8; uint8 or float from 0 to 255."""
        if self._augment == "none":
            return pictures
        if self._augment == "resized_crop":
            return resized_crop(pictures, generator, mirrored=self._mirrored)
        return crop_and_flip(pictures, generator, mirrored=self._mirrored)
