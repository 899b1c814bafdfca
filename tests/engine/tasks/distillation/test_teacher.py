"""Who can't teach is refused in one sentence; who can, teaches the same on every resume."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.errors import HeatsError
from engine.store.checkpoints import scan
from engine.store.paths import RunPaths, create_store
from tests.engine.tasks.distillation.made import made, make_run, train_run


def refused(root: Path, words: str, values: dict[str, Any]) -> None:
    """The run fails before its first step, saying this."""
    with pytest.raises(HeatsError, match=words):
        made(root, {"loss.method": "logit"} | values)


def test_a_run_that_isnt_there(store_root: Path) -> None:
    refused(store_root, "there is no run `nobody` to learn from", {"teacher.from_run": "nobody"})
    refused(store_root, "to learn from", {"teacher.from_run": str(store_root / "nobody")})


def test_a_run_of_the_same_store_is_found_by_its_id(store_root: Path) -> None:
    teacher = made(store_root)
    values = {"loss.method": "logit", "teacher.from_run": teacher.id}
    _, task = train_run(make_run(store_root, values), values)
    assert task.state_dict()["teacher"] in [item.digests["model"] for item in scan(teacher)]


def test_a_run_of_another_task(store_root: Path) -> None:
    other = make_run(store_root, task="multiplication")
    refused(store_root, "is a run of the task multiplication", {"teacher.from_run": other.id})


def test_another_network_than_asked_for(store_root: Path, teacher: RunPaths) -> None:
    values = {"teacher.from_run": str(teacher.folder), "teacher.network": "resnet56"}
    refused(store_root, "can't teach: it is a resnet14, not a resnet56", values)


def test_weights_of_another_shape(store_root: Path) -> None:
    teacher = made(store_root)
    config = teacher.folder / "config.yaml"
    config.write_text(config.read_text().replace("network: resnet8", "network: resnet20"))
    refused(store_root, "its weights aren't those of a resnet20", {"teacher.from_run": teacher.id})


def test_other_data(store_root: Path, teacher: RunPaths) -> None:
    values = {"teacher.from_run": str(teacher.folder), "data.normalise": "unit"}
    refused(store_root, "its data.normalise is standard, and the student's unit", values)


def test_another_number_of_classes(teacher: RunPaths) -> None:
    from engine.tasks.distillation.teacher import load_teacher
    from tests.engine.tasks.distillation.made import config_of

    config = config_of({"loss.method": "logit", "teacher.from_run": str(teacher.folder)})
    with pytest.raises(HeatsError, match="it tells 10 classes apart, and the student 100"):
        load_teacher(config, None, 100, 1)
    with pytest.raises(HeatsError, match="it reads pictures of 1 channels, and the student's have 3"):
        load_teacher(config, None, 10, 3)


def test_a_run_that_was_never_evaluated(store_root: Path) -> None:
    teacher = make_run(store_root)
    refused(store_root, "it hasn't finished", {"teacher.from_run": teacher.id})
    train_run(teacher, stop_at=2)
    refused(store_root, "no evaluated checkpoint is there", {"teacher.from_run": teacher.id})


def test_a_damaged_checkpoint(store_root: Path, teacher: RunPaths) -> None:
    copy = create_store(store_root).run(teacher.id)
    shutil.copytree(teacher.folder, copy.folder)
    for item in scan(copy):
        weights = item.folder / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    refused(store_root, "was changed after it was written", {"teacher.from_run": str(copy.folder)})


def test_one_that_has_hardly_learnt_anything(store_root: Path) -> None:
    teacher = made(store_root, {"optim.lr": 1e-9, "train.max_steps": 2})
    refused(store_root, "can't teach: it has finished with an accuracy of", {"teacher.from_run": teacher.id})


def test_a_resume_wants_the_very_same_teacher(store_root: Path) -> None:
    teacher = make_run(store_root)
    train_run(teacher, stop_at=14)
    values = {"loss.method": "logit", "teacher.from_run": teacher.id}
    run = make_run(store_root, values)
    train_run(run, values, stop_at=10)
    train_run(teacher)  # a better checkpoint, but the one of before is still there
    _, task = train_run(run, values, stop_at=12)
    assert task.state_dict()["teacher"] in [item.digests["model"] for item in scan(teacher) if item.step == 13]
    for item in scan(teacher):
        if item.step == 13:
            shutil.rmtree(item.folder)
    with pytest.raises(HeatsError, match="the checkpoint with which this run began is no longer there"):
        train_run(run, values)
