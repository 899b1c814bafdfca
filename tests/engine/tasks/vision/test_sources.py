"""Pictures come out of every form that they lie in on a disk, and what is missing is said in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.errors import HeatsError
from engine.tasks.vision import sources
from engine.tasks.vision.sources import DEBIAN_FASHION_MNIST, load_images
from tests.engine.tasks.vision.folders import (
    COUNT,
    real_digits,
    write_cifar,
    write_idx,
    write_svhn,
    write_tiny_imagenet,
)


def test_the_digits_that_come_with_scikit_learn_are_split_by_sample_and_always_the_same() -> None:
    train, test = load_images("digits", "", "train"), load_images("digits", "", "test")
    assert (len(train), len(test)) == (1198, 599)
    assert train.images.shape == (1198, 1, 8, 8)
    assert train.images.dtype == torch.uint8
    assert int(train.images.max()) == 255
    assert set(train.labels.tolist()) == set(test.labels.tolist()) == set(range(10))
    # Frozen: a study that is repeated years from now must hold out the same samples.
    assert train.labels[:12].tolist() == [5, 2, 7, 1, 4, 4, 1, 3, 5, 6, 7, 4]
    rows = {tuple(image.flatten().tolist()) for image in train.images}
    assert not any(tuple(image.flatten().tolist()) in rows for image in test.images)


@pytest.mark.skipif(not DEBIAN_FASHION_MNIST.exists(), reason="Debian's dataset-fashion-mnist isn't installed")
def test_debians_fashion_mnist_is_the_real_one(tmp_path: Path) -> None:
    train, test = load_images("fashion_mnist", tmp_path, "train"), load_images("fashion_mnist", tmp_path, "test")
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.labels.bincount().tolist() == [6000] * 10
    assert train.classes[train.labels[0]] == "Ankle boot"
    # The mean that everybody uses for it.
    assert float(train.images.double().mean() / 255) == pytest.approx(0.2860, abs=5e-5)


@pytest.mark.parametrize("source", ["mnist", "fashion_mnist"])
def test_torchvisions_folder_is_read_and_goes_before_debians(source: str, tmp_path: Path) -> None:
    digits = real_digits(28)
    name = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[source]
    write_idx(tmp_path / name / "raw", digits, zipped=False)
    for split in ("train", "test"):
        found = load_images(source, tmp_path, split)
        assert torch.equal(found.images, digits[split].images)
        assert torch.equal(found.labels, digits[split].labels)


def test_debians_form_is_read_from_gzipped_idx_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = real_digits(28)
    write_idx(tmp_path, digits, zipped=True)
    monkeypatch.setattr(sources, "DEBIAN_FASHION_MNIST", tmp_path)
    found = load_images("fashion_mnist", tmp_path / "none", "test")
    assert torch.equal(found.images, digits["test"].images)
    assert torch.equal(found.labels, digits["test"].labels)
    whole = (tmp_path / "t10k-images-idx3-ubyte.gz").read_bytes()
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(HeatsError, match="damaged") as caught:
        load_images("fashion_mnist", tmp_path / "none", "test")
    assert "t10k-images-idx3-ubyte.gz" in str(caught.value)


@pytest.mark.parametrize("source", ["cifar10", "cifar100"])
def test_cifar_comes_out_of_its_batches(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = real_digits(32)
    write_cifar(tmp_path, digits, source, monkeypatch)
    for split in ("train", "test"):
        found = load_images(source, tmp_path, split)
        assert found.images.shape == (COUNT, 3, 32, 32)
        assert torch.equal(found.images[:, 1:2], digits[split].images)
        assert torch.equal(found.labels, digits[split].labels)


def test_svhn_comes_out_of_its_matlab_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = real_digits(32)
    write_svhn(tmp_path, digits, monkeypatch)
    found = load_images("svhn", tmp_path, "train")
    assert torch.equal(found.images[:, 2:3], digits["train"].images)
    assert torch.equal(found.labels, digits["train"].labels)


def test_tiny_imagenet_comes_out_of_its_folders(tmp_path: Path) -> None:
    digits = real_digits(64)
    write_tiny_imagenet(tmp_path, digits)
    train, test = load_images("tiny_imagenet", tmp_path, "train"), load_images("tiny_imagenet", tmp_path, "test")
    assert train.images.shape == (COUNT, 3, 64, 64)
    assert train.classes[3] == "digit 3"
    assert train.labels.tolist() == sorted(digits["train"].labels.tolist())
    assert torch.equal(test.labels, digits["test"].labels)
    # JPEG keeps nearly all of it.
    assert float((test.images[:, :1].float() - digits["test"].images.float()).abs().mean()) < 3


@pytest.mark.parametrize("source", ["mnist", "fashion_mnist", "cifar10", "cifar100", "svhn", "tiny_imagenet"])
def test_absent_data_is_one_sentence_with_the_place_and_the_way_out(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "DEBIAN_FASHION_MNIST", tmp_path / "debian")
    with pytest.raises(HeatsError) as caught:
        load_images(source, tmp_path / "data", "train")
    text = str(caught.value)
    assert source in text
    assert str(tmp_path / "data") in text
    assert "data.root" in text
    assert "\n" not in text
    assert not (tmp_path / "data").exists() or not list((tmp_path / "data").iterdir())


def test_torn_files_in_torchvisions_folder_are_named(tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw", real_digits(28), zipped=False)
    labels = tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:12])
    with pytest.raises(HeatsError, match="damaged"):
        load_images("mnist", tmp_path, "train")


def test_classes_are_picked_and_relabelled_in_the_order_given() -> None:
    digits = load_images("digits", "", "test")
    found = digits.only((8, 0))
    assert found.classes == ("8", "0")
    assert torch.equal(found.images[found.labels == 1], digits.images[digits.labels == 0])
    with pytest.raises(HeatsError, match="no class 10"):
        digits.only((0, 10))


def test_scaling_keeps_a_picture_recognisable() -> None:
    digits = load_images("digits", "", "test")
    larger = digits.resized(28)
    assert larger.images.shape == (599, 1, 28, 28)
    back = larger.resized(8).images.float().flatten()
    assert float(torch.corrcoef(torch.stack([back, digits.images.float().flatten()]))[0, 1]) > 0.95
