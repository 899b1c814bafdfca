"""The studies of the task say what the design says, in every preset, and values flow from one to the next."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine.study.expand import arms_of, check, expand
from engine.study.needs import order_of
from engine.study.spec import read_study
from engine.study.sweeps import Row, find_sweeps

FOLDER = Path(__file__).parents[4] / "experiments"
NAMES = ("finetune-start", "optimizers-rates", "optimizers", "optimizers-classic", "attention-ablation")
VARIANTS = [(name, preset) for name in NAMES for preset in (None, *read_study(FOLDER / f"{name}.yaml").spec.presets)]


@pytest.mark.parametrize(("name", "preset"), VARIANTS)
def test_every_preset_of_every_study_can_be_run(name: str, preset: str | None) -> None:
    study = read_study(FOLDER / f"{name}.yaml", preset)
    check(study)
    assert study.metric is not None
    for needed in order_of(study):
        check(needed)
    if preset == "full":
        assert "finetune-start" not in [item.name for item in order_of(study)], "gpt2 needs none of our own"
        assert all(_options(cell)["model"]["name"] == "gpt2" for cell in expand(study))


@pytest.mark.parametrize("preset", [None, "full"])
def test_each_optimizer_has_a_rate_curve_of_its_own_and_the_same_budget(preset: str | None) -> None:
    study = read_study(FOLDER / "optimizers-rates.yaml", preset)
    arms = arms_of(study)
    counted = Counter(arm.values["optim.name"] for arm in arms)
    assert set(counted) == {"adamw", "sgd", "lion", "muon"}
    assert len(set(counted.values())) == 1
    (sweep,) = find_sweeps(study, [Row(arm.name, dict(arm.values), (9.0,)) for arm in arms])
    assert (sweep.option, len(sweep.curves)) == ("optim.lr", 4)
    assert len({_options(cell)["train"]["max_steps"] for cell in expand(study)}) == 1


def test_the_rate_of_each_optimizer_comes_from_its_own_arms_and_the_seeds_have_chosen_nothing() -> None:
    rates, study = (read_study(FOLDER / f"{name}.yaml") for name in ("optimizers-rates", "optimizers"))
    assert [item.name for item in order_of(study)] == ["finetune-start", "optimizers-rates", "optimizers"]
    assert not set(study.spec.seeds) & set(rates.spec.seeds)
    assert len(study.spec.seeds) >= 3
    found = {("sgd", 1): {"optim.lr": 0.3, "model.from_run": "some-run"}}
    cell = next(cell for cell in expand(study, found) if cell.name == "sgd/1")
    assert (_options(cell)["optim"]["lr"], _options(cell)["optim"]["name"], cell.needs) == (0.3, "sgd", ())
    same = [_options(cell)["clip"] | _options(cell)["schedule"] for cell in expand(study)]
    assert all(item == same[0] for item in same), "one clip and one schedule for all"


def test_attention_is_ablated_in_training_and_in_evaluation_alone() -> None:
    study = read_study(FOLDER / "attention-ablation.yaml")
    found = {(options["kind"], options["when"]) for options in (_options(cell)["ablation"] for cell in expand(study))}
    kinds = ("delete", "uniform", "self_only", "mean")
    assert found == {("none", "both"), *((kind, when) for kind in kinds for when in ("both", "eval"))}
    assert [cell.arm for cell in expand(study) if _options(cell)["ablation"]["map"]] == ["baseline"] * 3


def _options(cell: Any) -> dict[str, Any]:
    found: dict[str, Any] = cell.config.model_dump()
    return found
