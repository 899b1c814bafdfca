"""Pictures and their labels, from wherever they are on this machine."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engine.errors import HeatsError

Split = Literal["train", "test"]
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""
MIRRORED = frozenset({"fashion_mnist", "cifar10", "cifar100", "tiny_imagenet"})
"""The sources in which a mirrored picture is still of its class: no digits."""

_DIGITS_TEST_SHARE = 1 / 3
_DIGITS = tuple(str(digit) for digit in range(10))


@dataclass(frozen=True)
class ImageSet:
    """Pictures with their labels."""

    images: Tensor
    """(N, C, H, W) uint8."""
    labels: Tensor
    """(N,) int64, indices in `classes`."""
    classes: tuple[str, ...]
    """What the labels mean."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> ImageSet:
        """The samples at these places, in this order; indices is (M,) int64."""
        return ImageSet(self.images[indices], self.labels[indices], self.classes)

    def only(self, classes: Sequence[int]) -> ImageSet:
        """The samples of these classes, relabelled 0, 1, ... in the order given.

        Raises:
            HeatsError: there is no such class.
        """
        for wanted in classes:
            if not 0 <= wanted < len(self.classes):
                raise HeatsError(f"there is no class {wanted}", remedy=f"give some of 0 to {len(self.classes) - 1}")
        new_label = torch.full((len(self.classes),), -1, dtype=torch.int64)
        new_label[list(classes)] = torch.arange(len(classes))
        labels = new_label[self.labels]
        kept = labels >= 0
        return ImageSet(self.images[kept], labels[kept], tuple(self.classes[wanted] for wanted in classes))

    def resized(self, size: int) -> ImageSet:
        """All pictures at size x size pixels, scaled bilinearly (with smoothing where they get smaller)."""
        if self.images.shape[-2:] == (size, size):
            return self
        parts = [
            functional.interpolate(part.float(), (size, size), mode="bilinear", antialias=True)
            for part in torch.split(self.images, 4096)
        ]
        images = torch.cat(parts) if parts else self.images.new_empty((0, self.images.shape[1], size, size)).float()
        return ImageSet(images.round().clamp(0, 255).to(torch.uint8), self.labels, self.classes)


def load_images(source: str, root: str | Path, split: Split, *, download: bool = False) -> ImageSet:
    """A split of a data set as its makers cut it; `digits`, which nobody has cut, by a fixed permutation.

    Args:
        source: digits, fashion_mnist, mnist, cifar10, cifar100, svhn or tiny_imagenet.
        root: the folder of the data sets, laid out as torchvision does; `~` is understood.
        split: train or test. Of tiny_imagenet, whose test labels were never published, test is the makers' validation.
        download: let torchvision download what is missing.

    Raises:
        HeatsError: the data isn't there, is damaged, or can't be downloaded.
    """
    folder = Path(root).expanduser()
    if source == "digits":
        return _digits(split)
    if source == "fashion_mnist" and not download and not (folder / "FashionMNIST").is_dir():
        return _debian_fashion_mnist(folder, split)
    if source == "tiny_imagenet":
        return _tiny_imagenet(folder, split)
    return _from_torchvision(source, folder, split, download)


