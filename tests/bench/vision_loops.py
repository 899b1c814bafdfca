"""`python -m tests.bench.vision_loops NAME MODEL ...`: one loop over pictures, in a process of its own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.tasks.vision.config import VisionDataSection
from engine.tasks.vision.data import ImageData, Normalisation
from engine.tasks.vision.sources import MIRRORED, ImageSet, load_images
from engine.train.task import Batch, BatchKey, LossTerms, StepContext, Task
from tests.bench.turns import Clock, LoopFunction, run_alone
from tests.bench.workload import ENDLESS

BATCH = 64
RATE = 0.01
SIZE = 28
OPTIONS = VisionDataSection(source="digits", image_size=SIZE, augment="standard")


@dataclass(frozen=True)
class Model:
    """A network to train: what it is made by, and what it needs to be installed."""

    build: Callable[[], nn.Module]
    package: str


def _confounded() -> nn.Module:
    from engine.tasks.confounded.model import Network

    network = Network(1, SIZE, (16, 32), 128)
    network.output = nn.Linear(128, 10)
    return network


def _resnet(name: str) -> nn.Module:
    made: nn.Module = importlib.import_module("engine.tasks.distillation.models").build_network(name, 1, 10)
    return made


MODELS = {
    "confounded": Model(_confounded, "engine.tasks.confounded"),
    "resnet8": Model(lambda: _resnet("resnet8"), "engine.tasks.distillation"),
    "resnet20": Model(lambda: _resnet("resnet20"), "engine.tasks.distillation"),
}


def is_there(model: str) -> bool:
    """Whether the task that a model belongs to is part of this checkout."""
    return find_spec(MODELS[model].package) is not None


def build_model(name: str, *, channels_last: bool = False) -> nn.Module:
    """The network, the same weights each time."""
    torch.manual_seed(0)
    model = MODELS[name].build()
    return model.to(memory_format=torch.channels_last) if channels_last else model


@cache
def digits() -> ImageSet:
    """The real digits, four times over."""
    found = load_images("digits", "", "train").resized(SIZE)
    return ImageSet(found.images.repeat(4, 1, 1, 1), found.labels.repeat(4), found.classes)


def build_data() -> ImageData:
    """The pictures with their augmentation."""
    return ImageData(digits(), Normalisation.of(digits().images), OPTIONS)


def loss_of(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy; networks that give several outputs give the logits last."""
    outputs = model(images)
    logits = outputs if isinstance(outputs, Tensor) else outputs[-1]
    return functional.cross_entropy(logits.float(), labels)


def build_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """SGD with momentum, fused, as heats makes it."""
    return torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, fused=True)


