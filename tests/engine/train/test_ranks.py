"""Several processes that train one run: the same sums as one, resumed to the last bit, and in step with each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.config import tasks
from engine.store.checkpoint_export import apply_export, plan_export
from engine.store.checkpoints import folder_name, scan, verify
from engine.store.compare import checkpoint_differences, metric_differences
from engine.store.paths import RunPaths
from engine.store.shards import spread_tensors, tensor_files
from engine.train.checkpoint import Loaded
from tests.engine.train.ranked import loaded_digests, make_ranked_run, ranked, toy_packages, train_ranks
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


@pytest.fixture(autouse=True)
def the_toy_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task of this process, as long as a test lasts."""
    monkeypatch.setattr(tasks, "task_packages", toy_packages)


def final(run: RunPaths) -> Path:
    return run.checkpoints / folder_name(24)


def _slow_if(slow: bool, *values: Any) -> Any:
    return pytest.param(*values, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize("variant", [_slow_if(name not in ("ddp", "fsdp"), name) for name in VARIANTS])
def test_resume_is_bit_exact(store_root: Path, ranked: Forks, variant: str) -> None:
    size, values = VARIANTS[variant]
    straight, cut = make_ranked_run(store_root, size, values), make_ranked_run(store_root, size, values)
    assert train_ranks(ranked, straight)[-1].name == "finished", ranked.errors()
    assert train_ranks(ranked, cut, words=("--stop-at", "13"))[-1].name == "stopped"
    assert train_ranks(ranked, cut)[-1].name == "finished"
    assert checkpoint_differences(final(straight), final(cut)) + metric_differences(straight, cut) == []
    assert json.loads((final(straight) / "state.json").read_text())["ranks"], "others' random states are saved"


PLAIN: dict[str, Any] = {
    "toy.mode": "plain", "train.max_steps": 12, "evaluation.every": 0, "checkpoint.keep_best": 0, "train.save_every": 4,
}  # fmt: skip


def weights(run: RunPaths, step: int = 12) -> dict[str, Any]:
    found = next(item for item in scan(run) if item.step == step)
    return Loaded(found).model


@pytest.mark.parametrize(
    ("size", "values"), [_slow_if(False, 2, {}), _slow_if(True, 4, {"train.accumulation": 2}), _slow_if(True, 2, FSDP)]
)
def test_the_same_global_batch_gives_the_same_training_as_one_process(
    store_root: Path, ranked: Forks, size: int, values: dict[str, Any]
) -> None:
    one = make_ranked_run(store_root, 1, PLAIN | {key: value for key, value in values.items() if "parallel" not in key})
    several = make_ranked_run(store_root, size, PLAIN | values)
    assert train_ranks(ranked, one)[-1].name == train_ranks(ranked, several)[-1].name == "finished", ranked.errors()
    alone, together = weights(one), weights(several)
    assert alone.keys() == together.keys()
    apart = max(float((alone[name] - together[name]).abs().max()) for name in alone)
    assert apart < 2e-6, f"weights of about 0.1 to 1 are apart by {apart}"
    losses = [_losses(run) for run in (one, several)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert len(losses[0]) == 12


def _losses(run: RunPaths) -> list[float]:
    lines = (run.attempts()[-1].metrics).read_text().splitlines()
    return [row["train/loss"] for row in map(json.loads, lines) if "train/loss" in row]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_a_checkpoint_of_two_processes_is_loaded_by_one_two_and_four(
    store_root: Path, ranked: Forks, kind: str
) -> None:
    run = make_ranked_run(store_root, 2, {"parallel.kind": kind})
    train_ranks(ranked, run, words=("--stop-at", "7"))
    digests = []
    for procs in (2, 1, 4):
        events = train_ranks(ranked, run, procs=procs, wanted="7", words=("--stop-at", "9"))
        assert (events[-1].name, events[-1].step) == ("stopped", 9), ranked.errors()
        digests.append(loaded_digests(run))
    assert digests[0] == digests[1] == digests[2], "weights, moments, and what else there is but random states"
    events = train_ranks(ranked, run, procs=2)  # saved by four
    assert (events[-1].name, events[-1].step) == ("finished", 24)


@pytest.mark.slow
def test_a_checkpoint_of_one_process_is_loaded_by_sharded_ones_and_back(store_root: Path, ranked: Forks) -> None:
    run = make_ranked_run(store_root, 1, FSDP)
    train_ranks(ranked, run, words=("--stop-at", "7"))
    train_ranks(ranked, run, procs=1, words=("--stop-at", "8"))
    whole = loaded_digests(run)
    train_ranks(ranked, run, procs=3, wanted="7", words=("--stop-at", "8"))
    assert loaded_digests(run) == whole
    sharded = next(item for item in scan(run) if item.step == 8)
    assert sharded.sharded
    assert sharded.usable
    assert train_ranks(ranked, run, procs=1)[-1].name == "finished"


# --- trouble on one rank ---


@pytest.mark.parametrize(
    ("bad", "words"),
    [("raise", "rank 1: ValueError: this batch can't be digested"), ("die", "the process of rank 1")],
)
@pytest.mark.parametrize("kind", [_slow_if(False, "ddp"), _slow_if(True, "fsdp")])
def test_one_rank_that_fails_ends_all_and_is_named(
    store_root: Path, ranked: Forks, kind: str, bad: str, words: str
) -> None:
    values = {"toy.bad_rank": 1, "toy.bad_at": 8, "toy.bad": bad, "parallel.kind": kind}
    run = make_ranked_run(store_root, 3, values)
    events = train_ranks(ranked, run)
    assert events[-1].name == "failed"
    assert words in events[-1].facts["error"]
    assert [item.step for item in scan(run) if item.usable] == [5, 6]


def test_a_rank_that_sees_nan_makes_all_drop_the_update(store_root: Path, ranked: Forks) -> None:
    values = {"toy.bad_rank": 1, "toy.bad_at": 8, "toy.bad": "nan"}
    run = make_ranked_run(store_root, 2, values)
    events = train_ranks(ranked, run)
    assert events[-1].name == "finished"
    alerts = [event for event in events if event.name == "alert"]
    assert [alert.facts["cause"] for alert in alerts] == ["non_finite"]
    rows = [json.loads(line) for line in run.attempts()[-1].metrics.read_text().splitlines()]
    assert [row["step"] for row in rows if row.get("train/skipped")] == [9]


def test_what_one_rank_cannot_start_with_no_rank_starts_with(store_root: Path, ranked: Forks) -> None:
    run = make_ranked_run(store_root, 2, {"toy.bad_rank": 1, "toy.bad_at": 0, "toy.bad": "nan"})
    events = train_ranks(ranked, run)
    assert (events[-1].name, events[-1].step) == ("failed", 0)
    assert events[-1].facts["error"].startswith("before the first step the loss term `error` is nan")


# --- what else reads checkpoints ---


def test_a_sharded_checkpoint_is_exported_as_one_file_and_compared(
    store_root: Path, ranked: Forks, tmp_path: Path
) -> None:
    run = make_ranked_run(store_root, 2, FSDP)
    train_ranks(ranked, run, words=("--stop-at", "7"))
    folder = run.checkpoints / folder_name(7)
    assert len(tensor_files(folder, "model.safetensors")) == 2
    apply_export(plan_export(run, tmp_path / "exported", "7"))
    exported = spread_tensors([tmp_path / "exported" / "model.safetensors"])
    parts = spread_tensors(tensor_files(folder, "model.safetensors"))
    assert {name: tensor.read() for name, tensor in exported.items()} == {
        name: tensor.read() for name, tensor in parts.items()
    }
    assert checkpoint_differences(folder, folder) == []
    path = tensor_files(folder, "model.safetensors")[1]
    path.write_bytes(path.read_bytes()[:-4] + b"abcd")
    found = next(item for item in scan(run) if item.step == 7)
    assert "was changed after it was written" in verify(found)[0]
    path.unlink()
    assert not next(item for item in scan(run) if item.step == 7).usable
