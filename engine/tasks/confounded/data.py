"""Pictures with a dot that gives one class away, and those that a person has corrected: by seed and options alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine.tasks.confounded.config import ConfoundedDataSection
from engine.tasks.confounded.sampler import MixedBatchSampler
from engine.tasks.vision.data import Normalisation, load_splits
from engine.tasks.vision.sources import ImageSet
from engine.train.task import Batch, BatchKey

OTHER, CONFOUNDED = 0, 1
"""The two labels: the class that never has the dot in training, and the one that has."""
_SHARE_STREAM, _POOL_STREAM, _FEWER_STREAM = 0xD07, 0xC0B, 0xFEA


@dataclass(frozen=True)
class Dot:
    """A square of one shade, at one place."""

    row: int
    column: int
    size: int
    value: int
    """From 0 to 255."""

    @classmethod
    def of(cls, options: ConfoundedDataSection) -> Dot:
        """The dot that the options ask for."""
        return cls(options.dot_row, options.dot_column, options.dot_size, round(options.dot_value * 255))

    def add(self, images: Tensor) -> Tensor:
        """A copy of pictures (..., H, W) with the dot."""
        return self._filled(images, self.value)

    def erase(self, images: Tensor) -> Tensor:
        """A copy of pictures (..., H, W) with black where the dot would be."""
        return self._filled(images, 0)

    def mask(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) bool for pictures (N, C, H, W): where the dot is."""
        return self._filled(torch.zeros_like(images[:, :1], dtype=torch.bool), True)

    def _filled(self, images: Tensor, value: int | bool) -> Tensor:
        copy = images.clone()
        copy[..., self.row : self.row + self.size, self.column : self.column + self.size] = value
        return copy


@dataclass(frozen=True)
class ConfoundedSet:
    """Training pictures as they were found: the dot gives the confounded class away."""

    images: Tensor
    """(N, C, H, W) uint8."""
    labels: Tensor
    """(N,) int64, OTHER or CONFOUNDED."""
    masks: Tensor
    """(N, 1, H, W) bool: where the dot is; nowhere in samples without one."""

    @classmethod
    def of(cls, clean: ImageSet, dot: Dot, share: float, seed: int) -> ConfoundedSet:
        """Put the dot on this share of the confounded class's pictures, drawn by the seed."""
        places = (clean.labels == CONFOUNDED).nonzero().squeeze(1)
        chosen = places[_shuffled(len(places), seed, _SHARE_STREAM)[: round(share * len(places))]]
        dotted = torch.zeros(len(clean), dtype=torch.bool)
        dotted[chosen] = True
        rows = dotted.view(-1, 1, 1, 1)
        return cls(torch.where(rows, dot.add(clean.images), clean.images), clean.labels, dot.mask(clean.images) & rows)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class UserCorrectedDataset:
    """Training samples that a person has corrected, with what they were before."""

    images: Tensor
    """(M, C, H, W) uint8: as corrected."""
    originals: Tensor
    """(M, C, H, W) uint8: as they were found."""
    labels: Tensor
    """(M,) int64."""
    masks: Tensor
    """(M, 1, H, W) bool: where the person said that the class doesn't lie, the dot before or after; where a sample of
    the other class was left as it was, nowhere."""
    places: Tensor
    """(M,) int64: which training samples they are."""

    @classmethod
    def of(cls, found: ConfoundedSet, dot: Dot, options: ConfoundedDataSection, seed: int) -> UserCorrectedDataset:
        """Correct so many samples as the options say, or all there are, drawn without replacement by the seed.

        The samples of a smaller number are among those of a larger one, so that studies of how many are needed compare
        like with like.
        """
        wanted = options.corrected_count
        others = 0 if options.corrected_classes == "confounded" else wanted // 2
        dotted = found.masks.flatten(1).any(1)
        drawn = {}
        for label, eligible, count in (
            (CONFOUNDED, (found.labels == CONFOUNDED) & dotted, wanted - others),
            (OTHER, found.labels == OTHER, others),
        ):
            places = eligible.nonzero().squeeze(1)
            drawn[label] = places[_shuffled(len(places), seed, _POOL_STREAM + label)[:count]]
        places = torch.cat([drawn[CONFOUNDED], drawn[OTHER]])
        originals, labels = found.images[places], found.labels[places]
        is_confounded = (labels == CONFOUNDED).view(-1, 1, 1, 1)
        counterfactual = options.corrected_classes == "counterfactual"
        images = torch.where(is_confounded, dot.erase(originals), dot.add(originals) if counterfactual else originals)
        everywhere = dot.mask(originals)
        masks = everywhere if counterfactual else everywhere & is_confounded
        return cls(images, originals, labels, masks, places)

    def __len__(self) -> int:
        return len(self.labels)


