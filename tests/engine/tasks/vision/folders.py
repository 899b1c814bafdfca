"""Data sets as they lie on a disk, written from real digits: small, but in the very formats that torchvision reads."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import datasets

from engine.tasks.vision.sources import ImageSet, load_images

COUNT = 20
"""Samples in each split that is written."""


def real_digits(size: int) -> dict[str, ImageSet]:
    """The first real digits of each split at a size."""
    return {
        split: load_images("digits", "", split).take(torch.arange(COUNT)).resized(size) for split in ("train", "test")
    }


def idx_bytes(array: Tensor) -> bytes:
    """An array of bytes in the IDX format."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.to(torch.uint8).numpy().tobytes()


def write_idx(folder: Path, digits: dict[str, ImageSet], *, zipped: bool) -> None:
    """Both splits as four IDX files, as MNIST has them."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, stem in (("train", "train"), ("test", "t10k")):
        found = digits[split]
        for rest, array in (("images-idx3", found.images.squeeze(1)), ("labels-idx1", found.labels)):
            content = idx_bytes(array)
            name = f"{stem}-{rest}-ubyte"
            if zipped:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)


def write_cifar(root: Path, digits: dict[str, ImageSet], source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both splits as CIFAR's pickled batches. torchvision compares checksums, so it is told those of these files."""
    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[source]
    folder = root / kind.base_folder
    folder.mkdir(parents=True)
    label_key = "labels" if source == "cifar10" else "fine_labels"
    sums = {}
    for split, name in (("train", "train_batch"), ("test", "test_batch")):
        found = digits[split]
        data = found.images.expand(-1, 3, -1, -1).reshape(len(found), -1).numpy()
        content = pickle.dumps({"data": data, label_key: found.labels.tolist()})
        (folder / name).write_bytes(content)
        sums[split] = [(name, hashlib.md5(content).hexdigest())]
    key = str(kind.meta["key"])
    meta = pickle.dumps({key: list(found.classes)})
    (folder / "meta").write_bytes(meta)
    monkeypatch.setattr(kind, "train_list", sums["train"])
    monkeypatch.setattr(kind, "test_list", sums["test"])
    monkeypatch.setattr(kind, "meta", {"filename": "meta", "key": key, "md5": hashlib.md5(meta).hexdigest()})


def write_svhn(root: Path, digits: dict[str, ImageSet], monkeypatch: pytest.MonkeyPatch) -> None:
    """Both splits as SVHN's MATLAB files, in which the digit 0 has the label 10."""
    from scipy.io import savemat

    root.mkdir(parents=True, exist_ok=True)
    listed = {}
    for split, found in digits.items():
        images = found.images.expand(-1, 3, -1, -1).permute(2, 3, 1, 0).numpy()
        labels = np.where(found.labels.numpy() == 0, 10, found.labels.numpy()).astype(np.uint8)
        name = f"{split}_32x32.mat"
        savemat(root / name, {"X": images, "y": labels[:, None]})
        listed[split] = ["", name, hashlib.md5((root / name).read_bytes()).hexdigest()]
    monkeypatch.setattr(datasets.SVHN, "split_list", listed)


def write_tiny_imagenet(root: Path, digits: dict[str, ImageSet]) -> None:
    """Both splits as folders of JPEG files, as Tiny ImageNet has them."""
    folder = root / "tiny-imagenet-200"
    names = [f"n{label:08d}" for label in range(10)]
    for name in names:
        (folder / "train" / name / "images").mkdir(parents=True)
    (folder / "val" / "images").mkdir(parents=True)
    (folder / "wnids.txt").write_text("\n".join(names))
    (folder / "words.txt").write_text("".join(f"{name}\tdigit {label}, figure\n" for label, name in enumerate(names)))
    lines = []
    for place, (image, label) in enumerate(zip(digits["train"].images, digits["train"].labels.tolist(), strict=True)):
        _write_jpeg(image, folder / "train" / names[label] / "images" / f"{names[label]}_{place}.JPEG")
    for place, (image, label) in enumerate(zip(digits["test"].images, digits["test"].labels.tolist(), strict=True)):
        _write_jpeg(image, folder / "val" / "images" / f"val_{place}.JPEG")
        lines.append(f"val_{place}.JPEG\t{names[label]}\t0\t0\t7\t7\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))


def _write_jpeg(image: Tensor, path: Path) -> None:
    Image.fromarray(image[0].numpy()).save(path, "JPEG", quality=100)  # grey, as a few of the real ones are
