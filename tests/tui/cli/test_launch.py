"""`heats launch` up to the point where a process would be started; real trainings are tested elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.tui.cli.stores import heats


def test_dry_run_prints_the_config_and_makes_nothing(tmp_path: Path) -> None:
    done = heats("launch", "multiplication", "model.num_layers=2", "--seed", "7", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# multiplication-latent-d384-l2-n8\n")
    config = yaml.safe_load(done.stdout)
    assert config["model"]["num_layers"] == 2
    assert config["seed"] == 7
    assert config["train"]["max_steps"] == 10_000
    assert list(tmp_path.iterdir()) == [] or not (tmp_path / "runs").exists()


def test_words_beat_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("train:\n  max_steps: 5\n  batch_size: 4\nmodel.kind: simple\n")
    words = ("launch", "multiplication", "--config", "c.yaml", "train.max_steps=6", "--dry-run", "--json")
    shown = json.loads(heats(*words, cwd=tmp_path).stdout)
    assert set(shown) == {"task", "slug", "config"}
    assert shown["slug"] == "multiplication-simple-d384-l4"
    assert shown["config"]["train"]["max_steps"] == 6
    assert shown["config"]["train"]["batch_size"] == 4


def test_what_dry_run_prints_can_be_launched_again(tmp_path: Path) -> None:
    first = heats("launch", "multiplication", "optim.lr=3e-5", "--dry-run").stdout
    (tmp_path / "again.yaml").write_text(first)
    assert heats("launch", "multiplication", "--config", "again.yaml", "--dry-run", cwd=tmp_path).stdout == first


def test_a_files_misfit_that_words_mend_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("model: {d_model: 10, num_heads: 4}\n")
    words = ("launch", "multiplication", "--config", "c.yaml", "--dry-run")
    refused = heats(*words, cwd=tmp_path)
    assert refused.returncode == 2
    assert "c.yaml" in refused.stderr
    assert "must divide" in refused.stderr
    assert heats(*words, "model.num_heads=5", cwd=tmp_path).returncode == 0
