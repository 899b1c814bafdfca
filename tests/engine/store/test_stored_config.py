"""What a resume trains by: the stored config and every override on the record, in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.resolve import changed_options, config_hash, dump_yaml, resolve
from engine.config.tasks import config_class
from engine.errors import HeatsError
from engine.store.paths import RunPaths
from engine.store.stored_config import apply_overrides, training_config, was_edited
from tests.engine.store.made import add_attempt, make_run, make_store


@pytest.fixture
def run(store_root: Path) -> RunPaths:
    run = make_run(make_store(store_root))
    config = resolve(config_class("multiplication"), {"train.max_steps": 100, "optim.lr": 1e-3})
    run.config.write_text(dump_yaml(config))
    return run


def test_a_run_without_overrides_trains_by_its_stored_config(run: RunPaths) -> None:
    add_attempt(run)
    config = training_config(run)
    assert (config.train.max_steps, config.optim.lr) == (100, 1e-3)
    assert config == resolve(type(config), {"train.max_steps": 100, "optim.lr": 1e-3})


def test_an_empty_config_is_damage_and_never_stands_for_the_defaults(run: RunPaths) -> None:
    run.config.write_text("")
    with pytest.raises(HeatsError, match="is empty or damaged"):
        training_config(run)


def test_overrides_of_all_attempts_apply_in_order(run: RunPaths) -> None:
    add_attempt(run)
    add_attempt(run, overrides={"train.max_steps": {"from": 100, "to": 200}, "optim.lr": {"from": 1e-3, "to": 5e-4}})
    add_attempt(run, overrides={"train.max_steps": {"from": 200, "to": 300}})
    config = training_config(run)
    assert (config.train.max_steps, config.optim.lr) == (300, 5e-4)
    second = training_config(run, up_to_attempt=2)
    assert (second.train.max_steps, second.optim.lr) == (200, 5e-4)
    assert training_config(run, up_to_attempt=1).train.max_steps == 100


def test_what_a_resume_records_is_what_the_next_one_reads(run: RunPaths) -> None:
    before = training_config(run)
    after = apply_overrides(before, {"train.max_steps": "500", "clip.kind": "none", "evaluation.best_mode": "min"})
    add_attempt(run, overrides=changed_options(before, after))
    assert training_config(run) == after


def test_a_wrong_override_is_refused_by_its_key(run: RunPaths) -> None:
    with pytest.raises(HeatsError, match=r"did you mean `train\.max_steps`"):
        apply_overrides(training_config(run), {"train.maxsteps": "5"}, place=run.id)


def test_a_run_whose_files_are_damaged_names_the_file(run: RunPaths) -> None:
    good = run.config.read_text()
    run.config.write_text("train: [\n")
    with pytest.raises(HeatsError, match=r"config\.yaml, line 2"):
        training_config(run)
    run.config.unlink()
    with pytest.raises(HeatsError, match=r"config\.yaml: there is no such"):
        training_config(run)
    run.config.write_text(good)
    run.record.write_text("{")
    with pytest.raises(HeatsError, match=r"its run\.json is missing or damaged"):
        training_config(run)


def test_a_damaged_launch_file_is_named_rather_than_its_overrides_forgotten(run: RunPaths) -> None:
    # Resuming without the override that trained the weights would silently be another run.
    attempt = add_attempt(run, overrides={"optim.lr": {"from": 1e-3, "to": 5e-4}})
    add_attempt(run)
    attempt.launch.write_text("{")
    with pytest.raises(HeatsError, match=r"launch\.json"):
        training_config(run)


def test_an_attempt_that_is_just_being_made_has_no_overrides_yet(run: RunPaths) -> None:
    add_attempt(run)
    run.attempt(2).folder.mkdir()
    assert training_config(run).train.max_steps == 100


def test_a_run_of_a_task_that_is_not_installed_says_so(run: RunPaths) -> None:
    run.record.write_text(run.record.read_text().replace('"multiplication"', '"division"'))
    with pytest.raises(HeatsError, match="unknown task `division`"):
        training_config(run)


def test_an_edited_config_is_noticed_and_a_reformatted_one_is_not(store_root: Path) -> None:
    config = resolve(config_class("multiplication"), {"optim.lr": 1e-3})
    run = make_run(make_store(store_root), config_hash=config_hash(config))
    text = dump_yaml(config)
    run.config.write_text("# a comment\n" + text)
    assert not was_edited(run)
    run.config.write_text(text.replace("lr: 0.001", "lr: 0.002"))
    assert was_edited(run)
    run.config.write_text("lr: [")
    assert not was_edited(run)
