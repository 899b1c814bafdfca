"""The work of a step is counted by torch and agrees with what can be worked out by hand."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from engine.config.resolve import resolve
from engine.config.tasks import training_class
from engine.store.names import find_run
from engine.store.paths import Store, open_store
from engine.tools.efficiency import count_work, main
from engine.tools.flops import FlopCounter
from engine.tools.selftest import make_run
from tests.forks import Forks
from tests.support import TINY
from tests.tui.cli.stores import heats


def test_a_linear_layer_counts_two_operations_a_product() -> None:
    model = nn.Sequential(nn.Linear(10, 20, bias=False), nn.ReLU(), nn.Linear(20, 5, bias=False))
    with FlopCounter() as counter:
        model(torch.randn(7, 10)).sum().backward()
    forward = 2 * 7 * (10 * 20 + 20 * 5)
    # Backward: each layer's weights, and the input of the second.
    assert counter.total == forward + forward + 2 * 7 * 20 * 5


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, trainer: Forks) -> Store:
    """A simple and a latent model, trained for a few steps."""
    root = tmp_path_factory.mktemp("store") / "runs"
    for kind in ("simple", "latent"):
        values = TINY | {"model.kind": kind, "train.max_steps": 4, "evaluation.every": 2}
        trainer.run(make_run(root, resolve(training_class("multiplication"), values), kind).folder)
    return open_store(root)


def test_a_real_run_s_work(trained: Store, capsys: pytest.CaptureFixture[str]) -> None:
    simple, latent = find_run(trained, "simple"), find_run(trained, "latent")
    first, again = count_work(simple, 4), count_work(simple, 4)
    assert first == again
    assert first["flops_per_step"] > 2 * 16 * first["parameters"]  # each weight meets each of 16 samples at least once
    assert main([f"{simple.folder}:4", f"{latent.folder}:4", str(trained.root / "nosuch")]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert reports[0]["flops_per_step"] == first["flops_per_step"]
    assert reports[1]["flops_per_step"] != first["flops_per_step"]
    assert "run.json is missing" in reports[2]["error"]


def test_the_command_compares_two_runs(trained: Store) -> None:
    done = heats("efficiency", "simple", "latent", "--metric", "val/loss", "--json", store=trained)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    names = [figure["figure"] for figure in report["figures"]]
    assert names[:3] == ["parameters", "validation loss", "loss x million parameters"]
    work = next(figure for figure in report["figures"] if figure["figure"].startswith("FLOPs to"))
    assert all(value > 0 for value in work["values"].values())
    assert work["factor"] > 1


def test_the_command_says_who_never_reached_the_target(trained: Store) -> None:
    words = ("efficiency", "simple", "latent", "--metric", "val/loss", "--target", "1e-9", "--no-flops")
    done = heats(*words, store=trained)
    assert done.returncode == 0, done.stderr
    assert "A never reached val/loss at most 1e-09" in done.stdout
    assert heats("efficiency", "simple", store=trained).returncode == 2
