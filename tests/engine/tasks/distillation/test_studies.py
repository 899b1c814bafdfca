"""The study files that come with the task: each preset makes cells, fairly, after their teachers."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from engine.study.expand import expand
from engine.study.needs import order_of
from engine.study.spec import Study, read_study
from engine.tasks.distillation.config import Config

FOLDER = Path(__file__).parents[4] / "experiments"
FILES = ("distillation", "rkd-repaired", "distillation-teacher")


def presets(name: str) -> list[tuple[str, str | None]]:
    content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return [(name, preset) for preset in (None, *content["presets"])]


def read(name: str, preset: str | None) -> Study:
    return read_study(FOLDER / f"{name}.yaml", preset)


ALL = [pair for name in FILES for pair in presets(name)]


@pytest.mark.parametrize(("name", "preset"), ALL, ids=str)
def test_students_are_like_each_other_and_like_their_teacher(name: str, preset: str | None) -> None:
    study = read(name, preset)
    cells = [(cell, cell.config) for cell in expand(study)]
    configs = [config for _, config in cells if isinstance(config, Config)]
    assert len(configs) == len(cells) > 0
    assert len({config.train.max_steps - config.first_phase_steps for config in configs}) == 1
    assert len({(config.model.network, config.train.batch_size, config.optim.lr) for config in configs}) == 1
    teachers = order_of(study)[0]
    assert teachers.preset == preset
    taught = expand(teachers)[0].config
    assert isinstance(taught, Config)
    for key in ("source", "image_size", "normalise", "validation_fraction"):
        assert getattr(taught.data, key) == getattr(configs[0].data, key), key
    if name != "distillation-teacher":
        assert all(cell.needs == ("teacher.from_run",) for cell, _ in cells)
        assert set(study.spec.seeds) <= set(teachers.spec.seeds)


def test_every_method_is_in_the_study() -> None:
    methods = {
        cell.config.loss.method for cell in expand(read("distillation", None)) if isinstance(cell.config, Config)
    }
    assert methods == {
        "none", "logit", "logit_std", "dkd", "attention_transfer", "fitnets", "factor_transfer", "rkd", "similarity",
        "nst", "crd",
    }  # fmt: skip


def test_the_gpu_preset_is_the_published_recipe() -> None:
    cells = {cell.arm: cell.config for cell in expand(read("distillation", "cifar100-r56-r20")) if cell.seed == 0}
    plain, dkd = cells["none"], cells["dkd"]
    assert isinstance(plain, Config)
    assert isinstance(dkd, Config)
    steps_per_epoch = 49_000 // 64
    assert plain.train.max_steps == 240 * steps_per_epoch
    falls = [share * 240 for share in plain.schedule.milestones]
    assert (falls, plain.schedule.gamma, plain.optim.lr) == ([150, 180, 210], 0.1, 0.05)
    assert (plain.optim.weight_decay, plain.optim.momentum, plain.optim.decay_norms) == (5e-4, 0.9, True)
    assert dkd.dkd.warmup_epochs == 20