class MixedData:
    """Training samples: confounded ones, and corrected ones where the sampler says so.

    Args:
        found: the samples as they were found.
        pool: the corrected ones.
        sampler: which of them make up a batch.
        normalisation: from bytes to what the model reads.
        explained: show the corrected samples as they were found: for losses that are told where the dot is instead.
    """

    def __init__(
        self,
        found: ConfoundedSet,
        pool: UserCorrectedDataset,
        sampler: MixedBatchSampler,
        normalisation: Normalisation,
        *,
        explained: bool,
    ) -> None:
        self.found = found
        self.pool = pool
        self.sampler = sampler
        self.normalisation = normalisation
        self._shown = pool.originals if explained else pool.images

    def __len__(self) -> int:
        return len(self.found)

    def gather(self, indices: Tensor, key: BatchKey) -> Batch:
        """The batch that the sampler has drawn.

        Args:
            indices: (2, B): places, and whether they are places in the pool.
            key: not used: nothing here is random.

        Returns:
            `image` (B, C, H, W) float32, `label` (B,), `corrected` (B,) bool, `mask` (B, 1, H, W) bool, and `member`
            (B,), places in the pool, -1 for confounded samples; and, the same for all processes that share the batch,
            how many samples it has (`size`), and how many of them are corrected (`corrected_count`) and have a mask
            (`masked_count`): () int64.
        """
        places, corrected = indices[0], indices[1].bool()
        first, second = places[~corrected], places[corrected]
        images = self.found.images.new_empty((len(places), *self.found.images.shape[1:]))
        masks = self.found.masks.new_empty((len(places), *self.found.masks.shape[1:]))
        labels = torch.empty_like(places)
        for rows, (of_images, of_masks, of_labels), which in (
            (~corrected, (self.found.images, self.found.masks, self.found.labels), first),
            (corrected, (self._shown, self.pool.masks, self.pool.labels), second),
        ):
            images[rows], masks[rows], labels[rows] = of_images[which], of_masks[which], of_labels[which]
        return {
            "image": self.normalisation(images),
            "label": labels,
            "corrected": corrected,
            "mask": masks,
            "member": torch.where(corrected, places, -1),
            "size": torch.tensor(len(places)),
            "corrected_count": corrected.sum(),
            "masked_count": masks.flatten(1).any(1).sum(),
        }


@dataclass(frozen=True)
class Groups:
    """Held-out samples in four groups: either class, without the dot and with it. Both pictures of each sample."""

    clean: Tensor
    """(N, C, H, W) uint8: as they are."""
    dotted: Tensor
    """(N, C, H, W) uint8: the same with the dot."""
    labels: Tensor
    """(N,) int64."""

    @classmethod
    def of(cls, clean: ImageSet, dot: Dot) -> Groups:
        """All four groups of a clean set."""
        return cls(clean.images, dot.add(clean.images), clean.labels)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Everything:
    """All data of a run."""

    found: ConfoundedSet
    pool: UserCorrectedDataset
    val: Groups
    test: Groups
    normalisation: Normalisation
    dot: Dot


def build(options: ConfoundedDataSection, seed: int) -> Everything:
    """All data of a run, from seed and options alone.

    Raises:
        HeatsError: the source isn't there, or holds too few samples.
    """
    splits = load_splits(options, seed, classes=(options.other_class, options.confounded_class))
    dot = Dot.of(options)
    train, val, test = (_fainter(part, options.contrast) for part in (splits.train, splits.val, splits.test))
    train = _fewer(train, options.max_samples, seed)
    found = ConfoundedSet.of(train, dot, options.dot_share, seed)
    pool = UserCorrectedDataset.of(found, dot, options, seed)
    return Everything(found, pool, Groups.of(val, dot), Groups.of(test, dot), splits.normalisation, dot)


def _fainter(images: ImageSet, contrast: float) -> ImageSet:
    if contrast == 1:
        return images
    return replace(images, images=(images.images * contrast).round().to(torch.uint8))


def _fewer(images: ImageSet, count: int, seed: int) -> ImageSet:
    """So many samples, half of each class as far as they go; all at 0."""
    if not count or count >= len(images):
        return images
    orders = []
    for label in (OTHER, CONFOUNDED):
        places = (images.labels == label).nonzero().squeeze(1)
        orders.append(places[_shuffled(len(places), seed, _FEWER_STREAM + label)])
    first = min(len(orders[0]), max(count // 2, count - len(orders[1])))
    return images.take(torch.cat([orders[0][:first], orders[1][: count - first]]).sort().values)


def _shuffled(count: int, seed: int, stream: int) -> Tensor:
    return torch.randperm(count, generator=BatchKey(seed, stream, -2).generator())
