"""An export is whole or not there, is what was verified, and overwrites nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from engine.errors import HeatsError
from engine.store.checkpoint_export import FILES, apply_export, plan_export
from engine.store.checkpoints import MODEL, folder_name
from engine.store.paths import RunPaths
from tests.engine.store.made import add_attempt, flip_bit, make_run, make_store, write_checkpoint


@pytest.fixture
def run(store_root: Path) -> RunPaths:
    run = make_run(make_store(store_root))
    add_attempt(run)
    write_checkpoint(run, 10, metric=0.75)
    write_checkpoint(run, 20)
    return run


def test_weights_config_and_origin_are_written(run: RunPaths, tmp_path: Path) -> None:
    target = tmp_path / "model"
    plan = plan_export(run, target)
    assert not target.exists(), "a plan changes nothing"
    apply_export(plan)
    assert sorted(os.listdir(target)) == sorted(FILES)
    assert (target / MODEL).read_bytes() == (run.checkpoints / folder_name(10) / MODEL).read_bytes()
    facts = json.loads((target / "metadata.json").read_text())
    assert (facts["run"], facts["step"], facts["task"]) == (run.id, 10, "multiplication")
    assert facts["metric"] == {"val/exact_match": 0.75}
    config = json.loads((target / "config.json").read_text())
    assert config["model"]["d_model"] == 8
    assert yaml.safe_load((target / "config.yaml").read_text())["model"]["d_model"] == 8
    assert sorted(os.listdir(tmp_path)) == ["model", "runs"], "nothing is left over"


@pytest.mark.parametrize(("wanted", "step"), [("latest", 20), ("10", 10), ("best", 10)])
def test_which_is_told_as_elsewhere(run: RunPaths, tmp_path: Path, wanted: str, step: int) -> None:
    assert plan_export(run, tmp_path / "model", wanted).checkpoint.step == step


def test_nothing_is_overwritten_and_nothing_lands_in_the_store(
    run: RunPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "way in").symlink_to(run.folder)
    monkeypatch.chdir(there)
    for target, expected in (
        (there, "is there already"),
        (Path("."), "names no new folder"),
        (Path(".."), "names no new folder"),
        (Path("../there"), "is there already"),
        (tmp_path / "link", "is there already"),
        (tmp_path / "no" / "model", "there is no such folder"),
        (run.folder / "model", "lies in the store"),
        (tmp_path / "there" / ".." / "runs" / "model", "lies in the store"),
        (tmp_path / "way in" / "model", "lies in the store"),
    ):
        with pytest.raises(HeatsError, match=expected):
            plan_export(run, target)
    plan = plan_export(run, Path("../model"))
    (tmp_path / "model").mkdir()
    with pytest.raises(HeatsError, match="is there already"):
        apply_export(plan)
    assert os.listdir(tmp_path / "model") == []


def test_a_damaged_checkpoint_is_not_exported(run: RunPaths, tmp_path: Path) -> None:
    flip_bit(run.checkpoints / folder_name(20) / MODEL, -1)
    with pytest.raises(HeatsError, match="can't be used"):
        plan_export(run, tmp_path / "model", "20")
    plan = plan_export(run, tmp_path / "model", "latest")
    assert plan.checkpoint.step == 10
    assert plan.passed_over[0].startswith("step 20:")
    flip_bit(run.checkpoints / folder_name(10) / MODEL, -1)
    with pytest.raises(HeatsError, match="changed while it was copied"):
        apply_export(plan)
    assert os.listdir(tmp_path) == ["runs"]
