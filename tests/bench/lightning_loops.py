"""Lightning's Fabric and Trainer on the common workload, with everything off that can be."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader

from tests.bench.turns import Clock
from tests.bench.workload import ENDLESS, MAX_NORM, PEAK_LR, Batches, build_model, build_optimizer, cosine, loss_of


def fabric(clock: Clock, size: str) -> None:
    """A loop written by hand around Fabric's wrappers."""
    engine = lightning.Fabric(accelerator="cpu", devices=1)
    bare_model = build_model(size)
    model, optimizer = engine.setup(bare_model, build_optimizer(bare_model))
    loader = engine.setup_dataloaders(DataLoader(Batches(size), batch_size=None))
    model.train()
    for step, (tokens, targets) in enumerate(loader):
        clock.tick()
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model, tokens, targets)
        engine.backward(loss)
        engine.clip_gradients(model, optimizer, max_norm=MAX_NORM)
        rate = PEAK_LR * cosine(step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        if step % 10 == 0:
            loss.item()


class _Module(lightning.LightningModule):  # type: ignore[misc]
    def __init__(self, clock: Clock, size: str, logs: bool) -> None:
        super().__init__()
        self.model = build_model(size)
        self._clock = clock
        self._logs = logs

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        self._clock.tick()
        loss = loss_of(self.model, *batch)
        if self._logs:
            self.log("train/loss", loss)
        return loss

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = build_optimizer(self.model)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, cosine)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def trainer(clock: Clock, size: str, log_folder: Path | None) -> None:
    """Lightning's Trainer, silent, or with `self.log` into TensorBoard each tenth step."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    conductor = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=ENDLESS,
        gradient_clip_val=MAX_NORM,
        logger=TensorBoardLogger(log_folder, name=f"lightning-{size}") if log_folder else False,
        log_every_n_steps=10,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = _Module(clock, size, log_folder is not None)
    conductor.fit(module, DataLoader(Batches(size), batch_size=None))
