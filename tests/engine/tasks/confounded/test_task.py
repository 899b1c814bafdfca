"""Runs of the task: resumed to the last bit, started from other runs, judged on what they never saw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.errors import HeatsError
from engine.launch.actions import LaunchRequest, launch
from engine.store.checkpoints import MODEL, scan
from engine.store.paths import RunPaths
from engine.store.status import State
from engine.store.tensors import read_header
from engine.tasks.confounded.measures import interventions
from engine.train.checkpoint import Loaded
from engine.train.from_run import open_run
from tests.engine.tasks.confounded.trained import TINY, make_run, tiny, train_attempt, trained
from tests.support import wait_for_state

KINDS = ["balanced", "lagrangian", "rrr"]


def rows(run: RunPaths) -> dict[int, dict[str, Any]]:
    """The effective figures by step, without the time."""
    found: dict[int, dict[str, Any]] = {}
    for attempt in run.attempts():
        for line in attempt.metrics.read_text().splitlines():
            row = json.loads(line)
            row.pop("time")
            found.setdefault(row["step"], {}).update(row)
    return found


def events(run: RunPaths, word: str) -> list[dict[str, Any]]:
    """The run's events of a kind."""
    lines = [line for attempt in run.attempts() for line in attempt.events.read_text().splitlines()]
    return [event for event in map(json.loads, lines) if event["event"] == word]


