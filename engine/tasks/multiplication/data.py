"""From pairs to tokens: the vocabulary, and every sample written once as fixed-length tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.tasks.multiplication.config import MultiplicationDataSection
from engine.tasks.multiplication.pairs import Ints, Pairs
from engine.train.task import Batch, BatchKey

# A digit's token is the digit. PAD is a token of its own: were it the digit 0, padding masks would hide zeros.
TIMES, PAD, BOS, EOS = 10, 11, 12, 13
VOCABULARY_SIZE = 14

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Layout:
    """How problems are written, and how much room they take."""

    max_digits: int
    """D, the most digits of an operand."""
    reverse: bool
    """The product's least significant digit comes first."""
    pad_operands: bool
    """Operands have leading zeros up to max_digits."""

    @classmethod
    def of(cls, data: MultiplicationDataSection) -> Layout:
        """The layout that the options ask for."""
        return cls(data.max_digits, data.reverse, data.pad_operands)

    @property
    def source_length(self) -> int:
        """S: both operands and the sign between them."""
        return 2 * self.max_digits + 1

    @property
    def target_length(self) -> int:
        """T: the longest product and EOS."""
        return 2 * self.max_digits + 1


def digits_of(values: Ints, width: int) -> Ints:
    """Decimal digits, least significant first.

    Args:
        values: (N,) non-negative.
        width: how many digits, leading zeros included.

    Returns:
        (N, width).
    """
    digits: Ints = values[:, None] // 10 ** np.arange(width, dtype=np.int64) % 10
    return digits


def length_of(values: Ints) -> Ints:
    """How many digits each positive number has, (N,)."""
    lengths: Ints = (values[:, None] >= 10 ** np.arange(18, dtype=np.int64)).sum(axis=1)
    return lengths


def write_problems(first: Ints, second: Ints, layout: Layout) -> Bytes:
    """`first*second` as tokens, most significant digits first, followed by PAD: (N, S)."""
    width = layout.max_digits
    lengths = [np.full(len(values), width) if layout.pad_operands else length_of(values) for values in (first, second)]
    place = np.arange(layout.source_length)
    times_at = lengths[0][:, None]
    end = times_at + 1 + lengths[1][:, None]
    significance = np.where(place < times_at, times_at - 1 - place, end - 1 - place)
    both = np.concatenate([digits_of(first, width), digits_of(second, width)], axis=1)
    column = np.where(place < times_at, significance, width + significance).clip(0, 2 * width - 1)
    tokens = np.take_along_axis(both, column, axis=1)
    tokens = np.where(place == times_at, TIMES, tokens)
    return np.where(place >= end, PAD, tokens).astype(np.uint8)


def write_products(first: Ints, second: Ints, layout: Layout) -> Bytes:
    """The products as tokens in the order asked for, then EOS, then PAD: (N, T)."""
    products = first * second
    digits = digits_of(products, layout.target_length - 1)
    lengths = length_of(products)[:, None]
    place = np.arange(layout.target_length)
    tokens = np.take_along_axis(digits, _significance(place, lengths, layout), axis=1)
    tokens = np.where(place == lengths, EOS, tokens)
    return np.where(place > lengths, PAD, tokens).astype(np.uint8)


def write_column_sums(first: Ints, second: Ints, layout: Layout) -> NDArray[np.int16]:
    """For each place of the product, the running column sum of the digit that stands there: (N, T), 0 past the digits.

    The sum of column k is that of all a_i b_j with i + j = k plus the carry out of column k - 1; the digit is its
    remainder by ten (arXiv 2510.00184).
    """
    width, columns = layout.max_digits, layout.target_length - 1
    a, b = digits_of(first, width), digits_of(second, width)
    sums = np.zeros((len(first), columns), dtype=np.int64)
    for i in range(width):
        sums[:, i : i + width] += a[:, i : i + 1] * b
    for k in range(1, columns):
        sums[:, k] += sums[:, k - 1] // 10
    lengths = length_of(first * second)[:, None]
    place = np.arange(layout.target_length)
    written = np.take_along_axis(sums, _significance(place, lengths, layout), axis=1)
    return np.where(place < lengths, written, 0).astype(np.int16)


def _significance(place: Ints, lengths: Ints, layout: Layout) -> Ints:
    """Which digit of the product stands at each place, (N, T); any digit where none stands."""
    significance = np.broadcast_to(place, (len(lengths), len(place))) if layout.reverse else lengths - 1 - place
    return significance.clip(0, layout.target_length - 2)


class ProductData:
    """Training samples: one an unordered pair, written once when built.

    In which order a pair is read, a*b or b*a, is drawn anew for every batch from the batch's own generator: an epoch
    shows each pair once, and both orders are seen over time without doubling the epoch.
    """

    def __init__(self, pairs: Pairs, layout: Layout, *, column_sums: bool) -> None:
        orders = [(pairs.smaller, pairs.larger), (pairs.larger, pairs.smaller)]
        self.sources = torch.from_numpy(np.stack([write_problems(a, b, layout) for a, b in orders]))
        """(2, N, S) uint8, by order."""
        self.targets = torch.from_numpy(write_products(pairs.smaller, pairs.larger, layout))
        """(N, T) uint8."""
        self.column_sums = (
            torch.from_numpy(write_column_sums(pairs.smaller, pairs.larger, layout)) if column_sums else None
        )
        """(N, T) int16, where asked for."""

    def __len__(self) -> int:
        return len(self.targets)

    def gather(self, indices: Tensor, key: BatchKey) -> Batch:
        """`source` (B, S) and `target` (B, T), int64; `column_sums` (B, T) float32 where there are any."""
        order = torch.randint(2, (len(indices),), generator=key.generator())
        batch = {"source": self.sources[order, indices].long(), "target": self.targets[indices].long()}
        if self.column_sums is not None:
            batch["column_sums"] = self.column_sums[indices].float()
        return batch


@dataclass(frozen=True)
class HeldOut:
    """Held-out problems: every pair in both orders, squares once."""

    source: Tensor
    """(N, S) int64."""
    target: Tensor
    """(N, T) int64."""
    column_sums: Tensor
    """(N, T) float32."""
    digits: tuple[tuple[int, int], ...]
    """Which combinations of operand lengths there are, the shorter first."""
    combination: Tensor
    """(N,) int64: the index in `digits`."""

    @classmethod
    def of(cls, pairs: Pairs, layout: Layout) -> HeldOut:
        """Write the problems of these pairs."""
        turned = pairs.smaller != pairs.larger
        first = np.concatenate([pairs.smaller, pairs.larger[turned]])
        second = np.concatenate([pairs.larger, pairs.smaller[turned]])
        lengths = np.stack([length_of(np.minimum(first, second)), length_of(np.maximum(first, second))], axis=1)
        kinds, combination = np.unique(lengths, axis=0, return_inverse=True)
        return cls(
            source=torch.from_numpy(write_problems(first, second, layout)).long(),
            target=torch.from_numpy(write_products(first, second, layout)).long(),
            column_sums=torch.from_numpy(write_column_sums(first, second, layout)).float(),
            digits=tuple((int(short), int(long)) for short, long in kinds),
            combination=torch.from_numpy(combination.reshape(-1)).long(),
        )

    def __len__(self) -> int:
        return len(self.source)
