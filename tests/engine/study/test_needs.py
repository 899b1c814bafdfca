"""Values and runs that a study takes from another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.config.resolve import flatten
from engine.errors import HeatsError
from engine.store.paths import Store
from engine.study.cells import find_cells
from engine.study.expand import expand
from engine.study.needs import find_needed, order_of
from engine.study.spec import Study
from tests.engine.study.studies import finish, log_training, standings, trained_by, write_study
from tests.tui.cli.stores import make_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path)


@pytest.fixture
def source(tmp_path: Path) -> Study:
    """Two learning rates, of which the second is better."""
    rates = {"slow": {"optim.lr": 0.001}, "fast": {"optim.lr": 0.01}}
    return write_study(tmp_path, "rates", arms=rates, hypothesis=None, metric="val/loss", seeds=[0, 1])


def train(store: Store, study: Study, values: dict[str, float]) -> dict[str, str]:
    """Finished runs for all cells, each arm with its figure; their ids by cell."""
    return {cell.name: finish(store, study, cell, values[cell.arm] + cell.seed).id for cell in expand(study)}


def needing(folder: Path, **needs: str) -> Study:
    return write_study(
        folder, "wants", seeds=[1, 7], needs={key.replace("__", "."): text for key, text in needs.items()}
    )


def test_cells_wait_until_all_of_the_other_study_has_finished(store: Store, source: Study, tmp_path: Path) -> None:
    study = needing(tmp_path, optim__lr="rates#best")
    assert set(standings(store, study).values()) == {"waiting"}
    cells = expand(source)
    for cell in cells[:-1]:
        finish(store, source, cell, 1.0)
    assert set(standings(store, study).values()) == {"waiting"}
    finish(store, source, cells[-1], 0.5)
    assert set(standings(store, study).values()) == {"missing"}


def test_best_is_the_value_of_the_best_arm(store: Store, source: Study, tmp_path: Path) -> None:
    train(store, source, {"slow": 2.0, "fast": 1.0})
    states = find_cells(store, needing(tmp_path, optim__lr="rates#best"))
    assert {trained_by(state.cell).optim.lr for state in states} == {0.01}


def test_best_of_another_key(store: Store, source: Study, tmp_path: Path) -> None:
    train(store, source, {"slow": 1.0, "fast": 2.0})
    study = needing(tmp_path, optim__weight_decay="rates#best:optim.lr")
    assert {trained_by(state.cell).optim.weight_decay for state in find_cells(store, study)} == {0.001}


def test_best_of_the_arms_that_are_alike(store: Store, tmp_path: Path) -> None:
    kinds = {"simple": {"model.kind": "simple"}, "latent": {"model.kind": "latent"}}
    rates = {f"{kind}-{rate}": {**kinds[kind], "optim.lr": rate} for kind in kinds for rate in (0.1, 0.01)}
    source = write_study(tmp_path, "rates", arms=rates, hypothesis=None, metric="val/loss", seeds=[0])
    study = write_study(
        tmp_path, "wants", arms=kinds, hypothesis=None, metric="val/loss", seeds=[0],
        needs={"optim.lr": "rates#best@model.kind"},
    )  # fmt: skip
    train(store, source, {"simple-0.1": 1.0, "simple-0.01": 2.0, "latent-0.1": 2.0, "latent-0.01": 1.0})
    found = {state.cell.arm: trained_by(state.cell).optim.lr for state in find_cells(store, study)}
    assert found == {"simple": 0.1, "latent": 0.01}
    study.spec.needs["optim.lr"] = "rates#best@model.kinds"
    with pytest.raises(HeatsError, match=r"has no option `model\.kinds`"):
        find_needed(store, study)
    study.spec.needs["optim.lr"] = "rates#best@seed"
    with pytest.raises(HeatsError, match="says no `seed`"):
        find_needed(store, study)


def test_numbers_are_alike_however_they_are_written(store: Store, tmp_path: Path) -> None:
    rates = {"rare": {"optim.weight_decay": 0.001}, "often": {"optim.weight_decay": 0.01}}
    write_study(tmp_path, "rates", arms=rates, hypothesis=None, metric="val/loss", seeds=[0], base={"optim.lr": 0.5})
    study = write_study(
        tmp_path, "wants", arms={"rare": {"optim.weight_decay": "1e-3"}}, hypothesis=None, metric="val/loss",
        seeds=[0], needs={"optim.lr": "rates#best@optim.weight_decay"},
    )  # fmt: skip
    assert {state.standing for state in find_cells(store, study)} == {"waiting"}


def test_a_run_is_that_of_the_same_seed_where_there_is_one(store: Store, source: Study, tmp_path: Path) -> None:
    runs = train(store, source, {"slow": 2.0, "fast": 1.0})
    study = needing(tmp_path, data__folder="rates#run")
    study.spec.needs.clear()  # the task has no option for a run: only what is found is looked at
    study.spec.needs["model.kind"] = "rates#run"
    found = find_needed(store, study)
    assert found[("small", 1)]["model.kind"] == runs["fast/1"]
    assert found[("small", 7)]["model.kind"] == runs["fast/0"]
    study.spec.needs["model.kind"] = "rates#run:slow"
    assert find_needed(store, study)[("large", 1)]["model.kind"] == runs["slow/1"]


def test_a_seed_waits_for_its_own_run_and_takes_no_other_meanwhile(store: Store, source: Study, tmp_path: Path) -> None:
    """What had finished first was given to all seeds: their cells were trained from it, and then once more."""
    study = needing(tmp_path, data__folder="rates#run")
    study.spec.needs.clear()
    study.spec.needs["model.kind"] = "rates#run:slow"
    cells = {cell.name: cell for cell in expand(source)}
    first = finish(store, source, cells["slow/0"], 1.0).id
    assert find_needed(store, study) == {}, "neither 1, whose run is to come, nor 7, which gets what is left"
    second = finish(store, source, cells["slow/1"], 1.0).id
    found = find_needed(store, study)
    assert (found[("small", 1)]["model.kind"], found[("small", 7)]["model.kind"]) == (second, first)


def test_a_search_has_no_best_before_all_its_trials_were_tried(store: Store, tmp_path: Path) -> None:
    space = {"optim.lr": {"values": [0.1, 0.01, 0.001]}}
    source = write_study(
        tmp_path, "hunt", arms=None, hypothesis=None, metric="val/loss", seeds=[0],
        search={"method": "grid", "trials": 9, "space": space},
    )  # fmt: skip
    study = needing(tmp_path, optim__lr="hunt#best")
    from engine.study.expand import Arm
    from engine.study.search import propose

    for arm, value in zip(propose(source, Arm("", {}), [], 9), (3.0, 1.0, 2.0), strict=True):
        assert set(standings(store, study).values()) == {"waiting"}
        (cell,) = expand(source, arms=[arm])
        finish(store, source, cell, value)
    assert {trained_by(state.cell).optim.lr for state in find_cells(store, study)} == {0.01}


def test_the_trials_of_a_search_get_what_they_need(store: Store, source: Study, tmp_path: Path) -> None:
    from engine.study.run import is_over
    from engine.study.trials import new_trials

    study = write_study(
        tmp_path, "hunt", arms=None, hypothesis=None, metric="val/loss", seeds=[0], needs={"optim.lr": "rates#best"},
        search={"method": "grid", "trials": 2, "space": {"model.d_model": {"values": [16, 32]}}},
    )  # fmt: skip
    assert all(cell.needs for cell in new_trials(store, study, find_cells(store, study)))
    assert not is_over(store, study, find_cells(store, study))
    train(store, source, {"slow": 2.0, "fast": 1.0})
    trials = new_trials(store, study, find_cells(store, study))
    assert {cell.needs for cell in trials} == {()}
    assert {flatten(cell.config.model_dump())["optim.lr"] for cell in trials} == {0.01}
    for cell in trials:
        log_training(store, study, cell, {20: 1.0}, "finished")
    assert set(standings(store, study).values()) == {"finished"}


def complaint(store: Store, study: Any) -> str:
    with pytest.raises(HeatsError) as caught:
        (order_of(study), find_cells(store, study))
    return str(caught.value)


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ({"optim__lr": "rate#best"}, "there is no study `rate`"),
        ({"optim__lr": "rates"}, "`rates` says nothing that can be found"),
        ({"optim__lr": "rates#best:optim.lrr"}, "has no option `optim.lrr`"),
        ({"optim__lrr": "rates#best:optim.lr"}, "unknown option `optim.lrr`"),
        ({"data__num_workers": "rates#run:fastest"}, "the study rates has no arm `fastest`"),
    ],
)
def test_a_need_that_can_never_be_met_is_one_sentence_with_its_line(
    store: Store, tmp_path: Path, needs: dict[str, str], said: str
) -> None:
    text = complaint(store, needing(tmp_path, **needs))
    assert said in text
    assert "wants.yaml, line " in text
    assert "\n" not in text


def test_studies_that_need_each_other_are_named(store: Store, tmp_path: Path) -> None:
    write_study(tmp_path, "rates", needs={"optim.lr": "wants#best"})
    text = complaint(store, needing(tmp_path, optim__lr="rates#best"))
    assert "wants -> rates -> wants" in text
    assert "line " in text
