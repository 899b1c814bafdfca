"""Hugging Face's Trainer on the common workload."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tests.bench.turns import Clock
from tests.bench.workload import (
    BATCH,
    ENDLESS,
    MAX_NORM,
    PEAK_LR,
    WEIGHT_DECAY,
    Batches,
    build_model,
    build_optimizer,
    cosine,
    loss_of,
)


class _WithLoss(nn.Module):
    """Gives the loss itself, as the Trainer wants it."""

    def __init__(self, clock: Clock, size: str) -> None:
        super().__init__()
        self.model = build_model(size)
        self._clock = clock

    def forward(self, tokens: Tensor, labels: Tensor) -> dict[str, Tensor]:
        self._clock.tick()
        return {"loss": loss_of(self.model, tokens, labels)}


class _NamedBatches(Batches):
    def __getitem__(self, position: int) -> Any:
        tokens, targets = super().__getitem__(position)
        return {"tokens": tokens, "labels": targets}


class _Trainer(transformers.Trainer):  # type: ignore[misc]
    def get_train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.train_dataset, batch_size=None)


def trainer(clock: Clock, size: str, folder: Path, *, logging: bool) -> None:
    """The Trainer, silent, or logging into TensorBoard each tenth step."""
    output = folder / f"transformers-{size}-{logging}"
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(output)
    options = transformers.TrainingArguments(
        output_dir=str(output),
        max_steps=ENDLESS,
        per_device_train_batch_size=BATCH,
        max_grad_norm=MAX_NORM,
        learning_rate=PEAK_LR,
        weight_decay=WEIGHT_DECAY,
        use_cpu=True,
        save_strategy="no",
        eval_strategy="no",
        logging_strategy="steps" if logging else "no",
        logging_steps=10,
        report_to=["tensorboard"] if logging else [],
        disable_tqdm=True,
    )
    model = _WithLoss(clock, size)
    optimizer = build_optimizer(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, cosine)
    _Trainer(model=model, args=options, train_dataset=_NamedBatches(size), optimizers=(optimizer, schedule)).train()