class Batches(torch.utils.data.IterableDataset[tuple[Tensor, Tensor]]):
    """Whole batches, gathered and augmented as heats does it."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        data = build_data()
        for epoch in range(ENDLESS):
            order = torch.randperm(len(data), generator=torch.Generator().manual_seed(epoch))
            for index in range(len(data) // BATCH):
                batch = data.gather(order[index * BATCH : (index + 1) * BATCH], BatchKey(0, epoch, index))
                yield batch["image"], batch["label"]


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor, step: int) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss = loss_of(model, images, labels)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    if step % 10 == 0:
        loss.item()


def bare(clock: Clock, name: str, folder: Path) -> None:
    """What one would write by hand, with our batches."""
    model = build_model(name).train()
    optimizer = build_optimizer(model)
    for step, (images, labels) in enumerate(Batches()):
        clock.tick()
        _step(model, optimizer, images, labels, step)


class Samples(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """One picture at a time through torchvision's transforms, as most loops have it."""

    def __init__(self) -> None:
        from torchvision import transforms

        found, normalisation = digits(), Normalisation.of(digits().images)
        self._images, self._labels = found.images, found.labels.tolist()
        flip = [transforms.RandomHorizontalFlip()] if OPTIONS.source in MIRRORED else []
        self._transform = transforms.Compose(
            [
                transforms.RandomCrop(SIZE, padding=SIZE // 8), *flip, transforms.ConvertImageDtype(torch.float32),
                transforms.Normalize(normalisation.mean, normalisation.deviation),
            ]
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return self._transform(self._images[place]), self._labels[place]


def dataloader(clock: Clock, name: str, folder: Path) -> None:
    """The same by hand, with torch's loader and torchvision's transforms."""
    model = build_model(name).train()
    optimizer = build_optimizer(model)
    loader = torch.utils.data.DataLoader(Samples(), BATCH, shuffle=True, drop_last=True)
    step = 0
    while step < ENDLESS:
        for images, labels in loader:
            clock.tick()
            _step(model, optimizer, images, labels, step)
            step += 1


def heats(clock: Clock, name: str, folder: Path, *, dtype: str = "fp32", channels_last: bool = False) -> None:
    """The engine's loop, with a real recorder that writes metrics, events and TensorBoard files."""
    from engine.config.resolve import config_hash, dump_yaml, resolve
    from engine.config.sections import TaskConfig
    from engine.store.create import claim_attempt, create_run
    from engine.store.paths import create_store
    from engine.train.control import Control
    from engine.train.events import EventLog
    from engine.train.loop import train
    from engine.train.recorder import Recorder

    class Pictures(Task[TaskConfig]):
        def build_model(self) -> nn.Module:
            return build_model(name, channels_last=channels_last)

        def build_data(self) -> ImageData:
            return build_data()

        def loss(self, model: nn.Module, batch: Batch, context: StepContext) -> LossTerms:
            clock.tick()
            images = batch["image"]
            if channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            return {"cross_entropy": (1.0, loss_of(model, images, batch["label"]))}

        def evaluate(self, model: nn.Module, split: str, device: torch.device) -> dict[str, float]:
            return {}

    options = {
        "train.batch_size": BATCH, "train.max_steps": ENDLESS, "train.device": "cpu", "train.save_every": 0,
        "train.deterministic": False, "train.num_threads": 1, "optim.name": "sgd", "optim.lr": RATE,
        "optim.weight_decay": 0.0, "schedule.kind": "constant", "schedule.warmup_steps": 0, "clip.kind": "none",
        "evaluation.every": 0, "precision.dtype": dtype,
    }  # fmt: skip
    config = resolve(TaskConfig, options)
    store = create_store(folder / f"store-{name}-{dtype}-{channels_last}")
    run = create_run(store, task="bench", slug=name, config_yaml=dump_yaml(config), config_hash=config_hash(config))
    attempt = claim_attempt(run)
    recorder = Recorder(run, attempt, config, Control(run, attempt.number), EventLog(attempt.events))
    clock.settle = recorder.metrics.flush
    train(config, Pictures(config), recorder)


def heats_bf16(clock: Clock, name: str, folder: Path) -> None:
    """heats in bf16."""
    heats(clock, name, folder, dtype="bf16")


def heats_channels_last(clock: Clock, name: str, folder: Path) -> None:
    """heats with the channels innermost."""
    heats(clock, name, folder, channels_last=True)


def heats_bf16_channels_last(clock: Clock, name: str, folder: Path) -> None:
    """heats with both."""
    heats(clock, name, folder, dtype="bf16", channels_last=True)


def lightning(clock: Clock, name: str, folder: Path) -> None:
    """Lightning's Trainer with our batches, silent."""
    import logging

    import lightning as peer

    class Module(peer.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = build_model(name)

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            clock.tick()
            return loss_of(self.model, *batch)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return build_optimizer(self.model)

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    trainer = peer.Trainer(
        accelerator="cpu", devices=1, max_steps=ENDLESS, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Module(), torch.utils.data.DataLoader(Batches(), batch_size=None))


LOOPS: dict[str, tuple[LoopFunction, str | None]] = {
    "bare": (bare, None),
    "bare_again": (bare, None),
    "dataloader": (dataloader, None),
    "heats": (heats, None),
    "heats_bf16": (heats_bf16, None),
    "heats_channels_last": (heats_channels_last, None),
    "heats_bf16_channels_last": (heats_bf16_channels_last, None),
    "lightning": (lightning, "lightning"),
}
"""By name, the loop and the module that it needs. `bare_again` shows how much of a difference is noise."""


if __name__ == "__main__":
    run_alone(sys.argv[1:], LOOPS)
