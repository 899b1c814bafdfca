"""Tiny models, and short runs of the task in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from engine.config.resolve import resolve
from engine.store.paths import RunPaths
from engine.tasks.finetune.config import Config
from engine.tasks.finetune.task import Finetune
from engine.train.loop import Outcome
from tests.engine.train.attempts import run_of, train_here

VOCABULARY, WIDTH, HEADS, LAYERS = 61, 16, 4, 3


def tiny_model(attention: str = "sdpa", dropout: float = 0.0) -> Any:
    """A GPT-2 of three layers with weights large enough to tell everything apart."""
    from transformers.models.gpt2.configuration_gpt2 import GPT2Config
    from transformers.models.gpt2.modeling_gpt2 import GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=32, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, resid_pdrop=dropout,
        embd_pdrop=dropout, attn_pdrop=dropout, use_cache=False, initializer_range=0.5, attn_implementation=attention,
    )  # fmt: skip
    return GPT2LMHeadModel(config).eval()


def ids(rows: int = 2, length: int = 9, seed: int = 1) -> torch.Tensor:
    """(rows, length) token ids."""
    return torch.randint(VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))


TEXT = "".join(
    f"The {thing} number {number} is {number * number % 97} steps from the {other}, and the {other} is near.\n"
    for number in range(120)
    for thing, other in (("house", "river"), ("tower", "forest"), ("bridge", "market"))
)
"""A text that is learnt in a moment."""

TINY: dict[str, Any] = {
    "model.size": "nano",
    "model.dropout": 0.0,
    "data.vocabulary": 300,
    "data.block_size": 16,
    "train.batch_size": 4,
    "train.max_steps": 12,
    "train.save_every": 4,
    "train.log_every": 2,
    "train.device": "cpu",
    "train.num_threads": 1,
    "evaluation.every": 5,
    "evaluation.test_at_end": False,
    "schedule.warmup_steps": 2,
    "checkpoint.keep_last": 9,
    "optim.lr": 0.003,
}
"""A run of a second; needs `data.corpus`."""


def tiny(folder: Path, values: dict[str, Any] | None = None) -> Config:
    """A config of such a run; its text is written into a folder."""
    path = folder / "text.txt"
    if not path.exists():
        path.write_text(TEXT)
    return resolve(Config, TINY | {"data.corpus": str(path)} | (values or {}))


def make_run(root: Path, config: Config) -> RunPaths:
    """Its folder, without an attempt."""
    return run_of(root, "finetune", config)


def train_attempt(run: RunPaths, config: Config, *, stop_at: int | None = None) -> tuple[Outcome, Finetune]:
    """One attempt; later ones resume."""
    task = Finetune(config)
    return train_here(run, task, stop_at=stop_at), task


def trained(folder: Path, values: dict[str, Any] | None = None) -> tuple[RunPaths, Finetune]:
    """A run, trained to its end, in the store `runs` of a folder."""
    config = tiny(folder, values)
    run = make_run(folder / "runs", config)
    return run, train_attempt(run, config)[1]
