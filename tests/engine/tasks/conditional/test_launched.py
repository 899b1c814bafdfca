"""The command lines of the original, typed by a user: launched, compared, evaluated and explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.store.paths import RunPaths
from tests.engine.tasks.conditional.made import trained
from tests.tui.cli.stores import heats


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A trained run in a store of its own."""
    return trained(tmp_path_factory.mktemp("store") / "runs", {"augment.detach": True})


def told(store: Path, *words: str) -> tuple[int, str, str]:
    done = heats(*words, store=store)
    return done.returncode, done.stdout, done.stderr


def test_the_classic_command_lines_say_what_they_said(tmp_path: Path) -> None:
    dotted = (
        "model.config=distilgpt2 augment.detach=true train.num_epochs=3 augment.cond_pct_min=0.0 "
        "augment.cond_pct_max=0.4"
    )
    flat = (
        "model_type=conditional model_config=distilgpt2 detach_augmentation=true num_epochs=3 cond_pct_min=0.0 "
        "cond_pct_max=0.4 eval_pct_min=1.0 eval_pct_max=1.0"
    )
    configs = []
    for words in (dotted, flat):
        code, out, error = told(tmp_path / "runs", "launch", "conditional", *words.split(), "--dry-run", "--json")
        assert code == 0, error
        configs.append(json.loads(out)["config"])
    assert configs[0] == configs[1]
    assert configs[0]["augment"]["detach"] is True
    code, _, error = told(tmp_path / "runs", "launch", "conditional", "model_type=baseline", "detach_augmentation=true")
    assert code == 2
    assert "augment.detach is refused: model.kind = baseline has no augmentation" in error


@pytest.mark.slow
def test_any_checkpoint_is_evaluated_in_the_modes_that_are_asked_for(run: RunPaths) -> None:
    store = run.folder.parent
    code, out, error = told(store, "evaluate", run.id, "--modes", "2,4", "--checkpoint", "latest", "--json")
    assert code == 0, error
    found = json.loads(out)
    assert found["checkpoint"] == 5
    assert set(found["metrics"]) == {
        "val/loss", "val/mode2_loss", "val/mode2_perplexity", "val/mode4_loss", "val/mode4_perplexity", "val/gain_2_4"
    }  # fmt: skip
    lines = (run.folder / "attempts/001/events.jsonl").read_text().splitlines()
    last = [event for event in map(json.loads, lines) if event["event"] == "evaluated"][-1]
    assert found["metrics"]["val/mode2_loss"] == last["metrics"]["val/mode2_loss"]


def test_a_mode_that_there_isnt_is_one_clear_sentence(run: RunPaths) -> None:
    store = run.folder.parent
    code, _, error = told(store, "evaluate", run.id, "--modes", "two")
    assert code == 2
    assert "`two` is no list of modes" in error


def test_the_same_batches_are_seen_to_be_the_same(run: RunPaths, tmp_path: Path) -> None:
    other = trained(run.folder.parent, {"augment.where": "external"})
    code, out, error = told(run.folder.parent, "diff", run.id, other.id, "--json")
    assert code == 0, error
    found = json.loads(out)
    assert found["identical"]
    assert found["weights_identical"]
    assert {change["key"] for change in found["config"]} == {"augment.detach", "augment.where"}
    digests = next(metric for metric in found["metrics"] if metric["name"] == "data/digest")
    assert (digests["identical"], digests["shared_steps"]) == (True, 5)
