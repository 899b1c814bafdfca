"""Which positions are given and which are scored: X_c and X_e of many sequences at once, on any device.

All chance is in `draws`, numbers between 0 and 1 made on the CPU from a batch's own generator. What is made of them is
a function of these numbers alone, so that it doesn't matter where it is computed, by whom, and how often.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

_SCALARS = 3
_ARRAYS = 3


class Split(NamedTuple):
    """For each position of each sequence, (B, L) bool: neither is true for what is unknown and not scored."""

    given: Tensor
    """X_c."""
    scored: Tensor
    """X_e."""


@dataclass(frozen=True)
class SplitRules:
    """How X_c and X_e are drawn. Percentages are shares, 0 to 1."""

    cond_min: float
    cond_max: float
    """|X_c| is uniform between these shares of the valid positions."""
    eval_min: float = 1.0
    eval_max: float = 1.0
    """|X_e| is uniform between these shares of what X_c leaves."""
    max_blocks: int | None = None
    """X_c lies in so many blocks at most; as many as it has positions without it."""
    keep_leftovers: bool = True
    """False: the old sampler, which cuts at most one block from each run of neighbouring valid positions and throws
    the rest of the run away, so that X_c starves."""

    @property
    def whole(self) -> bool:
        """Whether X_e is all that X_c leaves."""
        return self.eval_min >= 1.0

    def draws(self, rows: int, length: int, generator: torch.Generator) -> Tensor:
        """The chance in so many splits of sequences of this length: (rows, n) fp32 on the CPU."""
        parts = 1 if self.whole else 2
        return torch.rand(rows, parts * (_SCALARS + _ARRAYS * length), generator=generator)


def split(draws: Tensor, valid: Tensor, rules: SplitRules) -> Split:
    """X_c and X_e, disjoint.

    Args:
        draws: (B, n), from `rules.draws`.
        valid: (B, L) bool, the positions to choose from. At least one a row is left for X_e.
        rules: how.
    """
    length = valid.shape[1]
    width = _SCALARS + _ARRAYS * length
    sizes = valid.sum(1)
    wanted = given_counts(draws, sizes, rules)
    given = blocks(draws[:, :width], valid, wanted, rules.max_blocks, keep_leftovers=rules.keep_leftovers)
    rest = valid & ~given
    if rules.whole:
        return Split(given, rest)
    sizes = rest.sum(1)
    own = draws[:, width:]
    wanted = _counts(own, sizes, rules.eval_min, rules.eval_max).clamp(min=1).minimum(sizes)
    return Split(given, blocks(own, rest, wanted, None, keep_leftovers=rules.keep_leftovers))


def given_counts(draws: Tensor, sizes: Tensor, rules: SplitRules) -> Tensor:
    """|X_c| of each sequence, (B,) int64, from the numbers of its valid positions. One of them is left for X_e."""
    return _counts(draws, sizes, rules.cond_min, rules.cond_max).minimum((sizes - 1).clamp(min=0))


def _counts(draws: Tensor, sizes: Tensor, low: float, high: float) -> Tensor:
    """Uniform between two shares of `sizes`, rounded up or down at random so that the mean is exact."""
    share = low + (high - low) * draws[:, 0]
    return (share * sizes + draws[:, 1]).floor().long().minimum(sizes)


def blocks(draws: Tensor, valid: Tensor, wanted: Tensor, most: int | None, *, keep_leftovers: bool = True) -> Tensor:
    """Positions in blocks, whose number, sizes and places are drawn uniformly: (B, L) bool.

    Neighbours are valid positions with nothing but invalid ones between them.

    Args:
        draws: (B, 3 + 3 L).
        valid: (B, L) bool.
        wanted: (B,) how many positions, at most as many as are valid.
        most: the largest number of blocks.
        keep_leftovers: see `SplitRules`; without them there are fewer positions than wanted.
    """
    length = valid.shape[1]
    for_sizes, for_places, for_offsets = draws[:, _SCALARS:].reshape(len(draws), _ARRAYS, length).unbind(1)
    limit = wanted if most is None else wanted.clamp(max=most)
    count = (draws[:, 2] * limit).floor().long().add(1).minimum(limit)
    units = torch.arange(length, device=valid.device)
    # Of the places between neighbouring units of X_c count - 1 are chosen to part its blocks.
    parting = _choose(for_sizes, (units >= 1) & (units < wanted[:, None]), count - 1)
    block = parting.long().cumsum(1)
    if not keep_leftovers:
        return _one_block_a_run(for_places, for_offsets, valid, block, units < wanted[:, None], count)
    # Blocks and single free positions in a row: which of these are the blocks?
    chosen = _choose(for_places, units < (valid.sum(1) - wanted + count)[:, None], count)
    number = chosen.long().cumsum(1) - 1
    free_before = _scatter(torch.where(chosen, number, length), units - number)
    place = units + free_before.gather(1, block)  # among the valid positions, of each unit
    marked = _scatter(torch.where(units < wanted[:, None], place, length), torch.ones_like(place))
    return marked.gather(1, (valid.long().cumsum(1) - 1).clamp(min=0)).bool() & valid


def _one_block_a_run(
    for_places: Tensor, for_offsets: Tensor, valid: Tensor, block: Tensor, unit: Tensor, count: Tensor
) -> Tensor:
    """The old sampler: blocks go to runs in random order, one each, cut down to the run's length."""
    length = valid.shape[1]
    places = torch.arange(length, device=valid.device)
    starts = valid & ~torch.nn.functional.pad(valid[:, :-1], (1, 0))
    run = (starts.long().cumsum(1) - 1).clamp(min=0)
    run_lengths = torch.zeros_like(run).scatter_add_(1, run, valid.long())
    sizes = torch.zeros_like(block).scatter_add_(1, block, unit.long())
    runs = starts.sum(1, keepdim=True)
    order = for_places.masked_fill(places >= runs, 2.0).argsort(dim=1, stable=True)
    turn = torch.zeros_like(order).scatter_(1, order, places.expand_as(order))  # of each run: whose block it gets
    size = torch.where(turn < count[:, None], sizes.gather(1, turn), 0).minimum(run_lengths)
    offset = (for_offsets * (run_lengths - size + 1)).floor().long().minimum(run_lengths - size)
    first = _scatter(torch.where(starts, run, length), places.expand_as(run))  # of each run: where it begins
    begins = (first + offset).gather(1, run)
    return valid & (places >= begins) & (places < begins + size.gather(1, run))


