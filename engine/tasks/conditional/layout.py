"""How a sequence is written down for a model: [tokens of X_c] [BOS] [body], or in another order for SigmaGPT.

All of it is whole numbers and truth values: no gradient can flow through, and detaching changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.tasks.conditional.sampling import Split
from engine.tasks.text.tokens import IGNORED
from engine.train.task import Batch


@dataclass(frozen=True)
class Ids:
    """The special tokens, four different ids, and how many ids there are in all."""

    bos: int
    eos: int
    pad: int
    mask: int
    vocabulary: int

    @classmethod
    def of(cls, tokenizer: Any) -> Ids:
        """Those of a `text.tokenizer.Tokenizer`."""
        return cls(tokenizer.bos, tokenizer.eos, tokenizer.pad, tokenizer.mask, tokenizer.vocabulary)


def valid_positions(tokens: Tensor, ids: Ids, *, pad_is_eos: bool) -> Tensor:
    """(B, L) bool: blocks have no padding, so all; under the defect the end of a document counts as padding."""
    return tokens != ids.eos if pad_is_eos else torch.ones_like(tokens, dtype=torch.bool)


def augment(
    tokens: Tensor, valid: Tensor, split: Split, ids: Ids, *, sealed: bool = True, width: int | None = None
) -> Batch:
    """The conditional layout of a batch; T = width + 1 + L.

    Shorter prefixes are padded at their left, so that BOS and body stand in the same columns of all rows.

    Args:
        tokens: (B, L) int64.
        valid: (B, L) bool; valid positions that are neither given nor scored become [M].
        split: X_c and X_e.
        ids: the special tokens.
        sealed: the prefix sees itself only; else it sees the body as well.
        width: columns of the prefix, the greatest |X_c| of the batch, where that is known without asking the device.

    Returns:
        `input_ids`, `position_ids`, `labels` (B, T) int64, and `attention_mask` (B, 1, T, T) bool, true where a row
        may attend to a column. Labels are -100 but at the places of X_e: a model shifts them.
    """
    rows, length = tokens.shape
    given, scored = split
    if width is None:
        width = int(given.sum(1).amax())
    # In a stable order by `given` the positions of X_c come last, from left to right.
    last = given.to(torch.uint8).argsort(dim=1, stable=True)[:, length - width :]
    real = given.gather(1, last)
    body = torch.where(valid & ~given & ~scored, ids.mask, tokens)
    begin = tokens.new_full((rows, 1), ids.bos)
    places = torch.arange(length + 1, device=tokens.device).expand(rows, -1)
    prefix_labels = tokens.new_full((rows, width + 1), IGNORED)
    return {
        "input_ids": torch.cat([torch.where(real, tokens.gather(1, last), ids.pad), begin, body], 1),
        "position_ids": torch.cat([torch.where(real, last + 1, 0), places], 1),
        "labels": torch.cat([prefix_labels, torch.where(scored, tokens, IGNORED)], 1),
        "attention_mask": attention_mask(real, length + 1, sealed=sealed),
    }


def attention_mask(real: Tensor, body: int, *, sealed: bool) -> Tensor:
    """(B, 1, T, T) bool: who may attend to whom.

    Padding sees itself, since a row that sees nothing would be NaN, and is seen by nobody else.

    Args:
        real: (B, W) bool, which columns of the prefix aren't padding.
        body: columns of BOS and body.
        sealed: whether the prefix sees the prefix only.
    """
    rows, width = real.shape
    place = torch.arange(width + body, device=real.device)
    row, column = place[:, None], place
    allowed = (column < width) | ((row >= width) & (column <= row))
    if not sealed:
        allowed = allowed | (row < width)
    there = torch.cat([real, real.new_ones(rows, body)], 1)
    return ((allowed & there[:, None, :]) | torch.eye(width + body, dtype=torch.bool, device=real.device))[:, None]


def plain(tokens: Tensor, ids: Ids) -> Batch:
    """[BOS] [body], from left to right: the layout of the baseline. T = 1 + L; nothing but causality masks."""
    rows, length = tokens.shape
    begin = tokens.new_full((rows, 1), ids.bos)
    places = torch.arange(length + 1, device=tokens.device).expand(rows, -1)
    written = torch.cat([begin, tokens], 1)
    return {
        "input_ids": written,
        "position_ids": places,
        "labels": torch.cat([torch.full_like(begin, IGNORED), tokens], 1),
    }


def shuffled(tokens: Tensor, split: Split, ids: Ids, scores: Tensor | None, *, full: bool = False) -> Batch:
    """[BOS] [tokens of X_c] [tokens of X_e], each with its position and the next token's. T = 1 + L.

    What is neither given nor scored stands behind, where causal attention keeps everything from seeing it.

    Args:
        tokens: (B, L) int64.
        split: X_c and X_e.
        ids: the special tokens.
        scores: (B, L) between 0 and 1, the order within X_c and within X_e; from left to right without it.
        full: X_c is scored as well.
    """
    given, scored = split
    group = torch.where(given, 0, torch.where(scored, 1, 2))
    if scores is None:
        order = group.argsort(dim=1, stable=True)
    else:
        within = scores.argsort(dim=1, stable=True)
        order = within.gather(1, group.gather(1, within).argsort(dim=1, stable=True))
    written, sorted_group = tokens.gather(1, order), group.gather(1, order)
    edge = tokens.new_zeros(len(tokens), 1)
    counted = sorted_group <= 1 if full else sorted_group == 1
    return {
        "input_ids": torch.cat([edge + ids.bos, torch.where(sorted_group < 2, written, ids.pad)], 1),
        "position_ids": torch.cat([edge, order + 1], 1),
        "next_position_ids": torch.cat([order + 1, edge], 1),
        "labels": torch.cat([edge + IGNORED, torch.where(counted, written, IGNORED)], 1),
    }
