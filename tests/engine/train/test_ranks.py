"""Several processes that train one run: the same sums as one, resumed to the last bit, and in step with each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.store.checkpoints import folder_name, scan
from engine.store.compare import checkpoint_differences, metric_differences
from engine.store.paths import RunPaths
from tests.engine.train.ranked import loaded_digests, make_ranked_run, ranked, train_ranks
from tests.forks import Forks

__all__ = ["ranked"]
FSDP = {"parallel.kind": "fsdp"}
VARIANTS: dict[str, tuple[int, dict[str, Any]]] = {
    "ddp": (2, {}),
    "ddp of three": (3, {}),
    "fp16 with overflows": (2, {"precision.dtype": "fp16"}),
    "accumulation, shares": (2, {"train.accumulation": 2, "guard.share_every": 3}),
    "conv, channels_last, batch norm, loader workers": (2, {"toy.mode": "conv", "data.num_workers": 1}),
    "a rollback across the cut": (2, {"toy.nan_batches": (14, 15), "guard.non_finite": "rollback"}),
    "fsdp": (2, FSDP),
    "fsdp of three, bf16": (3, FSDP | {"precision.dtype": "bf16"}),
    "fsdp, batch norm, plain sgd, accumulation": (
        2, FSDP | {"toy.mode": "conv", "optim.name": "sgd", "optim.momentum": 0, "train.accumulation": 2},
    ),
    "fsdp, a rollback": (2, FSDP | {"toy.nan_batches": (14, 15), "guard.non_finite": "rollback"}),
}  # fmt: skip


def final(run: RunPaths) -> Path:
    return run.checkpoints / folder_name(24)


@pytest.mark.parametrize("variant", VARIANTS)
def test_resume_is_bit_exact(store_root: Path, ranked: Forks, variant: str) -> None:
    size, values = VARIANTS[variant]
    straight, cut = make_ranked_run(store_root, size, values), make_ranked_run(store_root, size, values)
    assert train_ranks(ranked, straight)[-1].name == "finished", ranked.errors()
    assert train_ranks(ranked, cut, words=("--stop-at", "13"))[-1].name == "stopped"
    assert train_ranks(ranked, cut)[-1].name == "finished"
    assert checkpoint_differences(final(straight), final(cut)) + metric_differences(straight, cut) == []
    assert json.loads((final(straight) / "state.json").read_text())["ranks"], "others' random states are saved"
