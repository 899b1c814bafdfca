"""`python -m tests.bench.conditional_step`: what share of a step of the task `conditional` its augmentation takes."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from engine.config.resolve import resolve
from engine.tasks.conditional.config import Config
from engine.tasks.conditional.data import model_inputs
from engine.tasks.conditional.task import Conditional
from engine.train import optim
from engine.train.task import Batch, BatchKey, StepContext
from tests.bench.report import emit, median, quartiles

BATCH = 8
_CPU = torch.device("cpu")


def measure(size: str, block: int, rounds: int) -> None:
    """Steps, and the parts of them that draw, split and write down, in turns; CPU time, which neighbours don't add to.

    Args:
        size: of the model.
        block: body tokens.
        rounds: how many turns each has.
    """
    options = {
        "model.config": size, "data.block_size": block, "train.batch_size": BATCH, "train.accumulation": 1,
        "train.device": "cpu", "data.corpus": "embedded",
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="heats-bench-") as folder:
        task = Conditional(resolve(Config, options))
        task.store = Path(folder)
        data = task.build_data()
        model = task.build_model().train()
        optimizer = optim.build_optimizer(task.config.optim, optim.decay_groups(model, 0.1), _CPU)
        per_epoch = data.sampler.batches_per_epoch

        def gathered(number: int) -> Batch:
            epoch, index = divmod(number, per_epoch)
            return data.gather(data.sampler.batch(epoch, index), BatchKey(0, epoch, index))

        def augmented(number: int) -> Any:
            return model_inputs(gathered(number), task.layout, detach=False)

        def step(number: int) -> Any:
            optimizer.zero_grad(set_to_none=True)
            context = StepContext(number, 1000, _CPU, torch.Generator())
            ((_, loss),) = task.loss(model, gathered(number), context).values()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

        def plain(number: int) -> Any:
            return data.blocks.rows(data.sampler.batch(0, number % per_epoch))

        for number in range(3):
            step(number)
        augmentation, whole = [], []
        for number in range(rounds):
            whole.append(_cpu_ms(step, number))
            augmentation.append(_cpu_ms(augmented, number) - _cpu_ms(plain, number))
    share = median([part / total for part, total in zip(augmentation, whole, strict=True)])
    emit(
        f"conditional_step/{size}/L{block}/augmentation", share, "share of a step", target=0.05,
        augmentation_cpu_ms=median(augmentation), step_cpu_ms=median(whole), quartiles=quartiles(whole), batch=BATCH,
        rounds=rounds,
    )  # fmt: skip


def _cpu_ms(work: Callable[[int], Any], number: int) -> float:
    began = time.process_time()
    work(number)
    return 1e3 * (time.process_time() - began)


def main() -> None:
    """Measure at two lengths."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", choices=["nano", "tiny", "small", "distilgpt2"], action="append")
    parser.add_argument("--block", type=int, action="append")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for size in arguments.size or ["nano", "tiny"]:
        for block in arguments.block or [128, 1023]:
            measure(size, block, arguments.rounds)


if __name__ == "__main__":
    main()
