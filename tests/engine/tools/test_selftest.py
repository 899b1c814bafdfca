"""The real task in real processes: cut, killed, resumed, and equal to the last bit."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.config.resolve import resolve
from engine.config.tasks import training_class
from engine.store.checkpoints import folder_name
from engine.store.compare import checkpoint_differences, metric_differences
from engine.store.paths import RunPaths, program
from engine.tools.selftest import SMALL, make_run
from tests.forks import Forks
from tests.support import wait_until


def differences(first: RunPaths, second: RunPaths) -> list[str]:
    folders = [run.checkpoints / folder_name(40) for run in (first, second)]
    return checkpoint_differences(*folders) + metric_differences(first, second)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["simple", "latent"])
def test_cut_and_killed_runs_equal_a_straight_one_whatever_the_workers(
    store_root: Path, trainer: Forks, kind: str, dtype: str
) -> None:
    # 3,960 pairs in batches of 32 are 123 steps an epoch: every cut is in mid-epoch, and teacher forcing, which
    # begins to fall at step 15, has coins on both sides of it.
    values: dict[str, Any] = SMALL | {
        "model.kind": kind, "precision.dtype": dtype, "train.num_threads": 1, "tf.start_step": 15, "train.log_every": 7,
    }  # fmt: skip
    alone, workers = (resolve(training_class("multiplication"), values | {"data.num_workers": n}) for n in (0, 2))
    straight = make_run(store_root, alone, "straight")
    cut = make_run(store_root, workers, "cut")
    trainer.run(straight.folder)
    trainer.run(cut.folder, "--stop-at", 20)
    trainer.run(cut.folder)
    assert differences(straight, cut) == []
    for _ in range(5):
        killed = make_run(store_root, alone, "killed")
        trainer.start(killed.folder)
        wait_until((killed.checkpoints / folder_name(20)).exists)
        if trainer.kill():  # or it was quicker than we
            break
    trainer.run(killed.folder)
    assert len(killed.attempts()) == 2
    assert differences(straight, killed) == []


@pytest.mark.slow
def test_the_selftest_command_says_identical() -> None:
    done = subprocess.run([*program("engine.tools.selftest"), "resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "identical" in done.stdout


def test_the_selftest_sees_a_difference(store_root: Path, trainer: Forks) -> None:
    config = resolve(training_class("multiplication"), SMALL | {"train.num_threads": 1, "train.max_steps": 4})
    other = resolve(training_class("multiplication"), SMALL | {"train.num_threads": 1, "train.max_steps": 4, "seed": 1})
    runs = [make_run(store_root, item, "one") for item in (config, other)]
    for run in runs:
        trainer.run(run.folder)
    found = checkpoint_differences(*(run.checkpoints / folder_name(4) for run in runs))
    assert any("model.safetensors" in item for item in found)
    assert any("train/loss from step 1" in item for item in metric_differences(*runs))
