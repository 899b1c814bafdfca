"""Tokenizers: exact, repeatable, with special tokens that no text can forge."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.tasks.text.corpus import Corpus
from engine.tasks.text.tokenizer import Tokenizer, own_tokenizer, pretrained_tokenizer, read_tokenizer, train_tokenizer


def test_any_text_comes_back_whole(tokenizer: Tokenizer) -> None:
    texts = ["Plain text.\n", "Zürich, 東京 and 🙂", "", " \t\n"]
    assert [tokenizer.decode(ids) for ids in tokenizer.encode(texts)] == texts


def test_the_same_text_gives_the_same_tokenizer(embedded: Corpus, tokenizer: Tokenizer) -> None:
    assert train_tokenizer(embedded.validation, 400).digest == tokenizer.digest
    assert train_tokenizer(embedded.validation, 401).digest != tokenizer.digest


def test_the_special_tokens_are_four_and_no_text_holds_them(tokenizer: Tokenizer) -> None:
    special = {tokenizer.bos, tokenizer.eos, tokenizer.pad, tokenizer.mask}
    assert len(special) == 4
    text = "[BOS] [M] [PAD] [EOS] <|endoftext|>"
    (ids,) = tokenizer.encode([text])
    assert not special & set(ids)
    assert tokenizer.decode(ids) == text


def test_it_is_trained_once_and_then_read(embedded: Corpus, tmp_path: Path) -> None:
    small = Corpus("small", embedded.validation, embedded.validation, embedded.test)
    first = own_tokenizer(small, 300, tmp_path)
    (folder,) = (tmp_path / "tokenizers").iterdir()
    written = (folder / "tokenizer.json").stat().st_mtime_ns
    again = own_tokenizer(small, 300, tmp_path)
    assert again.digest == first.digest
    assert (folder / "tokenizer.json").stat().st_mtime_ns == written
    (folder / "tokenizer.json").write_text('{"half": ')
    assert read_tokenizer(folder) is None
    assert own_tokenizer(small, 300, tmp_path).digest == first.digest, "damage is mended"


def test_a_pretrained_one_gains_the_special_tokens_that_it_lacks(tokenizer: Tokenizer, tmp_path: Path) -> None:
    import json

    plain = json.loads(tokenizer.json)
    plain["added_tokens"] = [
        {**token, "content": "<|endoftext|>"} for token in plain["added_tokens"] if token["content"] == "[EOS]"
    ]
    words = plain["model"]["vocab"]
    vocabulary = {"<|endoftext|>" if word == "[EOS]" else word: number for word, number in words.items()}
    plain["model"]["vocab"] = {word: number for word, number in vocabulary.items() if word not in ("[BOS]", "[PAD]", "[M]")}  # fmt: skip # noqa: E501
    (tmp_path / "tokenizer.json").write_text(json.dumps(plain))
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"})
    )
    found = pretrained_tokenizer(str(tmp_path))
    assert len({found.bos, found.eos, found.pad, found.mask}) == 4
    assert found.eos == tokenizer.eos
    assert found.encode(["while True:"]) == tokenizer.encode(["while True:"])
    found.save(tmp_path / "copy")
    copy = read_tokenizer(tmp_path / "copy")
    assert copy is not None
    assert (copy.digest, copy.base, copy.eos) == (found.digest, found.base, found.eos)


def test_one_that_is_not_there_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(HeatsError, match="the tokenizer `gpt2-of-nobody` is not on this machine"):
        pretrained_tokenizer("gpt2-of-nobody")
