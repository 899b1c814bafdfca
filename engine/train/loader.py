"""Batches by index. The order is a function of (seed, epoch), the position one integer, and workers hold no state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from engine.config.sections import DataSection
from engine.errors import HeatsError
from engine.train.task import Batch, BatchKey, BatchSampler, TrainingData

_WorkItem = tuple[int, int, Tensor]


class IndexLoader:
    """An endless stream of batches, epoch after epoch, that can start at any position.

    Incomplete last batches are dropped (the next epoch's order differs, so no sample is left out for good), unless
    there is less than one batch.

    Args:
        data: what to gather from.
        batch_size: samples a batch.
        seed: governs the order and each batch's key.
        options: workers and prefetching; none of these changes what is in a batch.
        rank, size: of a batch each of `size` processes has its own equal share: a stretch of it, or, where a sampler
            mixes samples of several kinds, every `size`-th row, so that each process has some of each kind.

    Raises:
        HeatsError: the batches can't be divided evenly.
    """

    def __init__(
        self, data: TrainingData, batch_size: int, seed: int, options: DataSection, rank: int = 0, size: int = 1
    ) -> None:
        self.data = data
        self.batch_size = batch_size
        self.seed = seed
        self.options = options
        self.sampler: BatchSampler | None = getattr(data, "sampler", None)
        self.batches_per_epoch = max(1, len(data) // batch_size)
        samples = min(batch_size, len(data))
        if self.sampler is not None:
            self.batches_per_epoch = self.sampler.batches_per_epoch
            samples = self.sampler.batch(0, 0).shape[-1]
        if samples % size:
            raise HeatsError(f"the {samples} samples that there are can't be divided evenly among {size} processes")
        self._share = (rank * samples // size, samples // size, samples) if size > 1 else None

    def epoch_order(self, epoch: int) -> Tensor:
        """The order of the samples in an epoch: (N,) int64."""
        generator = BatchKey(self.seed, epoch, -1).generator()
        return torch.randperm(len(self.data), generator=generator)

    def batches(self, position: int) -> Iterator[Batch]:
        """All batches from a position on (the number of batches consumed before)."""
        if self.options.num_workers == 0:
            for item in _work(self, position):
                yield self.gather(item)
            return
        while True:
            end = None if self.options.persistent_workers else self._epoch_end(position)
            yield from self._from_workers(position, end)
            assert end is not None
            position = end

    def one_batch(self, position: int) -> Batch:
        """The batch at a position, gathered in this process; the stream isn't touched."""
        return self.gather(next(_work(self, position)))

    def gather(self, item: _WorkItem, *, copied: bool = False) -> Batch:
        """The batch of an item of work, or this process's share of it.

        All of it is gathered first: what is random in a batch, or depends on its other samples (padding), must be the
        same however many processes share it. What isn't one row a sample goes to each whole.

        Args:
            item: which batch.
            copied: make a share stand by itself, so that no more than it goes through shared memory.
        """
        epoch, index, indices = item
        batch = self.data.gather(indices, BatchKey(self.seed, epoch, index))
        if self._share is None:
            return batch
        begin, length, samples = self._share
        apart = samples // length
        for name, tensor in batch.items():
            if tensor.ndim and len(tensor) == samples:
                part = tensor.narrow(0, begin, length) if self.sampler is None else tensor[begin // length :: apart]
                batch[name] = part.clone() if copied else part
        return batch

    def _epoch_end(self, position: int) -> int:
        return (position // self.batches_per_epoch + 1) * self.batches_per_epoch

    def _from_workers(self, position: int, end: int | None) -> Iterator[Batch]:
        loader: DataLoader[Any] = DataLoader(
            _Gathering(self),
            sampler=_WorkSampler(self, position, end),
            batch_size=None,
            num_workers=self.options.num_workers,
            pin_memory=self.options.pin_memory,
            prefetch_factor=self.options.prefetch_factor,
            # Merely iterating a DataLoader draws from the global generator unless it has one of its own.
            generator=torch.Generator().manual_seed(self.seed),
        )
        yield from loader


def _work(loader: IndexLoader, position: int, end: int | None = None) -> Iterator[_WorkItem]:
    order_epoch, order = -1, torch.empty(0, dtype=torch.int64)
    while end is None or position < end:
        epoch, index = divmod(position, loader.batches_per_epoch)
        position += 1
        if loader.sampler is not None:
            yield epoch, index, loader.sampler.batch(epoch, index)
            continue
        if epoch != order_epoch:
            order_epoch, order = epoch, loader.epoch_order(epoch)
        yield epoch, index, order[index * loader.batch_size : (index + 1) * loader.batch_size]


class _WorkSampler(Sampler[_WorkItem]):
    def __init__(self, loader: IndexLoader, position: int, end: int | None) -> None:
        self._arguments = (loader, position, end)

    def __iter__(self) -> Iterator[_WorkItem]:
        return _work(*self._arguments)


class _Gathering(Dataset[Batch]):
    """Runs in the worker: gathers the batch that an item of work names."""

    def __init__(self, loader: IndexLoader) -> None:
        self._loader = loader

    def __getitem__(self, item: _WorkItem) -> Batch:
        return self._loader.gather(item, copied=True)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on the device; pinned memory is copied without waiting."""
    if device.type == "cpu":
        return batch
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
