"""Text as one stream of numbers on disk, and the samples that are cut from it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.errors import MachineError
from engine.tasks.text.corpus import Corpus, Part, lines
from engine.tasks.text.tokenizer import Tokenizer
from engine.train.task import Batch, BatchKey

LINE_TOKENS = 128
"""Where the classic tiny data set cuts a line."""
IGNORED = -100
"""The label of what is not predicted."""
Stream = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
_DOCUMENTS_AT_ONCE = 256


def cache_folder(store: Path | None) -> Path:
    """Where tokenizers and tokens are kept: beside the runs of a store, or without one in the user's cache."""
    if store is not None:
        return store / ".cache" / "text"
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "heats" / "text"


def token_stream(corpus: Corpus, part: Part, tokenizer: Tokenizer, cache: Path) -> Stream:
    """All tokens of a part, each document followed by EOS: read-only, mapped from a file that is written once.

    Args:
        corpus, part: which text.
        tokenizer: what cuts it.
        cache: a folder, made if needed. Several processes may use it at once: each writes aside and renames.

    Raises:
        MachineError: it can't be written.
    """
    kind = np.dtype(np.uint16 if tokenizer.vocabulary <= 2**16 else np.uint32)
    key = f"{corpus.digests[part]} {tokenizer.digest} document EOS 1"
    path = cache / "tokens" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.{kind.name}"
    with contextlib.suppress(OSError, ValueError):
        return np.memmap(path, dtype=kind, mode="r")
    temporary = path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}.{threading.get_ident():x}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            documents = corpus.part(part)
            for start in range(0, len(documents), _DOCUMENTS_AT_ONCE):
                for ids in tokenizer.encode(documents[start : start + _DOCUMENTS_AT_ONCE]):
                    file.write(np.asarray([*ids, tokenizer.eos], dtype=kind).tobytes())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        return np.memmap(path, dtype=kind, mode="r")
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise MachineError(f"can't be written ({error.strerror})", place=str(path)) from error


class Blocks:
    """Training samples: the stream in blocks of one length, side by side. What is left at its end is not used.

    Args:
        stream: (N,) token ids.
        block_size: tokens in a sample.
    """

    def __init__(self, stream: Stream, block_size: int) -> None:
        self.stream = stream
        self.block_size = block_size

    def __len__(self) -> int:
        return len(self.stream) // self.block_size

    def rows(self, indices: Tensor) -> Tensor:
        """(B, block_size) int64: the blocks at these places."""
        whole = self.stream[: len(self) * self.block_size].reshape(-1, self.block_size)
        return torch.from_numpy(whole[indices.numpy()].astype(np.int64))

    def gather(self, indices: Tensor, key: BatchKey) -> Batch:
        """`input_ids` and `labels`, (B, block_size) int64, the same: a model shifts them."""
        ids = self.rows(indices)
        return {"input_ids": ids, "labels": ids}


@dataclass(frozen=True)
class Rows:
    """Samples of different lengths, padded in a batch to its longest."""

    rows: tuple[tuple[int, ...], ...]
    """The ids of each."""
    filler: int
    """The id that padding has: any, since it is neither seen nor predicted."""

    def __len__(self) -> int:
        return len(self.rows)

    def gather(self, indices: Tensor, key: BatchKey) -> Batch:
        """`input_ids`, `labels` (-100 at padding) and `attention_mask` (1 where there is a token), (B, T) int64."""
        return self.batch([self.rows[place] for place in indices.tolist()])

    def batch(self, rows: Sequence[Sequence[int]]) -> Batch:
        """The same of given rows. Padding is known by its place, never by its id."""
        longest = max(map(len, rows))
        ids = torch.full((len(rows), longest), self.filler, dtype=torch.int64)
        lengths = torch.tensor([len(row) for row in rows])
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row, dtype=torch.int64)
        there = torch.arange(longest) < lengths.unsqueeze(1)
        return {
            "input_ids": ids,
            "labels": ids.masked_fill(~there, IGNORED),
            "attention_mask": there.to(torch.int64),
        }


def classic_rows(documents: Sequence[str], tokenizer: Tokenizer, max_tokens: int) -> Rows:
    """The classic tiny data set: lines in their order, cut at 128 tokens, until so many tokens are reached.

    Args:
        documents: whose lines; empty ones are left out.
        tokenizer: what cuts them into tokens.
        max_tokens: the line that reaches this number is the last one.
    """
    kept: list[tuple[int, ...]] = []
    total = 0
    found = lines(documents)
    for start in range(0, len(found), _DOCUMENTS_AT_ONCE):
        for ids in tokenizer.encode(found[start : start + _DOCUMENTS_AT_ONCE]):
            if len(ids) < 2:  # nothing of it is predicted
                continue
            kept.append(tuple(ids[:LINE_TOKENS]))
            total += len(kept[-1])
            if total >= max_tokens:
                return Rows(tuple(kept), tokenizer.eos)
    return Rows(tuple(kept), tokenizer.eos)


class Windows:
    """What is evaluated: windows over the stream in which each token is predicted once, the very first one never.

    Args:
        stream: (N,) token ids.
        block_size: tokens in a window.
        stride: from one window's start to the next's; 0 is block_size, where a window's first token is predicted from
            nothing and hence not at all.
    """

    def __init__(self, stream: Stream, block_size: int, stride: int = 0) -> None:
        self.stream = stream
        self.block_size = block_size
        self.stride = min(stride or block_size, block_size)

    def __len__(self) -> int:
        beyond = max(0, len(self.stream) - self.block_size)
        windows = 1 + -(-beyond // self.stride)
        # A last window of one token would predict nothing.
        return windows - (self.stride == self.block_size and windows > 1 and len(self.stream) % self.block_size == 1)

    def batch(self, first: int, last: int) -> Batch:
        """Windows first to last - 1: `input_ids` and `labels`, (B, block_size) int64, -100 where not to be predicted.

        The last window is padded at its end, where causal attention keeps what is predicted from seeing it.
        """
        ids = torch.zeros((last - first, self.block_size), dtype=torch.int64)
        labels = torch.full_like(ids, IGNORED)
        for place, window in enumerate(range(first, last)):
            start = window * self.stride
            found = torch.from_numpy(self.stream[start : start + self.block_size].astype(np.int64))
            ids[place, : len(found)] = found
            fresh = 0 if window == 0 else self.block_size - self.stride
            labels[place, fresh : len(found)] = found[fresh:]
        return {"input_ids": ids, "labels": labels}


def predicted_pairs(batch: Batch) -> tuple[Tensor, Tensor]:
    """Of what a batch predicts, the token before and the token itself: (P,) int64 each, as the shifted loss sees it."""
    before, targets = batch["input_ids"][:, :-1], batch["labels"][:, 1:]
    counted = targets != IGNORED
    return before[counted], targets[counted]
