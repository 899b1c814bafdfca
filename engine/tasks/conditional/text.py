"""The tokens of a run: of a text, or symbols drawn evenly in its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.store.paths import RunPaths
from engine.tasks.conditional.config import ConditionalDataSection, Config
from engine.tasks.conditional.layout import Ids
from engine.tasks.text.corpus import PARTS, Corpus, Part, lines, load_corpus
from engine.tasks.text.tokenizer import Tokenizer, chosen_tokenizer, pretrained_tokenizer, read_tokenizer
from engine.tasks.text.tokens import Stream, cache_folder, token_stream
from engine.train.from_run import SourceRun, open_run

TASK_NAME = "conditional"


@dataclass(frozen=True)
class Symbols:
    """In place of a tokenizer where there is no text: symbols 0 to n - 1, and behind them the special tokens."""

    count: int

    @property
    def bos(self) -> int:
        """Begins each sequence."""
        return self.count

    @property
    def eos(self) -> int:
        """Ends a document."""
        return self.count + 1

    @property
    def pad(self) -> int:
        """Stands where there is nothing."""
        return self.count + 2

    @property
    def mask(self) -> int:
        """Stands for what is unknown."""
        return self.count + 3

    @property
    def vocabulary(self) -> int:
        """How many ids there are."""
        return self.count + 4


@dataclass(frozen=True)
class Text:
    """All tokens of a run, by part, and what gives them their meaning."""

    tokenizer: Tokenizer | Symbols
    streams: dict[Part, Stream]
    source: SourceRun | None = None
    """The run that the weights come from, where it was read for its tokenizer."""

    @property
    def ids(self) -> Ids:
        """The special tokens."""
        return Ids.of(self.tokenizer)

    def symbols(self) -> Tensor:
        """The ids that are no special tokens, (S,) int64."""
        ids = self.ids
        special = torch.tensor([ids.bos, ids.eos, ids.pad, ids.mask])
        everything = torch.arange(ids.vocabulary)
        return everything[~torch.isin(everything, special)]


def load_text(config: Config, store: Path | None = None, folder: Path | None = None) -> Text:
    """The tokens that the options ask for; of text they are kept beside the store.

    Args:
        config: of the run.
        store: the folder of its store.
        folder: the run's; its tokenizer is kept there, for runs that start from it and for itself later.

    Raises:
        HeatsError: the corpus, the tokenizer or the run to start from isn't there, or there is too little text.
    """
    data = config.data
    if data.random_symbols:
        return Text(Symbols(data.random_symbols), _random_streams(data))
    corpus = load_corpus(data.corpus, data.root, download=data.download)
    kept = read_tokenizer(RunPaths(folder).model) if folder is not None else None
    source = None
    if kept is None and config.model.from_run is not None:
        source = open_run(store, config.model.from_run, TASK_NAME, place="model.from_run")
    tokenizer = kept or _tokenizer(config, corpus, source, store)
    if kept is None and folder is not None:
        tokenizer.save(RunPaths(folder).model)
    corpus, cache = _documents(corpus, data), cache_folder(store)
    return Text(tokenizer, {part: token_stream(corpus, part, tokenizer, cache) for part in PARTS}, source)


def _tokenizer(config: Config, corpus: Corpus, source: SourceRun | None, store: Path | None) -> Tokenizer:
    """What the weights to start from have learnt with; else what `data.tokenizer` names."""
    cache = cache_folder(store)
    if source is not None:
        found = read_tokenizer(source.run.model)
        if found is not None:
            return found
        theirs = source.config
        if isinstance(theirs, Config) and not theirs.data.random_symbols:  # of a version that kept none
            data = theirs.data
            return chosen_tokenizer(data, load_corpus(data.corpus, data.root, download=data.download), cache)
    if config.model.pretrained is not None:
        return pretrained_tokenizer(config.model.pretrained, download=config.data.download, place="model.pretrained")
    return chosen_tokenizer(config.data, corpus, cache)


def _documents(corpus: Corpus, data: ConditionalDataSection) -> Corpus:
    """The corpus with lines for documents where that is asked for, and no more of them than that."""
    found: dict[Part, tuple[str, ...]] = {}
    for part in PARTS:
        documents = corpus.part(part)
        rows = tuple(lines(documents)) if data.documents == "rows" else documents
        most = data.train_rows if part == "train" else data.eval_rows
        found[part] = rows if most < 0 else rows[:most]
    return Corpus(corpus.name, found["train"], found["validation"], found["test"])


def _random_streams(data: ConditionalDataSection) -> dict[Part, Stream]:
    """Symbols drawn evenly, the same for all seeds, as a corpus would be."""
    counts = {"train": data.random_tokens, "validation": data.random_tokens // 10, "test": data.random_tokens // 10}
    chance = np.random.Generator(np.random.PCG64(data.random_symbols))
    streams: dict[Part, Stream] = {}
    for part in PARTS:
        symbols = chance.integers(data.random_symbols, size=counts[part], dtype=np.uint16)
        if data.random_rows:
            symbols[chance.random(counts[part]) * data.random_rows < 1] = Symbols(data.random_symbols).eos
        streams[part] = symbols
    return streams
