"""Study files: what they may say, and one clear sentence with the line for every mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.errors import HeatsError
from engine.study.expand import arms_of, expand
from engine.study.needs import order_of
from engine.study.spec import Study, read_study
from tests.engine.study.studies import trained_by

GOOD = """\
question: Does it help?
hypothesis: {better: latent, than: simple, metric: val/exact_match, mode: max, by: 0.01}
task: multiplication
base:
  train: {max_steps: 40, batch_size: 16}
  model.d_model: 16
  model.num_heads: 2
arms:
  simple: {model.kind: simple}
  latent: {model.kind: latent, model.num_latent: 2}
seeds: [0, 1, 2]
presets:
  smoke:
    base: {train.max_steps: 5}
    seeds: [7]
"""


def write(folder: Path, text: str = GOOD, name: str = "study") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(HeatsError) as caught:
        expand(read_study(write(folder, text)))
    return str(caught.value)


def test_arms_times_seeds_with_pairs_side_by_side(tmp_path: Path) -> None:
    cells = expand(read_study(write(tmp_path)))
    assert [cell.name for cell in cells] == ["simple/0", "latent/0", "simple/1", "latent/1", "simple/2", "latent/2"]
    assert {trained_by(cell).train.max_steps for cell in cells} == {40}
    assert len({cell.hash for cell in cells}) == 6


def test_a_preset_replaces_what_it_names_whether_dotted_or_nested(tmp_path: Path) -> None:
    study = read_study(write(tmp_path), "smoke")
    assert study.label == "study.smoke"
    cells = expand(study)
    assert [cell.name for cell in cells] == ["simple/7", "latent/7"]
    assert trained_by(cells[0]).train.max_steps == 5
    assert trained_by(cells[0]).train.batch_size == 16


def test_factors_make_a_full_grid_with_short_names(tmp_path: Path) -> None:
    text = GOOD.replace("arms:", "factors:\n  optim.lr: [0.001, 0.003]\n  model.positions: [learned, abacus]\narms:")
    text = text.replace("hypothesis:", "#")
    names = [arm.name for arm in arms_of(read_study(write(tmp_path, text)))]
    assert len(names) == 8
    assert names[0] == "simple,lr=0.001,positions=learned"


def test_zip_pairs_its_lists(tmp_path: Path) -> None:
    content = yaml.safe_load(GOOD)
    del content["hypothesis"], content["arms"]
    content["zip"] = {"optim.lr": [0.001, 0.003], "optim.weight_decay": [0.1, 0.2]}
    study = read_study(write(tmp_path, yaml.safe_dump(content)))
    assert [dict(arm.values) for arm in arms_of(study)] == [
        {"optim.lr": 0.001, "optim.weight_decay": 0.1}, {"optim.lr": 0.003, "optim.weight_decay": 0.2},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("question:", "qestion:"), ["line 1", "`qestion`", "did you mean `question`?"]),
        (("seeds: [0, 1, 2]", "seeds: []"), ["line 11", "`seeds`"]),
        (("seeds: [0, 1, 2]", "seeds: [0, 1, 1]"), ["line 11", "seed 1 is given twice"]),
        (("better: latent", "better: latnet"), ["line 2", "no arm `latnet`", "did you mean `latent`?"]),
        (("than: simple", "than: latent"), ["line 2", "compared with itself"]),
        (("val/exact_match", "val/exact_mach"), ["line 2", "no metric `val/exact_mach`", "val/exact_match"]),
        (("model.kind: simple", "model.knd: simple"), ["line 9", "`model.knd`", "did you mean `model.kind`?"]),
        (("model.kind: simple", "model.kind: simpel"), ["line 9", "is no choice"]),
        (("max_steps: 40", "max_step: 40"), ["line 5", "`train.max_step`", "did you mean `train.max_steps`?"]),
        (("max_steps: 40", "max_steps: 0"), ["line 5", "`train.max_steps` = 0"]),
        (("task: multiplication", "task: multiplicaton"), ["line 3", "did you mean `multiplication`?"]),
        (("model.kind: latent, model.num_latent: 2", "model.kind: simple"), ["line 10", "have the same config"]),
        (("arms:", "factors: {optim.lr: []}\narms:"), ["line 8", "`optim.lr` has no values: the grid is empty"]),
        (("arms:", "zip: {optim.lr: [0.1], optim.eps: [0.1, 0.2]}\narms:"), ["line 8", "differ in length"]),
        (("arms:", "factors: {model.kind: [simple, latent]}\narms:"), ["line 8", "`model.kind` is both"]),
        (("by: 0.01", "by: -1"), ["line 2", "hypothesis"]),
        (("model.d_model: 16", "seed: 4"), ["line 6", "`seed` belongs under `seeds`"]),
        (("seeds: [0, 1, 2]", "seeds: [0\n"), ["no valid YAML"]),
        (("task: multiplication", "task: multiplication\ntask: multiplication"), ["line 4", "`task` is given twice"]),
        (("question: Does it help?\n", ""), ["`question` is missing"]),
        (("seeds: [0, 1, 2]", "budget: {max_paralel: 2}"), ["line 11", "did you mean `max_parallel`?"]),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_with_its_line(tmp_path: Path, change: tuple[str, str], said: list[str]) -> None:
    assert change[0] in GOOD
    message = complaint(tmp_path, GOOD.replace(*change))
    assert "study.yaml" in message
    assert "\n" not in message
    for part in said:
        assert part in message


def test_a_study_without_arms_says_so(tmp_path: Path) -> None:
    content = yaml.safe_load(GOOD)
    del content["hypothesis"], content["arms"]
    assert "has no arms" in complaint(tmp_path, yaml.safe_dump(content))


def test_an_unknown_preset_names_the_others(tmp_path: Path) -> None:
    with pytest.raises(HeatsError, match="did you mean `smoke`"):
        read_study(write(tmp_path), "smok")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(HeatsError, match="no such study file"):
        read_study(tmp_path / "none.yaml")


class TestNeeds:
    def make(self, folder: Path, name: str, **needs: str) -> Study:
        content: dict[str, Any] = yaml.safe_load(GOOD)
        content["needs"] = needs
        return read_study(write(folder, yaml.safe_dump(content), name))

    def test_what_is_needed_comes_first(self, tmp_path: Path) -> None:
        self.make(tmp_path, "rates")
        self.make(tmp_path, "sizes", **{"optim.lr": "rates#best"})
        last = self.make(tmp_path, "last", **{"optim.lr": "rates#best", "model.d_model": "sizes#best"})
        assert [study.name for study in order_of(last)] == ["rates", "sizes", "last"]

    def test_a_circle_is_named(self, tmp_path: Path) -> None:
        self.make(tmp_path, "one", **{"optim.lr": "two#best"})
        two = self.make(tmp_path, "two", **{"optim.lr": "one#best"})
        with pytest.raises(HeatsError, match="two -> one -> two"):
            order_of(two)

    def test_an_unknown_study_is_named_with_the_nearest(self, tmp_path: Path) -> None:
        self.make(tmp_path, "rates")
        with pytest.raises(HeatsError, match=r"line \d+: there is no study `rats`.*did you mean `rates`"):
            order_of(self.make(tmp_path, "last", **{"optim.lr": "rats#best"}))

    def test_a_need_of_another_form_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(HeatsError, match="STUDY#best"):
            order_of(self.make(tmp_path, "last", **{"optim.lr": "rates"}))


SHIPPED = sorted((Path(__file__).parents[3] / "experiments").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_study_is_sound_in_full_and_in_small(path: Path) -> None:
    study = read_study(path)
    assert study.spec.question.endswith("?")
    assert expand(study)
    assert "smoke" in study.spec.presets
    for preset in study.spec.presets:
        assert expand(read_study(path, preset))
