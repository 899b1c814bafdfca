"""The options that tasks on pictures share. Pydantic only: forms and help read this without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.config.sections import DataSection, NonNegativeInt

SourceName = Literal["digits", "fashion_mnist", "mnist", "cifar10", "cifar100", "svhn", "tiny_imagenet"]


class VisionDataSection(DataSection):
    """Which pictures to learn, and how they are prepared."""

    source: SourceName = "digits"
    """Which data set. digits (1,797 real ones of 8x8) comes with scikit-learn, fashion_mnist also from Debian's package
    dataset-fashion-mnist; the others are read from data.root."""
    root: str = "~/.cache/heats/data"
    """Folder of the data sets, laid out as torchvision does."""
    download: bool = False
    """Let torchvision download what is missing into data.root."""
    image_size: NonNegativeInt = 0
    """Height and width that pictures are scaled to; 0 keeps those of the source."""
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the source's training samples, the same in every class, that is cut off for validation by the seed."""
    train_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of what is left, the same in every class, that is trained on: fewer labels make a task harder."""
    normalise: Literal["standard", "unit"] = "standard"
    """standard: mean 0 and deviation 1 in each channel over the training samples; unit: from 0 to 1."""
    augment: Literal["standard", "resized_crop", "none"] = "standard"
    """standard: shifted by up to an eighth and, where a mirrored picture means the same, flipped; resized_crop: a
    random part of random size and shape, scaled up, and flipped."""
