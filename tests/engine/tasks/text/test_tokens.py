"""Tokens on disk and what is cut from them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from engine.tasks.text.corpus import Corpus
from engine.tasks.text.tokenizer import Tokenizer
from engine.tasks.text.tokens import (
    IGNORED,
    Blocks,
    Windows,
    cache_folder,
    classic_rows,
    predicted_pairs,
    token_stream,
)
from engine.train.task import BatchKey

_KEY = BatchKey(0, 0, 0)


def test_a_stream_is_written_once_and_by_any_number_of_runs_at_once(
    embedded: Corpus, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(4) as pool:
        streams = list(pool.map(lambda _: token_stream(embedded, "test", tokenizer, tmp_path), range(4)))
    assert len(list((tmp_path / "tokens").iterdir())) == 1, "nothing half written is left"
    assert all(np.array_equal(stream, streams[0]) for stream in streams)
    stream = streams[0]
    assert stream.dtype == np.uint16
    assert isinstance(stream, np.memmap)
    ends = np.flatnonzero(stream == tokenizer.eos)
    assert len(ends) == len(embedded.test)
    assert tokenizer.decode(stream[: ends[0]].tolist()) == embedded.test[0]


def test_the_cache_lies_beside_the_runs(tmp_path: Path) -> None:
    assert cache_folder(tmp_path).parent.parent == tmp_path
    assert cache_folder(None).name == "text"


def test_blocks_are_the_stream_side_by_side() -> None:
    blocks = Blocks(np.arange(23, dtype=np.uint16), 5)
    assert len(blocks) == 4
    batch = blocks.gather(torch.tensor([2, 0]), _KEY)
    assert batch["input_ids"].tolist() == [[10, 11, 12, 13, 14], [0, 1, 2, 3, 4]]
    assert torch.equal(batch["labels"], batch["input_ids"])


def test_the_classic_rows_stop_at_their_budget_and_padding_is_not_predicted(
    embedded: Corpus, tokenizer: Tokenizer
) -> None:
    rows = classic_rows(embedded.test, tokenizer, 1024)
    lengths = [len(row) for row in rows.rows]
    assert sum(lengths) >= 1024 > sum(lengths[:-1])
    assert max(lengths) <= 128
    batch = rows.gather(torch.arange(len(rows)), _KEY)
    there = torch.tensor([[place < length for place in range(max(lengths))] for length in lengths])
    assert torch.equal(batch["attention_mask"].bool(), there)
    assert torch.equal(batch["labels"] == IGNORED, ~there)
    assert torch.equal(batch["input_ids"][there], batch["labels"][there])


def test_each_token_but_the_first_is_predicted_once_whatever_the_stride() -> None:
    stream = np.arange(1, 24, dtype=np.uint16)
    for block, stride in ((5, 2), (5, 4), (7, 1), (30, 3)):
        windows = Windows(stream, block, stride)
        _, targets = predicted_pairs(windows.batch(0, len(windows)))
        assert targets.tolist() == list(range(2, 24)), (block, stride)
    side_by_side = Windows(stream, 5)
    before, targets = predicted_pairs(side_by_side.batch(0, len(side_by_side)))
    assert targets.tolist() == [token for token in range(1, 24) if token % 5 != 1]
    assert before.tolist() == [token - 1 for token in targets.tolist()]
    assert len(Windows(np.arange(21, dtype=np.uint16), 5)) == 4, "a last window of one token would predict nothing"