def last(run: RunPaths) -> Loaded:
    """The newest checkpoint."""
    return Loaded(scan(run)[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_is_the_same_to_the_last_bit(tmp_path: Path, kind: str) -> None:
    values = {"loss.kind": kind, "data.corrected_schedule": "linear", "data.corrected_first": 1}
    whole, task = trained(tmp_path / "a", values)
    config = tiny(values)
    cut = make_run(tmp_path / "b", config)
    for stop_at in (3, 7, None):
        _, resumed = train_attempt(cut, config, stop_at=stop_at)
    assert torch.equal(task.multipliers, resumed.multipliers)
    first, second = last(whole), last(cut)
    assert first.state == second.state
    for one, two in ((first.model, second.model), (first.optimizer, second.optimizer)):
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)
    assert rows(whole) == rows(cut)
    if kind == "lagrangian":
        assert len(set(first.state["task"]["multipliers"])) > 1


def test_a_run_starts_from_the_best_weights_of_another(tmp_path: Path) -> None:
    source, _ = trained(tmp_path)
    values = {"model.from_run": source.id, "loss.kind": "balanced", "train.max_steps": 1, "optim.lr": 1e-12}
    run, _ = trained(tmp_path, values)
    began = open_run(tmp_path, source.id, "confounded", place="model.from_run").checkpoint
    for name, tensor in last(run).model.items():
        assert torch.allclose(tensor, began.model[name], atol=1e-6)
    by_folder, _ = trained(tmp_path / "elsewhere", values | {"model.from_run": str(source.folder)})
    assert torch.equal(last(by_folder).model["output.weight"], last(run).model["output.weight"])


def test_a_run_goes_on_although_the_one_that_it_started_from_has_gone(tmp_path: Path) -> None:
    source, _ = trained(tmp_path)
    config = tiny({"model.from_run": source.id, "loss.kind": "balanced"})
    run = make_run(tmp_path, config)
    train_attempt(run, config, stop_at=5)
    for path in sorted(source.folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    outcome, _ = train_attempt(run, config)
    assert outcome.step == 12


def test_sources_that_cannot_be_used_are_refused_in_one_sentence(tmp_path: Path) -> None:
    source, _ = trained(tmp_path)
    for values, said in (
        ({"model.from_run": "nothing"}, "model.from_run: no run is called `nothing`"),
        ({"model.from_run": str(tmp_path / "nowhere")}, "is no run's folder"),
        ({"model.from_run": source.id, "model.hidden": 9}, "don't fit this run's model"),
    ):
        with pytest.raises(HeatsError, match=said):
            trained(tmp_path, values)
    with pytest.raises(HeatsError, match="is a run of confounded, not of other"):
        open_run(tmp_path, source.id, "other", place="teacher.from_run")
    weights = scan(source)[-1].folder / MODEL
    header = len(json.dumps(read_header(weights)))
    content = bytearray(weights.read_bytes())
    content[-header // 50] ^= 1
    for checkpoint in scan(source):
        (checkpoint.folder / MODEL).write_bytes(content)
    with pytest.raises(HeatsError, match="can't be used"):
        trained(tmp_path, {"model.from_run": source.id})


def test_the_test_set_is_looked_at_once_with_the_best_weights(tmp_path: Path) -> None:
    run, task = trained(tmp_path, {"train.max_steps": 20})
    tested = events(run, "tested")
    assert len(tested) == 1
    assert not any(name.startswith("test/") for row in list(rows(run).values())[:-1] for name in row)
    best = Loaded(next(item for item in scan(run) if item.step == tested[0]["checkpoint"]))
    model = task.build_model()
    model.load_state_dict(best.model)
    groups = task.groups("test")
    with torch.no_grad():
        clean, dotted = (
            task.logits(model.eval(), images, torch.device("cpu")) for images in (groups.clean, groups.dotted)
        )
    expected = interventions(clean, dotted, groups.labels)
    assert tested[0]["metrics"] == {f"test/{name}": pytest.approx(value) for name, value in expected.items()}


def test_early_stopping_leaves_the_best_checkpoint_to_be_tested(tmp_path: Path) -> None:
    values = {"train.max_steps": 400, "evaluation.every": 2, "evaluation.patience": 2, "evaluation.min_gain": 10.0}
    config = tiny(values)
    run = make_run(tmp_path, config)
    outcome, _ = train_attempt(run, config)
    assert outcome.step == 6
    assert "no gain" in outcome.reason
    losses = {event["step"]: event["metrics"]["val/loss"] for event in events(run, "evaluated")}
    assert sorted(losses) == [2, 4, 6]
    # Of the two that were saved, as the first evaluation and as the last, the better one.
    assert events(run, "tested")[0]["checkpoint"] == min((2, 6), key=losses.__getitem__)


def test_every_multiplier_is_logged_where_that_is_asked_for(tmp_path: Path) -> None:
    run, task = trained(tmp_path, {"loss.kind": "lagrangian", "loss.log_multipliers": True})
    figures = rows(run)[12]
    logged = [figures[f"val/multiplier_{place:04d}"] for place in range(10)]
    assert logged == task.multipliers.tolist()
    assert figures["val/multiplier_max"] == max(logged)


@pytest.mark.slow
def test_two_processes_share_the_batches_show_pictures_and_are_tested(store_root: Path) -> None:
    values = TINY | {"loss.kind": "balanced", "parallel.procs": 2, "train.max_steps": 10, "evaluation.every": 2}
    run = launch(store_root, LaunchRequest("confounded", values)).run
    found = wait_for_state(run, State.FINISHED)
    assert found.metrics["test/accuracy"] >= 0
    assert (run.pictures / "data" / "corrected_samples.png").exists()


@pytest.mark.filterwarnings("ignore")
def test_pictures_of_the_data_are_files_and_in_tensorboard(tmp_path: Path) -> None:
    from PIL import Image
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run, _ = trained(tmp_path, {"loss.kind": "balanced"})
    names = ["confounded_samples", "corrected_originals", "corrected_samples"]
    assert sorted(path.stem for path in (run.pictures / "data").iterdir()) == names
    with Image.open(run.pictures / "data" / "corrected_originals.png") as picture:
        assert picture.width > 8 * 12
    accumulator = EventAccumulator(str(run.tensorboard))
    accumulator.Reload()
    assert sorted(accumulator.Tags()["images"]) == [f"data/{name}" for name in names]


@pytest.mark.slow
def test_corrections_cure_clean_accuracy_but_only_counterfactual_ones_and_penalties_cure_the_dot(
    tmp_path: Path,
) -> None:
    """The blind spot, on real digits: no dotted zero is ever seen in training, so clean accuracy doesn't tell."""
    values: dict[str, Any] = {
        "data.image_size": 28, "data.dot_row": 25, "data.dot_column": 25, "data.corrected_count": 40,
        "data.contrast": 0.3, "model.channels": [16, 32], "model.hidden": 128, "train.batch_size": 64,
        "train.max_steps": 100, "train.save_every": 0, "evaluation.every": 50, "optim.lr": 1e-3,
    }  # fmt: skip
    start, _ = trained(tmp_path, values | {"evaluation.best_metric": "val/confounded_loss"})
    found: dict[str, dict[str, float]] = {"plain": events(start, "tested")[0]["metrics"]}
    values |= {"model.from_run": start.id}
    arms: dict[str, dict[str, Any]] = {
        "balanced": {"loss.kind": "balanced"},
        "counterfactual": {"loss.kind": "balanced", "data.corrected_classes": "counterfactual"},
        "rrr": {"loss.kind": "rrr", "loss.explanation_weight": 30.0},
    }
    for name, more in arms.items():
        run, _ = trained(tmp_path, values | more)
        found[name] = events(run, "tested")[0]["metrics"]
    assert found["plain"]["test/accuracy"] < 0.8
    assert found["balanced"]["test/accuracy"] > 0.9
    assert found["balanced"]["test/worst_group"] < 0.6
    assert found["counterfactual"]["test/worst_group"] > 0.85
    assert found["balanced"]["test/dot_flip"] > 0.4
    assert found["rrr"]["test/dot_flip"] < 0.2
