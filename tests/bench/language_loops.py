"""`python -m tests.bench.language_loops NAME SIZE ...`: one loop over text, in a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from engine.config.resolve import config_hash, dump_yaml, resolve
from engine.store.create import claim_attempt, create_run
from engine.store.paths import create_store
from engine.tasks.finetune.config import Config
from engine.tasks.finetune.task import Finetune
from engine.tasks.text.models import new_model
from engine.train.control import Control
from engine.train.events import EventLog
from engine.train.loop import train
from engine.train.recorder import Recorder
from engine.train.task import Batch, BatchKey, LossTerms, StepContext
from tests.bench.turns import Clock, Turn
from tests.bench.workload import ENDLESS

BATCH, BLOCK = 8, 128
TOKENS = BATCH * BLOCK
RATE = 1e-3
_COMMON: dict[str, Any] = {
    "data.block_size": BLOCK, "train.batch_size": BATCH, "train.max_steps": ENDLESS, "train.device": "cpu",
    "train.save_every": 0, "train.deterministic": False, "train.num_threads": 1, "optim.lr": RATE,
    "optim.weight_decay": 0.01, "schedule.kind": "constant", "schedule.warmup_steps": 0, "clip.max_norm": 1.0,
    "evaluation.every": 0, "evaluation.test_at_end": False, "precision.dtype": "fp32",
}  # fmt: skip


def _config(size: str) -> Config:
    return resolve(Config, _COMMON | {"model.size": size, "model.dropout": 0.0})


def _task(size: str, folder: Path) -> Finetune:
    task = Finetune(_config(size))
    task.store = folder
    return task


def _model(task: Finetune) -> Any:
    """The same weights each time."""
    torch.manual_seed(0)
    return new_model(task.text.start.gpt2).train()


def _optimizer(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01, fused=True)


class Batches(IterableDataset[Batch]):
    """Whole batches of blocks, as heats gathers them."""

    def __init__(self, task: Finetune) -> None:
        self._data = task.build_data()

    def __iter__(self) -> Iterator[Batch]:
        for epoch in range(ENDLESS):
            order = torch.randperm(len(self._data), generator=torch.Generator().manual_seed(epoch))
            for index in range(len(self._data) // BATCH):
                yield self._data.gather(order[index * BATCH : (index + 1) * BATCH], BatchKey(0, epoch, index))


def bare(clock: Clock, size: str, folder: Path) -> None:
    """What one would write by hand, with the loss that transformers computes."""
    task = _task(size, folder)
    model = _model(task)
    optimizer = _optimizer(model)
    for step, batch in enumerate(Batches(task)):
        clock.tick()
        optimizer.zero_grad(set_to_none=True)
        loss: Tensor = model(**batch, use_cache=False).loss
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 10 == 0:
            loss.item()


def transformers_trainer(clock: Clock, size: str, folder: Path) -> None:
    """Hugging Face's Trainer on the same model and batches, silent."""
    task = _task(size, folder)
    _trainer(clock, _model(task), Batches(task), folder / f"transformers-{size}")


def _trainer(clock: Clock, model: Any, batches: IterableDataset[Batch], folder: Path) -> None:
    import transformers

    class Ticking(transformers.Trainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> DataLoader[Any]:
            return DataLoader(self.train_dataset, batch_size=None)

        def training_step(self, *words: Any, **named: Any) -> Tensor:
            clock.tick()
            result: Tensor = super().training_step(*words, **named)
            return result

    optimizer = _optimizer(model)
    constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    options = transformers.TrainingArguments(
        output_dir=str(folder), max_steps=ENDLESS, per_device_train_batch_size=BATCH,
        max_grad_norm=1.0, learning_rate=RATE, use_cpu=True, save_strategy="no", eval_strategy="no",
        logging_strategy="no", report_to=[], disable_tqdm=True,
    )  # fmt: skip
    Ticking(model=model, args=options, train_dataset=batches, optimizers=(optimizer, constant)).train()


def _heats(clock: Clock, name: str, made: Any, folder: Path) -> None:
    """The engine's loop on a task, with a real recorder that writes metrics, events and TensorBoard files."""
    config = made.config
    original = made.loss

    def loss(model: nn.Module, batch: Batch, context: StepContext) -> LossTerms:
        clock.tick()
        found: LossTerms = original(model, batch, context)
        return found

    made.loss = loss
    store = create_store(folder / f"store-{name}")
    run = create_run(store, task=name, slug="bench", config_yaml=dump_yaml(config), config_hash=config_hash(config))
    attempt = claim_attempt(run)
    made.store, made.folder = folder, run.folder
    recorder = Recorder(run, attempt, config, Control(run, attempt.number), EventLog(attempt.events))
    clock.settle = recorder.metrics.flush
    train(config, made, recorder)


def finetune(clock: Clock, size: str, folder: Path) -> None:
    """The task `finetune`."""
    _heats(clock, f"finetune-{size}", Finetune(_config(size)), folder)


def _conditional(size: str, **more: Any) -> Any:
    config_class = import_module("engine.tasks.conditional.config").Config
    task_class = import_module("engine.tasks.conditional.task").TASK
    known = {**_COMMON, "model.config": size, "model.dropout": 0.0, "train.accumulation": 1, "train.num_epochs": 0}
    del known["evaluation.test_at_end"]
    return task_class(resolve(config_class, known | more))


def conditional(clock: Clock, size: str, folder: Path) -> None:
    """The task `conditional`, which trains more tokens a sample than it has: those of X_c stand before the body."""
    _heats(clock, f"conditional-{size}", _conditional(size), folder)


def conditional_transformers(clock: Clock, size: str, folder: Path) -> None:
    """Hugging Face's Trainer on the model of `conditional` and the same batches, augmented by its loader."""
    task = _conditional(size, **{"augment.where": "external"})
    task.store = folder
    torch.manual_seed(0)
    model = task.build_model().train()
    _trainer(clock, model, _Augmented(task.build_data()), folder / f"conditional-transformers-{size}")


class _Augmented(IterableDataset[Batch]):
    """What the task's data gives to a model, batch after batch."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def __iter__(self) -> Iterator[Batch]:
        for epoch in range(ENDLESS):
            for index in range(self._data.sampler.batches_per_epoch):
                batch = self._data.gather(self._data.sampler.batch(epoch, index), BatchKey(0, epoch, index))
                yield {name: tensor for name, tensor in batch.items() if name != "scored"}


LOOPS: dict[str, tuple[Callable[[Clock, str, Path], Any], str | None]] = {
    "bare": (bare, None),
    "bare_again": (bare, None),
    "finetune": (finetune, None),
    "transformers": (transformers_trainer, "accelerate"),
    "conditional": (conditional, "engine.tasks.conditional"),
    "conditional_transformers": (conditional_transformers, "accelerate"),
}
"""By name, the loop and the module that it needs. `bare_again` shows how much of a difference is noise."""


def main(words: list[str]) -> None:
    """Run one loop until its conductor has had enough."""
    loop, size, folder, *numbers = words
    warmup, skipped, steps, inbox, outbox = (int(number) for number in numbers)
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)
    LOOPS[loop][0](Clock(Turn(warmup, skipped, steps), inbox, outbox), size, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