def _choose(scores: Tensor, among: Tensor, count: Tensor) -> Tensor:
    """So many of these places in each row, at random: (B, L) bool."""
    order = scores.masked_fill(~among, 2.0).argsort(dim=1, stable=True)
    first = torch.arange(scores.shape[1], device=scores.device) < count[:, None]
    return torch.zeros_like(among).scatter_(1, order, first)


def _scatter(index: Tensor, values: Tensor) -> Tensor:
    """Values at their indices, zeros elsewhere; what has the index L goes nowhere. (B, L) int64."""
    rows, length = index.shape
    target = torch.zeros(rows, length + 1, dtype=torch.int64, device=index.device)
    return target.scatter_(1, index, values)[:, :length]


def boundary_split(rows: int, length: int, low: float, high: float, generator: torch.Generator) -> Split:
    """A block at the start and one at the end are given, the middle is scored (mode 2).

    Args:
        rows: how many sequences.
        length: their positions, at least 3.
        low, high: both blocks together have a share between these; 0.2 to 0.8 of them stand at the start.
        generator: of the chance.
    """
    share, part = torch.rand(2, rows, generator=generator, dtype=torch.float64)
    total = ((low + (high - low) * share) * length).long().clamp(2, length - 1)
    start = (total * (0.2 + 0.6 * part)).long().clamp(min=1).minimum(total - 1)
    places = torch.arange(length)
    given = (places < start[:, None]) | (places >= (length - (total - start))[:, None])
    return Split(given, ~given)
