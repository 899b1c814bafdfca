"""Batches: the same whoever augments them, each scored token counted alike, ends of documents among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.errors import HeatsError
from engine.tasks.conditional.data import (
    BlockOrder,
    ConditionalData,
    Layout,
    digest,
    evaluated_blocks,
    model_inputs,
    some_blocks,
)
from engine.tasks.conditional.task import Conditional
from engine.tasks.conditional.text import load_text
from engine.train.loader import IndexLoader
from engine.train.task import Batch, BatchKey, StepContext
from tests.engine.tasks.conditional.made import IDS, config_of, model_of

RANDOM_ORDER = {"model.kind": "sigma", "sigma.ordering": "random", "sigma.loss": "full"}
VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "leaky": {"augment.mask": "leaky"},
    "with a part unseen": {"augment.eval_pct_min": 0.3, "augment.eval_pct_max": 0.6},
    "all defects": {"augment.mask": "leaky", "augment.pad_is_eos": True, "augment.keep_leftovers": False},
    "few blocks": {"augment.max_cond_blocks": 2, "augment.cond_pct_min": 0.3, "augment.cond_pct_max": 0.8},
    "sigma": {"model.kind": "sigma"},
    "sigma in random order": RANDOM_ORDER,
    "baseline": {"model.kind": "baseline"},
}


def data_of(values: dict[str, Any]) -> tuple[ConditionalData, Layout]:
    """Symbols with ends of documents among them."""
    config = config_of(values)
    layout = Layout(config, IDS)
    stream = np.random.default_rng(0).choice([*range(8), IDS.eos], size=1000).astype(np.uint16)
    return ConditionalData(stream, config, layout), layout


def batch_at(data: ConditionalData, position: int) -> Batch:
    epoch, index = divmod(position, data.sampler.batches_per_epoch)
    return data.gather(data.sampler.batch(epoch, index), BatchKey(0, epoch, index))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_loader_and_the_device_make_the_same_batch(variant: str) -> None:
    values = VARIANTS[variant]
    changed = {} if variant == "baseline" else {"augment.where": "external"}
    (internal, layout), (external, _) = data_of(values), data_of(values | changed)
    for position in (0, 7, 23):
        one, other = batch_at(internal, position), batch_at(external, position)
        made = [model_inputs(batch, layout, detach=False) for batch in (one, other)]
        assert made[0].keys() == made[1].keys()
        for name in made[0]:
            assert torch.equal(made[0][name], made[1][name]), name
            assert made[0][name].dtype == made[1][name].dtype
        assert one["scored"] == other["scored"]
        assert digest(made[0]) == digest(made[1])
        if variant != "baseline":
            assert "tokens" not in other


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_batch_knows_how_many_tokens_its_step_scores(variant: str) -> None:
    data, layout = data_of(VARIANTS[variant] | {"train.accumulation": 3})
    counted = [model_inputs(batch_at(data, place), layout, detach=False)["labels"] for place in range(18, 24)]
    sums = [int((labels != -100).sum()) for labels in counted]
    for place in range(6):
        first = place // 3 * 3
        assert int(batch_at(data, 18 + place)["scored"]) == sum(sums[first : first + 3])


def test_processes_share_a_batch_and_count_all_of_it() -> None:
    """What each makes of its share, averaged over them, is what one process makes of the whole."""
    config = config_of({"model.dropout": 0.0, "data.log_digests": False})
    shared = config_of({"model.dropout": 0.0, "data.log_digests": False, "parallel.procs": 2})
    task, model = Conditional(config), model_of()
    data = task.build_data()
    context = StepContext(0, 10, torch.device("cpu"), torch.Generator())
    losses = []
    for run, size in ((config, 1), (shared, 2)):
        own = Conditional(run)
        loaders = [IndexLoader(data, config.train.batch_size, 0, config.data, rank, size) for rank in range(size)]
        with torch.no_grad():
            parts = [own.loss(model, loader.one_batch(3), context)["cross_entropy"][1] for loader in loaders]
        losses.append(float(torch.stack(parts).mean()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_batch_is_a_function_of_seed_epoch_and_index() -> None:
    data, layout = data_of({})
    once, again, next_epoch = (model_inputs(batch_at(data, place), layout, detach=False) for place in (3, 3, 23))
    assert digest(once) == digest(again) != digest(next_epoch)
    assert digest(once) != digest(once, 1.0)


def test_ends_of_documents_are_trained_on_and_given() -> None:
    data, layout = data_of({"augment.cond_pct_min": 0.4})
    labels, prefix = [], []
    for place in range(20):
        made = model_inputs(batch_at(data, place), layout, detach=False)
        labels.append(made["labels"])
        prefix.append(made["input_ids"][:, :-13].flatten())
    assert any(bool((part == IDS.eos).any()) for part in labels)
    assert bool((torch.cat(prefix) == IDS.eos).any())
    data, layout = data_of({"augment.pad_is_eos": True})
    for place in range(20):
        assert not (model_inputs(batch_at(data, place), layout, detach=False)["labels"] == IDS.eos).any()


def test_each_epoch_shows_every_block_once_in_an_order_of_its_own() -> None:
    order = BlockOrder(13, 4, seed=5)
    assert order.batches_per_epoch == 3
    epochs = [torch.cat([order.batch(epoch, index) for index in range(3)]) for epoch in range(2)]
    assert all(len(set(epoch.tolist())) == 12 for epoch in epochs)
    assert not torch.equal(*epochs)
    assert torch.equal(BlockOrder(13, 4, seed=5).batch(1, 2), order.batch(1, 2))
    assert len(BlockOrder(3, 4, seed=0).batch(0, 0)) == 3


def test_evaluated_blocks_are_spread_over_the_text() -> None:
    stream = np.arange(100, dtype=np.uint16)
    blocks = some_blocks(stream, 10, "test")
    assert evaluated_blocks(blocks, 3)[:, 0].tolist() == [0, 30, 60]
    assert evaluated_blocks(blocks, 50).shape == (10, 10)
    with pytest.raises(HeatsError, match="the test part of the text has 100 tokens, less than one block of 101"):
        some_blocks(stream, 101, "test")
    with pytest.raises(HeatsError, match="the train part of the text has 100 tokens"):
        ConditionalData(stream, config_of({"data.block_size": 101}), Layout(config_of(), IDS))


def lengths_between(stream: Tensor, eos: int) -> Tensor:
    return (stream == eos).nonzero().flatten().diff()


def test_lines_become_documents_where_that_is_asked_for(tmp_path: Path) -> None:
    corpus = tmp_path / "text.txt"
    corpus.write_text("\n".join(f"line {number} of a small text\n" for number in range(200)))
    values = {"data.random_symbols": 0, "data.corpus": str(corpus), "data.vocabulary": 300}
    whole = load_text(config_of(values), tmp_path)
    rows = load_text(config_of(values | {"data.documents": "rows"}), tmp_path)
    eos = whole.ids.eos
    assert int((whole.streams["train"] == eos).sum()) == 1
    assert int((rows.streams["train"] == eos).sum()) == pytest.approx(160, abs=2)
    few = load_text(
        config_of(values | {"data.documents": "rows", "data.train_rows": 10, "data.eval_rows": 5}), tmp_path
    )
    assert [int((few.streams[part] == eos).sum()) for part in ("train", "validation", "test")] == [10, 5, 5]
    ids = rows.ids
    assert len({ids.bos, ids.eos, ids.pad, ids.mask}) == 4
    assert not np.isin(rows.streams["train"], [ids.bos, ids.pad, ids.mask]).any()
    assert len(rows.symbols()) == ids.vocabulary - 4
