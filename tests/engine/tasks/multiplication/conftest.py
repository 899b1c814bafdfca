"""Small configs, and models that are quick to build."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from engine.config.resolve import resolve
from engine.tasks.multiplication.config import Config
from engine.tasks.multiplication.models import SimpleModel, build_model

MakeConfig = Callable[..., Config]
MakeModel = Callable[..., SimpleModel]

SMALL = {
    "model.kind": "simple",
    "model.d_model": 16,
    "model.num_layers": 2,
    "model.num_heads": 2,
    "model.num_latent": 3,
}


@pytest.fixture
def make_config() -> MakeConfig:
    """A small config with further options by dotted key."""

    def make(values: dict[str, object] | None = None) -> Config:
        return resolve(Config, SMALL | (values or {}))

    return make


@pytest.fixture
def make_model(make_config: MakeConfig) -> MakeModel:
    """A small model in evaluation mode."""

    def make(values: dict[str, object] | None = None, seed: int = 0) -> SimpleModel:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build_model(make_config(values)).eval()

    return make


def write(problem: str, length: int = 5) -> list[int]:
    """The tokens of a text such as `12*3` or, with `$` for EOS, `63$`; followed by PAD."""
    tokens = ["0123456789*.^$".index(character) for character in problem]
    return tokens + [11] * (length - len(tokens))
