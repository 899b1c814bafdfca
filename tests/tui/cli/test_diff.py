"""`heats diff` and `heats clone` as a person sees them; real trainings are tested elsewhere."""

from __future__ import annotations

import json

import yaml

from engine.store.paths import RunPaths, Store
from tests.tui.cli.stores import add_attempt, add_checkpoint, finished_run, heats


def two(store: Store, *losses: float) -> list[RunPaths]:
    return [finished_run(store, loss=loss) for loss in losses]


def test_identical_runs_exit_0_and_are_called_so(store: Store) -> None:
    runs = two(store, 1.0, 1.0)
    for run in runs:
        add_checkpoint(run, 20)
    done = heats("diff", *(run.id for run in runs), store=store)
    assert done.returncode == 0, done.stderr
    assert "the same in both: options, code, environment" in done.stdout
    last = "identical: all 1 metrics agree at every step to the last bit, and the final weights are the same"
    assert done.stdout.splitlines()[-1] == last


def test_different_runs_exit_1_with_the_step_and_both_values(store: Store) -> None:
    first, second = two(store, 1.0, 1.5)
    add_attempt(second, resumed_from_step=20, overrides={"optim.lr": {"from": 0.001, "to": 0.5}})
    done = heats("diff", first.id, second.id, store=store)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "they part at step 1: train/loss is 2.0 in A and 3.0 in B"
    assert any(line.split() == ["optim.lr", "0.001", "0.5"] for line in done.stdout.splitlines())
    assert heats("diff", first.id, second.id, "--tolerance", "0.6", store=store).returncode == 0


def test_diff_json_has_stable_fields(store: Store) -> None:
    first, second = two(store, 1.0, 1.5)
    found = json.loads(heats("diff", first.id, second.id, "--json", store=store).stdout)
    assert set(found) == {
        "first", "second", "identical", "tolerance", "config", "code", "environment", "metrics", "weights_identical",
        "problems",
    }  # fmt: skip
    assert found["metrics"][0] == {
        "name": "train/loss", "identical": False, "first_step": 1, "values": [2.0, 3.0], "shared_steps": 20,
        "only_first": 0, "only_second": 0,
        "last": [{"step": 20, "value": 1.05}, {"step": 20, "value": 1.5750000000000002}],
    }  # fmt: skip


def test_what_steers_a_terminal_is_not_printed(store: Store) -> None:
    first, second = two(store, 1.0, 1.0)
    second.code_patch.write_text("+\x1b]0;evil\x07text\n")
    done = heats("diff", first.id, second.id, store=store)
    assert "\x1b" not in done.stdout
    assert "text" in done.stdout


def test_a_clone_has_the_options_in_effect_and_the_changes(store: Store) -> None:
    run = finished_run(store)
    add_attempt(run, resumed_from_step=20, overrides={"optim.lr": {"from": 0.001, "to": 0.5}})
    done = heats("clone", run.id, "model.kind=latent", "--seed", "9", "--dry-run", store=store)
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load(done.stdout)
    assert (config["optim"]["lr"], config["train"]["batch_size"]) == (0.5, 256)
    assert (config["model"]["kind"], config["seed"]) == ("latent", 9)
    assert store.run_ids() == [run.id]


def test_clone_mistakes_are_launchs(store: Store) -> None:
    run = finished_run(store)
    done = heats("clone", run.id, "optim.lrr=3", store=store)
    assert (done.returncode, done.stderr) == (2, "heats: unknown key `optim.lrr`; did you mean `optim.lr`?\n")
    assert "twice" in heats("clone", run.id, "seed=1", "--seed", "2", store=store).stderr
    assert heats("clone", "nothing", store=store).returncode == 2
    assert store.run_ids() == [run.id]


def test_reproducing_without_a_commit_says_what_to_do(store: Store) -> None:
    run = finished_run(store)
    done = heats("reproduce", run.id, store=store)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "train with the code at hand: --here" in done.stderr
    plan = json.loads(heats("reproduce", run.id, "--here", "--dry-run", "--json", store=store).stdout)
    assert (plan["run"], plan["commit"]) == (run.id, None)
    assert store.run_ids() == [run.id]
