"""The study files that come with the task: each preset makes cells that differ in what they ask about alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from engine.config.resolve import flatten
from engine.study.expand import expand
from engine.study.spec import Study, read_study
from engine.tasks.conditional.config import Config

PARTS = ("starved", "canary")
FOLDER = Path(__file__).parents[4] / "experiments"


def presets(name: str) -> list[tuple[str, str | None]]:
    content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return [(name, preset) for preset in (None, *content["presets"])]


def read(name: str, preset: str | None) -> Study:
    return read_study(FOLDER / f"{name}.yaml", preset)


def differing(study: Study) -> set[str]:
    """The options in which the arms of a study differ."""
    configs = [flatten(cell.config.model_dump()) for cell in expand(study) if cell.seed == study.spec.seeds[0]]
    return {key for config in configs for key in config if config[key] != configs[0][key]}


@pytest.mark.parametrize(("name", "preset"), presets("detach-augmentation"), ids=str)
def test_detaching_is_asked_about_alone(name: str, preset: str | None) -> None:
    study = read(name, preset)
    assert differing(study) == {"augment.detach", "augment.where"}
    assert all(isinstance(cell.config, Config) and cell.config.data.log_digests for cell in expand(study))


@pytest.mark.parametrize("preset", PARTS)
def test_parts_of_the_flip_ask_about_one_thing(preset: str) -> None:
    asked = {"starved": {"augment.keep_leftovers"}, "canary": {"augment.mask"}}[preset]
    assert differing(read("mode2-flip", preset)) == asked


@pytest.mark.parametrize(("name", "preset"), [pair for pair in presets("mode2-flip") if pair[1] not in PARTS], ids=str)
def test_the_flip_has_eight_combinations_and_a_canary(name: str, preset: str | None) -> None:
    study = read(name, preset)
    configs = {cell.arm: cell.config for cell in expand(study) if cell.seed == study.spec.seeds[0]}
    causes = {}
    for arm, config in configs.items():
        assert isinstance(config, Config)
        causes[arm] = (config.augment.pad_is_eos, config.augment.keep_leftovers, config.augment.mask)
        assert {2, 4} <= set(config.evaluation.modes)
    of_text = {arm for arm in configs if not arm.startswith("canary")}
    assert len({causes[arm] for arm in of_text}) == len(of_text) == 8
    canary = {arm: configs[arm] for arm in configs if arm.startswith("canary")}
    assert {causes[arm] for arm in canary} == {(False, True, "sealed"), (False, True, "leaky")}
    assert all(isinstance(config, Config) and config.data.random_symbols > 1 for config in canary.values())
