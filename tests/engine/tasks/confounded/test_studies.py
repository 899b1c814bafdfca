"""The studies of the task say what the design says, in every preset, and values flow from one to the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.study.expand import arms_of, check, expand
from engine.study.needs import order_of
from engine.study.spec import read_study
from engine.study.sweeps import Row, find_sweeps
from tests.engine.study.studies import trained_by

FOLDER = Path(__file__).parents[4] / "experiments"
NAMES = sorted(path.stem for path in FOLDER.glob("confounded-*.yaml"))
CELLS = [
    (name, preset) for name in NAMES for preset in (None, *read_study(FOLDER / f"{name}.yaml").spec.presets)
]  # fmt: skip


def test_there_is_a_study_for_each_question() -> None:
    assert [f"confounded-{name}" for name in ("grid", "lambda", "lr", "methods", "overfit", "pool", "start")] == NAMES


@pytest.mark.parametrize(("name", "preset"), CELLS)
def test_every_preset_of_every_study_can_be_run(name: str, preset: str | None) -> None:
    study = read_study(FOLDER / f"{name}.yaml", preset)
    check(study)
    assert study.metric is not None
    for needed in order_of(study):
        check(needed)


def test_values_flow_from_start_to_rate_to_weight() -> None:
    study = read_study(FOLDER / "confounded-lambda.yaml", "smoke")
    assert [item.name for item in order_of(study)] == ["confounded-start", "confounded-lr", "confounded-lambda"]
    assert all(item.preset == "smoke" for item in order_of(study))
    cell = expand(study, {("lambda-1", 0): {"model.from_run": "some-run", "optim.lr": 0.007}})[4]
    assert cell.name == "lambda-1/0"
    assert (cell.config.model_dump()["model"]["from_run"], trained_by(cell).optim.lr) == ("some-run", 0.007)


def test_the_imbalanced_point_lies_on_the_axis_of_lambda() -> None:
    study = read_study(FOLDER / "confounded-lambda.yaml")
    rows = []
    for arm in arms_of(study):
        rows.append(Row(arm.name, dict(arm.values), (0.5,)))
    (sweep,) = find_sweeps(study, rows)
    assert sweep.option == "loss.corrected_weight"
    curves = {label: [point.value for point in points] for label, points in sweep.curves.items()}
    assert curves.pop("imbalanced") == [0.066667]
    assert next(iter(curves.values())) == [0.066667, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0]
