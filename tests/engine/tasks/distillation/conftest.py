"""One teacher for all tests of the task."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.store.paths import RunPaths
from tests.engine.tasks.distillation.made import made

TEACHER = {"model.network": "resnet14", "loss.label_smoothing": 0.0}


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A trained ResNet of 14 layers in a store of its own; other runs name it by its folder."""
    root: Path = tmp_path_factory.mktemp("teacher") / "runs"
    return made(root, TEACHER)
