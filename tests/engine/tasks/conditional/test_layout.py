"""What the model reads, token by token."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.tasks.conditional.layout import augment, plain, shuffled, valid_positions
from engine.tasks.conditional.sampling import Split, SplitRules
from tests.engine.tasks.conditional.made import IDS, split_of, tokens_of

NO = -100
BOS, EOS, PAD, MASK = IDS.bos, IDS.eos, IDS.pad, IDS.mask


def marks(*rows: str) -> Split:
    """c: given, e: scored, anything else neither."""
    return Split(*(torch.tensor([[letter == wanted for letter in row] for row in rows]) for wanted in "ce"))


def everywhere(tokens: Tensor) -> Tensor:
    return torch.ones_like(tokens, dtype=torch.bool)


def test_the_four_special_tokens_differ() -> None:
    assert len({BOS, EOS, PAD, MASK}) == 4


def test_a_sequence_is_written_down() -> None:
    tokens = torch.tensor([[5, 6, 7, 5, 6]])
    batch = augment(tokens, everywhere(tokens), marks("ec.ce"), IDS)
    assert batch["input_ids"].tolist() == [[6, 5, BOS, 5, 6, MASK, 5, 6]]
    assert batch["position_ids"].tolist() == [[2, 4, 0, 1, 2, 3, 4, 5]]
    assert batch["labels"].tolist() == [[NO, NO, NO, 5, NO, NO, NO, 6]]
    seen = ["".join("x" if cell else "." for cell in row) for row in batch["attention_mask"][0, 0].tolist()]
    assert seen == ["xx......", "xx......", "xxx.....", "xxxx....", "xxxxx...", "xxxxxx..", "xxxxxxx.", "xxxxxxxx"]


def test_a_leaky_prefix_sees_the_body() -> None:
    tokens = torch.tensor([[5, 6, 7]])
    sealed, leaky = (
        augment(tokens, everywhere(tokens), marks("ece"), IDS, sealed=sealed)["attention_mask"][0, 0]
        for sealed in (True, False)
    )
    assert sealed[0].tolist() == [True, False, False, False, False]
    assert leaky[0].tolist() == [True] * 5
    assert torch.equal(sealed[1:], leaky[1:])


def test_shorter_prefixes_are_padded_and_padding_is_seen_by_nobody() -> None:
    tokens = torch.tensor([[5, 6, 7], [1, 2, 3], [1, 2, 3]])
    batch = augment(tokens, everywhere(tokens), marks("cce", "eec", "eee"), IDS)
    assert batch["input_ids"].tolist() == [[5, 6, BOS, 5, 6, 7], [PAD, 3, BOS, 1, 2, 3], [PAD, PAD, BOS, 1, 2, 3]]
    assert batch["position_ids"].tolist() == [[1, 2, 0, 1, 2, 3], [0, 3, 0, 1, 2, 3], [0, 0, 0, 1, 2, 3]]
    mask = batch["attention_mask"][:, 0]
    assert mask[1, 1:, 0].any().item() is False
    assert mask[2, 2:, :2].any().item() is False
    assert bool(mask.any(-1).all()), "a row that sees nothing would be NaN"


def test_a_wider_prefix_than_needed_is_padded() -> None:
    tokens = torch.tensor([[5, 6, 7]])
    batch = augment(tokens, everywhere(tokens), marks("ece"), IDS, width=2)
    assert batch["input_ids"].tolist() == [[PAD, 6, BOS, 5, 6, 7]]


def test_the_end_of_a_document_is_a_token_like_any_other() -> None:
    tokens = torch.tensor([[5, EOS, 7]])
    assert valid_positions(tokens, IDS, pad_is_eos=False).all()
    batch = augment(tokens, everywhere(tokens), marks("cee"), IDS)
    assert batch["labels"].tolist() == [[NO, NO, NO, EOS, 7]]


def test_under_the_defect_it_is_neither_given_nor_scored_but_stays_visible() -> None:
    tokens = torch.tensor([[5, EOS, 7]])
    valid = valid_positions(tokens, IDS, pad_is_eos=True)
    assert valid.tolist() == [[True, False, True]]
    batch = augment(tokens, valid, marks("c.e"), IDS)
    assert batch["input_ids"].tolist() == [[5, BOS, 5, EOS, 7]]


def test_all_of_it_is_whole_numbers_so_that_there_is_nothing_to_detach() -> None:
    tokens = tokens_of(3, 10)
    batch = augment(tokens, everywhere(tokens), split_of(tokens), IDS)
    for tensor in batch.values():
        assert not tensor.is_floating_point()
        assert tensor.grad_fn is None
        assert tensor.detach().data_ptr() == tensor.data_ptr()


def test_the_baseline_reads_from_left_to_right() -> None:
    batch = plain(torch.tensor([[5, 6]]), IDS)
    assert batch["input_ids"].tolist() == [[BOS, 5, 6]]
    assert batch["labels"].tolist() == [[NO, 5, 6]]
    assert "attention_mask" not in batch


def test_sigma_knows_where_the_next_token_stands() -> None:
    tokens = torch.tensor([[4, 5, 6, 7, 0]])
    batch = shuffled(tokens, marks("ec.ce"), IDS, None)
    assert batch["input_ids"].tolist() == [[BOS, 5, 7, 4, 0, PAD]]
    assert batch["position_ids"].tolist() == [[0, 2, 4, 1, 5, 3]]
    assert batch["next_position_ids"].tolist() == [[2, 4, 1, 5, 3, 0]]
    assert batch["labels"].tolist() == [[NO, NO, NO, 4, 0, NO]]
    assert shuffled(tokens, marks("ec.ce"), IDS, None, full=True)["labels"].tolist() == [[NO, 5, 7, 4, 0, NO]]


def test_sigma_in_random_order_keeps_what_is_given_before_what_is_scored() -> None:
    tokens = tokens_of(50, 12)
    found = split_of(tokens, SplitRules(0.5, 0.5))
    batch = shuffled(tokens, found, IDS, torch.rand(50, 12, generator=torch.Generator().manual_seed(3)))
    order = batch["position_ids"][:, 1:] - 1
    assert torch.equal(order.sort(1).values, torch.arange(12).expand(50, -1))
    assert bool(found.given.gather(1, order)[:, :6].all())
    assert not torch.equal(order[:, :6], order[:, :6].sort(1).values)
    assert torch.equal(batch["input_ids"][:, 1:], tokens.gather(1, order))
