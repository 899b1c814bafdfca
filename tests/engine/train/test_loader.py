"""Which samples are in a batch is decided by (seed, epoch, position) and nothing else."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from torch import Tensor

from engine.config.sections import DataSection
from engine.errors import HeatsError
from engine.train.loader import IndexLoader
from engine.train.task import Batch, BatchKey


class Numbers:
    """Each sample is its own index; the noise comes from the batch's key."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def gather(self, indices: Tensor, key: BatchKey) -> Batch:
        return {"index": indices, "noise": torch.rand(2, generator=key.generator())}


def _take(count: int, position: int = 0, size: int = 23, **options: int | bool) -> list[tuple[list[int], list[float]]]:
    loader = IndexLoader(Numbers(size), 5, 3, DataSection.model_validate(options))
    batches = islice(loader.batches(position), count)
    return [(batch["index"].tolist(), batch["noise"].tolist()) for batch in batches]


def test_an_epoch_holds_every_sample_at_most_once_and_epochs_differ() -> None:
    batches = _take(8)
    epochs = [[index for batch, _ in batches[start : start + 4] for index in batch] for start in (0, 4)]
    assert all(len(set(epoch)) == 20 for epoch in epochs)
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("position", [1, 3, 4, 5, 7])
def test_starting_at_a_position_continues_the_same_stream(position: int) -> None:
    assert _take(5, position) == _take(5 + position)[position:]


@pytest.mark.parametrize("options", [{"num_workers": 1}, {"num_workers": 2, "prefetch_factor": 3}])
def test_workers_give_the_same_batches(options: dict[str, int]) -> None:
    assert _take(9, 2, **options) == _take(9, 2)


def test_workers_that_end_with_the_epoch_give_the_same_batches() -> None:
    assert _take(9, 2, num_workers=1, persistent_workers=False) == _take(9, 2)


def test_loading_does_not_touch_the_global_generator() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    _take(6)
    _take(6, num_workers=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_less_data_than_a_batch_still_gives_batches() -> None:
    batches = _take(3, size=3)
    assert all(sorted(batch) == [0, 1, 2] for batch, _ in batches)


def test_keys_of_different_batches_draw_different_numbers() -> None:
    keys = [BatchKey(seed, epoch, index) for seed in (0, 1, 2) for epoch in range(4) for index in range(-1, 20)]
    drawn = {float(torch.rand((), generator=key.generator(), dtype=torch.float64)) for key in keys}
    assert len(drawn) == len(keys)


class Backwards:
    """A sampler with an order of its own: pairs, from the last batch to the first."""

    batches_per_epoch = 4

    def batch(self, epoch: int, index: int) -> Tensor:
        first = 10 * epoch + 2 * (self.batches_per_epoch - index)
        return torch.tensor([first, first + 1])


class Sampled(Numbers):
    sampler = Backwards()


@pytest.mark.parametrize("workers", [0, 2])
def test_data_with_a_sampler_of_its_own_is_gathered_as_that_says(workers: int) -> None:
    loader = IndexLoader(Sampled(100), 5, 3, DataSection(num_workers=workers))
    assert loader.batches_per_epoch == 4
    found = [batch["index"].tolist() for batch in islice(loader.batches(2), 4)]
    assert found == [[4, 5], [2, 3], [18, 19], [16, 17]]
    assert loader.one_batch(5)["index"].tolist() == [16, 17]


@pytest.mark.parametrize("workers", [0, 1])
def test_the_shares_of_several_processes_make_the_batch_of_one(workers: int) -> None:
    options = DataSection(num_workers=workers)
    whole = next(iter(IndexLoader(Numbers(24), 6, 3, DataSection()).batches(2)))
    shares = [next(iter(IndexLoader(Numbers(24), 6, 3, options, rank, 3).batches(2))) for rank in range(3)]
    assert torch.equal(torch.cat([share["index"] for share in shares]), whole["index"])
    for share in shares:  # what isn't one row a sample goes to each
        assert torch.equal(share["noise"], whole["noise"])


def test_what_cannot_be_shared_evenly_is_refused() -> None:
    with pytest.raises(HeatsError, match="the 3 samples that there are can't be divided evenly among 2 processes"):
        IndexLoader(Numbers(3), 10, 0, DataSection(), 0, 2)
