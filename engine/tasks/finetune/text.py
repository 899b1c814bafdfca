"""What a run reads: its tokenizer, the shape of its model, its samples, and what it is evaluated on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.errors import HeatsError
from engine.tasks.finetune.config import Config
from engine.tasks.text.corpus import PARTS, Corpus, Part, load_corpus
from engine.tasks.text.floors import Counts, Floors
from engine.tasks.text.models import describe, described, gpt2_config, pretrained_config
from engine.tasks.text.tokenizer import Tokenizer, chosen_tokenizer, pretrained_tokenizer
from engine.tasks.text.tokens import (
    LINE_TOKENS,
    Blocks,
    Rows,
    Stream,
    Windows,
    cache_folder,
    classic_rows,
    predicted_pairs,
    token_stream,
)
from engine.train.from_run import SourceRun, open_run
from engine.train.task import Batch

TASK_NAME = "finetune"
_MOST_COUNTED = 20_000_000
_LOGITS_AT_ONCE = 2**24


@dataclass(frozen=True)
class Start:
    """What a run's model is like, and what cuts its text."""

    tokenizer: Tokenizer
    gpt2: Any
    """A `GPT2Config`."""
    source: SourceRun | None = None
    """The run that the weights come from; read only where it is needed."""


def find_start(config: Config, corpus: Corpus, store: Path | None, folder: Path | None) -> Start:
    """As the run's own folder says once it has begun; else from the run, the model or the size that the config names.

    Args:
        config: of the run.
        corpus: whose training part an own tokenizer learns from.
        store: the folder of the run's store.
        folder: the run's; what is found is written there.

    Raises:
        HeatsError: what the config names isn't there, or blocks are longer than the model's positions.
    """
    start = _own_start(config, folder) or _new_start(config, corpus, store)
    positions = int(start.gpt2.n_positions)
    if config.data.block_size > positions:
        raise HeatsError(
            f"blocks of {config.data.block_size} tokens are longer than the {positions} positions of the model",
            place="data.block_size",
        )
    if start.tokenizer.base > start.gpt2.vocab_size:
        raise HeatsError(
            f"its tokenizer knows {start.tokenizer.base:,} tokens and the model {start.gpt2.vocab_size:,}: they don't "
            "belong together", place="model.name" if config.model.name is not None else "model.from_run",
        )  # fmt: skip
    if folder is not None:
        describe(folder, start.gpt2, start.tokenizer)
    return start


def _own_start(config: Config, folder: Path | None) -> Start | None:
    found = described(folder) if folder is not None else None
    if found is None:
        return None
    options = config.model
    return Start(found.tokenizer, found.config(dropout=options.dropout, attention=options.attention))


def _new_start(config: Config, corpus: Corpus, store: Path | None) -> Start:
    options, download = config.model, config.data.download
    if options.from_run is not None:
        source = open_run(store, options.from_run, TASK_NAME, place="model.from_run")
        found = described(source.run.folder)
        if found is None:
            raise HeatsError(f"{source.run.id} has lost its folder `model`", place="model.from_run")
        return Start(found.tokenizer, found.config(dropout=options.dropout, attention=options.attention), source)
    if options.name is not None:
        gpt2 = pretrained_config(options.name, dropout=options.dropout, attention=options.attention, download=download)
        return Start(pretrained_tokenizer(options.name, download=download, place="model.name"), gpt2)
    tokenizer = chosen_tokenizer(config.data, corpus, cache_folder(store))
    return Start(tokenizer, gpt2_config(options.size, tokenizer, dropout=options.dropout, attention=options.attention))


class Text:
    """The text of a run as samples.

    Args:
        config: of the run.
        store: the folder of its store, beside which tokens are kept.
        folder: the run's.

    Raises:
        HeatsError: the text or what the run starts from isn't there, or there is too little text.
    """

    def __init__(self, config: Config, store: Path | None, folder: Path | None) -> None:
        self._options = config.data
        self._cache = cache_folder(store)
        self.corpus = load_corpus(config.data.corpus, config.data.root, download=config.data.download)
        self.start = find_start(config, self.corpus, store, folder)
        self._classic = {part: self._classic_rows(part) for part in PARTS} if config.data.max_tokens else {}
        self.train: Blocks | Rows = self._classic["train"] if self._classic else self._blocks()
        self._floors: dict[str, Floors] = {}

    @property
    def tokenizer(self) -> Tokenizer:
        return self.start.tokenizer

    def _classic_rows(self, part: Part) -> Rows:
        found = classic_rows(self.corpus.part(part), self.tokenizer, self._options.max_tokens)
        if not len(found):
            raise HeatsError(
                f"the {part} part of {self.corpus.name} has no line of two tokens", place="data.max_tokens",
                remedy="set it to 0, for blocks instead of lines",
            )  # fmt: skip
        return found

    def _stream(self, part: Part) -> Stream:
        return token_stream(self.corpus, part, self.tokenizer, self._cache)

    def _blocks(self) -> Blocks:
        found = Blocks(self._stream("train"), self._options.block_size)
        if not len(found):
            raise HeatsError(
                f"the train part of {self.corpus.name} has not even one block of {self._options.block_size} tokens",
                place="data.block_size",
            )
        return found

    def evaluated(self, split: str) -> list[Batch]:
        """All batches of a split, `val` or `test`, of a size whose logits fit into memory."""
        part: Part = "test" if split == "test" else "validation"
        length = LINE_TOKENS if self._classic else self._options.block_size
        rows = max(1, _LOGITS_AT_ONCE // (length * self.tokenizer.vocabulary))
        if self._classic:
            found = self._classic[part]
            return [found.batch(found.rows[start : start + rows]) for start in range(0, len(found), rows)]
        windows = Windows(self._stream(part), self._options.block_size, self._options.stride)
        count = len(windows)
        return [windows.batch(start, min(start + rows, count)) for start in range(0, count, rows)]

    @cached_property
    def counts(self) -> Counts:
        """Of the training samples; of very long ones, of the first 20 million tokens."""
        stream: Any
        if isinstance(self.train, Rows):
            stream = np.concatenate([np.asarray(row) for row in self.train.rows])
        else:
            stream = self.train.stream[:_MOST_COUNTED]
        return Counts(stream, self.tokenizer.vocabulary)

    def floors(self, split: str, batches: list[Batch]) -> Floors:
        """What counting achieves on the tokens that these batches of a split predict."""
        if split not in self._floors:
            pairs = [predicted_pairs(batch) for batch in batches]
            before, targets = (torch.cat(side).numpy() for side in zip(*pairs, strict=True))
            self._floors[split] = self.counts.floors(before, targets)
        return self._floors[split]
