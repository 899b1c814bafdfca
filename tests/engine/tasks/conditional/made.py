"""Small runs of the task, and models and batches that are quick to make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.config.resolve import resolve
from engine.store.paths import RunPaths
from engine.tasks.conditional.config import Config
from engine.tasks.conditional.layout import Ids
from engine.tasks.conditional.model import build_model
from engine.tasks.conditional.sampling import Split, SplitRules, split
from engine.tasks.conditional.task import Conditional
from engine.tasks.conditional.text import Symbols
from engine.train.loop import Outcome
from tests.engine.train.attempts import run_of, train_here

SYMBOLS = Symbols(8)
IDS = Ids.of(SYMBOLS)
TINY: dict[str, Any] = {
    "model.config": "nano",
    "data.random_symbols": 8,
    "data.random_tokens": 1000,
    "data.block_size": 12,
    "data.log_digests": True,
    "train.batch_size": 4,
    "train.accumulation": 2,
    "train.num_epochs": 0.5,
    "train.log_every": 2,
    "train.save_every": 0,
    "train.num_threads": 1,
    "train.device": "cpu",
    "evaluation.every": 4,
    "evaluation.blocks": 5,
    "evaluation.batch_size": 2,
    "checkpoint.keep_last": 20,
}
"""83 blocks, an epoch of 20 batches, 5 optimizer steps; well under a second."""


def config_of(values: dict[str, Any] | None = None) -> Config:
    """The config of a tiny run with some values changed."""
    return resolve(Config, TINY | (values or {}))


def model_of(values: dict[str, Any] | None = None, seed: int = 0) -> Any:
    """A new model without dropout, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_model(config_of({"model.dropout": 0.0} | (values or {})), SYMBOLS).eval()


def tokens_of(rows: int, length: int, seed: int = 0) -> Tensor:
    """Random symbols, (rows, length)."""
    return torch.randint(8, (rows, length), generator=torch.Generator().manual_seed(seed))


def split_of(tokens: Tensor, rules: SplitRules | None = None, seed: int = 0) -> Split:
    """A split of sequences all of whose positions are valid."""
    rules = rules or SplitRules(0.0, 0.6)
    rows, length = tokens.shape
    draws = rules.draws(rows, length, torch.Generator().manual_seed(seed))
    return split(draws, torch.ones_like(tokens, dtype=torch.bool), rules)


def make_run(root: Path, values: dict[str, Any] | None = None) -> RunPaths:
    """A run's folder without an attempt."""
    config = config_of(values)
    return run_of(root, "conditional", config, config.slug())


def train_run(
    run: RunPaths, values: dict[str, Any] | None = None, *, stop_at: int | None = None
) -> tuple[Outcome, Conditional]:
    """One attempt in this process; later ones resume."""
    task = Conditional(config_of(values))
    return train_here(run, task, stop_at=stop_at), task


def trained(root: Path, values: dict[str, Any] | None = None) -> RunPaths:
    """A tiny run, trained in one go."""
    run = make_run(root, values)
    train_run(run, values)
    return run
