"""A trainer for tests that train again and again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.forks import Forks, forks

_TRAIN = """
from engine.tasks.multiplication import task
from engine.train import attempt
from engine.train.__main__ import main

def work(*words):
    return main(list(words))
"""


@pytest.fixture(scope="session")
def trainer() -> Iterator[Forks]:
    """`python -m engine.train` with these words, in a process of its own in which only the imports are done already."""
    with forks(_TRAIN) as made:
        yield made
