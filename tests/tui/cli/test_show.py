"""`heats show` and `heats tasks` in real processes."""

from __future__ import annotations

import json
from pathlib import Path

from engine.store.paths import Store
from tests.engine.store.made import write_checkpoint
from tests.tui.cli.stores import (
    add_attempt,
    add_checkpoint,
    ended_run,
    finished_run,
    heats,
    log_event,
    log_steps,
    make_run,
)
from tests.tui.cli.test_list import FIELDS


def test_show_tells_everything(store: Store) -> None:
    run = finished_run(store, tags=("fast", "blue"), note="try again", name="Bess")
    add_checkpoint(run, 10, metric=0.5)
    add_checkpoint(run, 20, truncated=True)
    attempt = add_attempt(run, resumed_from_step=10, overrides={"optim.lr": {"from": 0.001, "to": 0.01}})
    log_event(attempt, "started")
    log_steps(attempt, 11, 15)
    log_event(attempt, "alert", 12, message="the loss is NaN")
    log_event(attempt, "failed", 15, error="out of memory")
    shown = heats("show", run.id, store=store, environment={"COLUMNS": "80"}).stdout
    for words in (
        "✘ failed", "out of memory", "Bess", "fast, blue", "try again", "15/1,000", "the loss is NaN", "train/loss",
        "finished  at step 20", "step 10", "attempt 2 changed optim.lr: 0.001 -> 0.01", "where 100 were written",
        "train.max_steps", "10000", str(run.folder), "002/output.log",
    ):  # fmt: skip
        assert words in shown, words


def test_show_says_where_a_rewound_run_goes_on(store: Store) -> None:
    run = finished_run(store)
    for step in (10, 20):
        write_checkpoint(run, step)
    assert heats("checkpoints", "rewind", run.id, "--to", "10", "--yes", store=store).returncode == 0
    shown = heats("show", run.id, store=store).stdout.splitlines()
    assert ["resumes here" in line for line in shown if line.strip().startswith("step 10 ")] == [True]
    assert ["latest" in line for line in shown if line.strip().startswith("step 20 ")] == [True]


def test_show_json_is_the_listed_object_and_more(store: Store) -> None:
    run = finished_run(store)
    add_checkpoint(run, 20, metric=0.25)
    shown = json.loads(heats("show", "last", "--json", store=store).stdout)
    listed = json.loads(heats("list", "--json", store=store).stdout)[0]
    assert {key: shown[key] for key in FIELDS} == listed
    assert set(shown) - FIELDS == {"attempt_list", "checkpoints", "changed_options", "path", "figure_sources"}
    assert shown["changed_options"]["model.kind"] == {"default": "latent", "value": "simple"}
    assert shown["checkpoints"][0] | {"created": 0} == {
        "step": 20, "reason": "periodic", "created": 0, "bytes": 300, "metric": 0.25, "attempt": 1, "emergency": False,
        "shadowed": False, "usable": True, "problems": [], "path": str(run.checkpoints / "step-00000020"),
    }  # fmt: skip
    assert set(shown["attempt_list"][0]) == {
        "attempt", "started", "resumed_from_step", "status", "reason", "ended", "host", "overrides", "processes",
    }  # fmt: skip


def test_defaults_are_kept_and_found_stale(store: Store, tmp_path: Path) -> None:
    finished_run(store)
    first = json.loads(heats("show", "last", "--json", store=store).stdout)["changed_options"]
    (kept,) = (tmp_path / "cache" / "heats").glob("defaults-*.json")
    content = json.loads(kept.read_text())
    content["defaults"]["model.kind"] = "simple"
    kept.write_text(json.dumps(content))
    assert "model.kind" not in json.loads(heats("show", "last", "--json", store=store).stdout)["changed_options"]
    content["sources"] = {source: changed - 1 for source, changed in content["sources"].items()}
    kept.write_text(json.dumps(content))
    assert json.loads(heats("show", "last", "--json", store=store).stdout)["changed_options"] == first
    kept.write_text('{"schema": 1, "sources": 3')
    assert json.loads(heats("show", "last", "--json", store=store).stdout)["changed_options"] == first


def test_a_damaged_config_is_said_not_raised(store: Store) -> None:
    run = finished_run(store, config="train: [unclosed")
    done = heats("show", run.id, store=store)
    assert done.returncode == 0
    assert "config.yaml is damaged" in done.stdout


def test_a_task_that_is_not_installed_here_still_shows(store: Store) -> None:
    run = finished_run(store)
    run.record.write_text(run.record.read_text().replace('"multiplication"', '"elsewhere"'))
    done = heats("show", run.id, store=store)
    assert done.returncode == 0
    assert "unknown task `elsewhere`" in done.stdout


def test_long_reasons_are_wrapped(store: Store) -> None:
    run = ended_run(store, "failed", error="out of memory " * 30)
    shown = heats("show", run.id, store=store, environment={"COLUMNS": "80"}).stdout
    assert max(len(line) for line in shown.splitlines() if "/" not in line) <= 80


def test_a_run_without_attempts(store: Store) -> None:
    run = make_run(store)
    assert heats("show", run.id, store=store).returncode == 0


def test_tasks_lists_and_describes(store: Store) -> None:
    tasks = json.loads(heats("tasks", "--json").stdout)
    assert {"name", "summary", "package"} == set(tasks[0])
    assert "multiplication" in heats("tasks").stdout
    shown = heats("tasks", "multiplication", environment={"COLUMNS": "80"}).stdout
    assert "model.kind = latent  (simple|latent)" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
    described = json.loads(heats("tasks", "multiplication", "--json").stdout)
    assert set(described) == {"name", "summary", "package", "options"}
    assert set(described["options"][0]) == {"key", "kind", "default", "help", "choices", "optional", "open", "section"}
    keys = [option["key"] for option in described["options"]]
    assert keys[0] == "seed"
    assert all(option["help"] for option in described["options"])
