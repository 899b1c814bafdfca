"""What can't be trained isn't started, and looking leaves no trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import HeatsError
from engine.store.checkpoints import folder_name, scan
from engine.store.compare import checkpoint_differences, metric_differences
from tests.engine.train.told import events
from tests.engine.train.toy import make_run, train_toy

DEFECT: dict[str, Any] = {"precision.dtype": "fp16", "toy.distance": "naive"}
VARIANTS: dict[str, dict[str, Any]] = {
    "fp32": {},
    "fp16": {"precision.dtype": "fp16"},
    "batch norm": {"toy.mode": "conv"},
    "loader workers": {"data.num_workers": 2},
    "sgd": {"optim.name": "sgd"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_bit_of_the_training_changes(store_root: Path, variant: str) -> None:
    with_it, without = make_run(store_root), make_run(store_root)
    train_toy(with_it, VARIANTS[variant])
    train_toy(without, VARIANTS[variant] | {"guard.preflight": False})
    folders = [run.checkpoints / folder_name(24) for run in (with_it, without)]
    assert checkpoint_differences(folders[0], folders[1]) == []
    assert metric_differences(with_it, without) == []


def test_the_fp16_defect_is_refused_with_the_terms_name_and_the_weight(store_root: Path) -> None:
    run = make_run(store_root)
    with pytest.raises(HeatsError, match=r"gradient of the loss term `distance` is not finite \(at `1.weight`\)"):
        train_toy(run, DEFECT)
    assert scan(run) == []
    (failed,) = events(run, "failed")
    assert "`distance`" in failed.facts["error"]
    train_toy(make_run(store_root), DEFECT | {"toy.distance": "repaired"})


def test_a_value_that_is_not_finite_is_refused(store_root: Path) -> None:
    with pytest.raises(HeatsError, match="the loss term `error` is nan"):
        train_toy(make_run(store_root), {"toy.nan_batches": (0, 1)})


def test_a_resume_is_not_looked_at_again(store_root: Path) -> None:
    run = make_run(store_root)
    values = {"toy.nan_batches": (12, 13)}
    train_toy(run, values, stop_at=12)
    outcome, _ = train_toy(run, values)
    assert outcome.step == 24
