"""Batches of confounded and corrected samples, mixed in a fixed ratio or by a schedule."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.tasks.confounded.config import ConfoundedDataSection
from engine.train.task import BatchKey

_POOL_STREAM = 0x9001


class MixedBatchSampler:
    """Batches of batch_size - k confounded samples and then k corrected ones.

    The confounded samples are drawn anew in each epoch, none twice; with a constant k every one of them is seen, but
    for a last incomplete batch. The pool goes round: each of its samples is seen once before any is seen again. All of
    it is a function of seed and position, so there is nothing to save.

    Args:
        confounded: how many confounded samples there are.
        pool: how many corrected ones there are.
        batch_size: samples in a batch; fewer where there are fewer confounded ones than it takes.
        options: k and its schedule.
        steps: batches over which the schedule runs.
        seed: governs both orders.
    """

    def __init__(
        self, confounded: int, pool: int, batch_size: int, options: ConfoundedDataSection, steps: int, seed: int
    ) -> None:
        self.confounded = confounded
        self.pool = pool
        self.batch_size = batch_size
        self.seed = seed
        self._options = options
        self._steps = steps
        first = options.corrected_per_batch if options.corrected_schedule == "constant" else options.corrected_first
        fewest = min(first, options.corrected_per_batch) if pool else 0
        if fewest < batch_size:
            self.batches_per_epoch = max(1, confounded // (batch_size - fewest))
        else:  # nothing but corrected samples: an epoch is once through the pool
            self.batches_per_epoch = max(1, pool // batch_size)
        self._before = self._cumulative()

    def corrected_in(self, position: int) -> int:
        """k of a batch, by how many batches came before it in the run."""
        if not self.pool:
            return 0
        options = self._options
        if options.corrected_schedule == "constant":
            return options.corrected_per_batch
        progress = min(1.0, position / max(1, self._steps - 1))
        return round(options.corrected_first + (options.corrected_per_batch - options.corrected_first) * progress)

    def batch(self, epoch: int, index: int) -> Tensor:
        """(2, B) int64: places of samples, and below each 1 if it is a place in the pool, else 0."""
        position = epoch * self.batches_per_epoch + index
        count = self.corrected_in(position)
        start = self._confounded_before(epoch, position)
        first = self._order(self.confounded, epoch, -1)[start : start + self.batch_size - count]
        second = self._from_pool(self._corrected_before(position), count)
        flags = torch.cat([torch.zeros_like(first), torch.ones_like(second)])
        return torch.stack([torch.cat([first, second]), flags])

    def _order(self, count: int, number: int, stream: int) -> Tensor:
        return torch.randperm(count, generator=BatchKey(self.seed, number, stream).generator())

    def _from_pool(self, seen: int, count: int) -> Tensor:
        """The next `count` samples of the pool, after so many were seen; each round has an order of its own."""
        if not count:
            return torch.empty(0, dtype=torch.int64)
        rounds = range(seen // self.pool, (seen + count - 1) // self.pool + 1)
        orders = torch.cat([self._order(self.pool, number, _POOL_STREAM) for number in rounds])
        offset = seen - rounds.start * self.pool
        return orders[offset : offset + count]

    def _corrected_before(self, position: int) -> int:
        if self._before is None:
            return position * self.corrected_in(0)
        beyond = max(0, position - self._steps)  # a rollback may lead past the last step's batch
        return int(self._before[position - beyond]) + beyond * self.corrected_in(self._steps)

    def _confounded_before(self, epoch: int, position: int) -> int:
        """How many confounded samples the epoch's earlier batches have shown."""
        start = epoch * self.batches_per_epoch
        corrected = self._corrected_before(position) - self._corrected_before(start)
        return (position - start) * self.batch_size - corrected

    def _cumulative(self) -> Tensor | None:
        """By position up to the last step, the corrected samples in all batches before; None where k is constant."""
        if self._options.corrected_schedule == "constant" or not self.pool:
            return None
        counts = torch.tensor([self.corrected_in(position) for position in range(self._steps)], dtype=torch.int64)
        return torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
