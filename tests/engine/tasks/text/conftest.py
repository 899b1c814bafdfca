"""Texts and a tokenizer that many tests look at."""

from __future__ import annotations

import pytest

from engine.tasks.text.corpus import Corpus, load_corpus
from engine.tasks.text.tokenizer import Tokenizer, train_tokenizer


@pytest.fixture(scope="session")
def embedded() -> Corpus:
    """The corpus that every machine has."""
    return load_corpus("embedded")


@pytest.fixture(scope="session")
def tokenizer(embedded: Corpus) -> Tokenizer:
    """A small one, of validation text: that is quicker."""
    return train_tokenizer(embedded.validation, 400)