def _digits(split: Split) -> ImageSet:
    from sklearn.datasets import load_digits

    found = load_digits()
    images = torch.from_numpy(np.rint(found.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    labels = torch.from_numpy(found.target.astype(np.int64))
    # The legacy generator's stream is frozen for good: this split never changes with a version.
    order = torch.from_numpy(np.random.RandomState(0).permutation(len(labels)))
    tested = math.floor(len(labels) * _DIGITS_TEST_SHARE)
    return ImageSet(images, labels, _DIGITS).take(order[:tested] if split == "test" else order[tested:])


FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def _debian_fashion_mnist(root: Path, split: Split) -> ImageSet:
    stem = "train" if split == "train" else "t10k"
    images, labels = (DEBIAN_FASHION_MNIST / f"{stem}-{rest}-ubyte.gz" for rest in ("images-idx3", "labels-idx1"))
    if not (images.exists() and labels.exists()):
        raise _absent("fashion_mnist", (root / "FashionMNIST", DEBIAN_FASHION_MNIST))
    pictures, numbers = read_idx(images), read_idx(labels)
    if pictures.ndim != 3 or numbers.shape != pictures.shape[:1]:
        raise _damaged(images)
    return ImageSet(pictures.unsqueeze(1), numbers.long(), FASHION_CLASSES)


def read_idx(path: Path) -> Tensor:
    """The array of an IDX file of bytes, the format of MNIST; gzipped or not.

    Raises:
        HeatsError: the file is damaged.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        zeros, kind, dimensions = content[:2], content[2], content[3]
        shape = np.frombuffer(content, ">u4", dimensions, offset=4).astype(np.int64)
        if zeros != b"\0\0" or kind != 8:  # 8: unsigned bytes
            raise ValueError("no IDX file of bytes")
        values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape.tolist())
    except (OSError, EOFError, ValueError, IndexError) as error:
        raise _damaged(path) from error
    return torch.from_numpy(values.copy())


def _from_torchvision(source: str, root: Path, split: Split, download: bool) -> ImageSet:
    # Here, not above: it takes a second, and the data that comes with the machine doesn't need it.
    from torchvision import datasets

    train = split == "train"
    load: Callable[[], ImageSet] = {
        "mnist": lambda: _grey(datasets.MNIST(str(root), train, download=download), _DIGITS),
        "fashion_mnist": lambda: _grey(datasets.FashionMNIST(str(root), train, download=download), FASHION_CLASSES),
        "cifar10": lambda: _colour(datasets.CIFAR10(str(root), train, download=download)),
        "cifar100": lambda: _colour(datasets.CIFAR100(str(root), train, download=download)),
        "svhn": lambda: _house_numbers(datasets.SVHN(str(root), split, download=download)),
    }[source]
    folder = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "cifar-10-batches-py"}
    folder |= {"cifar100": "cifar-100-python", "svhn": f"{split}_32x32.mat"}
    try:
        return load()
    except OSError as error:  # no network, no room: torchvision's downloader says so in many ways
        if not download:
            raise _damaged(root / folder[source]) from error
        raise HeatsError(f"{source} can't be downloaded into {root}: {error}", place="data.download") from error
    except (RuntimeError, ValueError, EOFError, KeyError) as error:
        if (root / folder[source]).exists():
            raise _damaged(root / folder[source]) from error
        if download:
            raise HeatsError(f"{source} can't be downloaded into {root}: {error}", place="data.download") from error
        raise _absent(source, (root / folder[source],)) from error


def _grey(found: object, classes: tuple[str, ...]) -> ImageSet:
    return ImageSet(found.data.unsqueeze(1), found.targets.long(), classes)  # type: ignore[attr-defined]


def _colour(found: object) -> ImageSet:
    images = torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous()  # type: ignore[attr-defined]
    labels = torch.tensor(found.targets, dtype=torch.int64)  # type: ignore[attr-defined]
    return ImageSet(images, labels, tuple(found.classes))  # type: ignore[attr-defined]


def _house_numbers(found: object) -> ImageSet:
    images = torch.from_numpy(np.ascontiguousarray(found.data))  # type: ignore[attr-defined]
    labels = torch.from_numpy(found.labels.astype(np.int64))  # type: ignore[attr-defined]
    return ImageSet(images, labels, _DIGITS)


def _tiny_imagenet(root: Path, split: Split) -> ImageSet:
    folder = root / "tiny-imagenet-200"
    if not (folder / "wnids.txt").is_file():
        raise _absent("tiny_imagenet", (folder,))
    try:
        names = (folder / "wnids.txt").read_text().split()
        label_of = {name: label for label, name in enumerate(names)}
        if split == "train":
            pairs = [(path, name) for name in names for path in sorted((folder / "train" / name / "images").iterdir())]
        else:
            lines = (folder / "val" / "val_annotations.txt").read_text().splitlines()
            pairs = [
                (folder / "val" / "images" / file, name) for file, name in (line.split("\t")[:2] for line in lines)
            ]
        labels = torch.tensor([label_of[name] for _, name in pairs], dtype=torch.int64)
    except (OSError, ValueError, KeyError) as error:
        raise _damaged(folder) from error
    return ImageSet(_decode([path for path, _ in pairs]), labels, _readable(folder, names))


def _decode(paths: list[Path]) -> Tensor:
    from concurrent.futures import ThreadPoolExecutor

    from PIL import Image
    from tqdm import tqdm

    def decode(path: Path) -> Tensor:
        try:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError) as error:  # all of them are Pillow's words for a damaged picture
            raise _damaged(path) from error
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1)

    with ThreadPoolExecutor() as pool:  # the decoder lets other threads run
        shown = tqdm(pool.map(decode, paths), "decoding", len(paths), unit="picture", mininterval=1.0)
        return torch.stack(list(shown))


def _readable(folder: Path, names: list[str]) -> tuple[str, ...]:
    """The first English name of each class, where the file with them is there."""
    try:
        words = dict(line.split("\t", 1) for line in (folder / "words.txt").read_text().splitlines() if "\t" in line)
    except (OSError, ValueError):
        words = {}
    return tuple(words.get(name, name).split(",")[0] for name in names)


_DEBIAN = "install Debian's package dataset-fashion-mnist, "


def _absent(source: str, looked: tuple[Path, ...]) -> HeatsError:
    places = " or ".join(str(path) for path in looked)
    if source == "tiny_imagenet":
        remedy = "unpack tiny-imagenet-200.zip there, set data.root to where it lies, or train on data.source=digits"
    else:
        remedy = (
            f"{_DEBIAN if source == 'fashion_mnist' else ''}set data.root to where it lies as torchvision lays it out, "
            "let it be downloaded with data.download=true, or train on data.source=digits, which is always there"
        )
    return HeatsError(f"the data set {source} isn't on this machine: looked for {places}", remedy=remedy)


def _damaged(path: Path) -> HeatsError:
    return HeatsError("this data is damaged or incomplete", place=str(path), remedy="remove it and fetch it again")
