"""A run can be trained again from its record, with the code that it trained with and nothing else's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import engine
from engine.errors import HeatsError
from engine.launch import worktrees
from engine.launch.reproduce import plan_reproduction, reproduce
from engine.launch.starting import code_to_go_on_with
from engine.store.files import write_json
from engine.store.paths import RunPaths
from engine.store.records import read_launch, read_run, write_run
from tests.engine.store.made import add_attempt, finished_run, log_event, make_store
from tests.engine.store.repositories import git, make_repository, write_files
from tests.support import TINY
from tests.tui.cli.stores import command_line, process_environment

LATER = """

_before = learning_rate


def learning_rate(config, step):
    from engine.train.extra import FACTOR

    return FACTOR * _before(config, step)
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "code"


@pytest.fixture
def run(store_root: Path, repository: Path) -> RunPaths:
    """A finished run whose record names a repository's commit."""
    commit = make_repository(repository, {"a.py": "1\n"})
    made = finished_run(make_store(store_root))
    record = read_run(made.record)
    assert record is not None
    write_run(made.record, replace(record, git_commit=commit))
    write_json(made.environment, {"schema": 1, "python": "3.0", "code": {"repository": str(repository)}})
    return made


@pytest.mark.slow
def test_a_run_with_uncommitted_code_is_reproduced_after_the_code_went_on(tmp_path: Path, store_root: Path) -> None:
    code = tmp_path / "code"
    for package in ("engine", "tui"):
        source = Path(engine.__file__).parent.parent / package
        shutil.copytree(source, code / package, ignore=shutil.ignore_patterns("__pycache__"))
    make_repository(code, {".gitignore": "__pycache__/\n"})
    work = tmp_path / "work"
    work.mkdir()
    environment = process_environment({"PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"})

    def heats(*words: str) -> subprocess.CompletedProcess[str]:
        line = command_line(*words, store=store_root)
        return subprocess.run(line, capture_output=True, text=True, check=False, cwd=work, env=environment)

    def parent_of(run_id: str) -> str | None:
        record = read_run(store_root / run_id / "run.json")
        return record.parent if record else None

    schedule = code / "engine/train/schedule.py"
    before = schedule.read_text()
    write_files(code, {"engine/train/extra.py": "FACTOR = 0.5\n", "engine/train/schedule.py": before + LATER})
    small = TINY | {"train.max_steps": 8, "evaluation.every": 4, "train.save_every": 4}
    launched = heats(
        "launch",
        "multiplication",
        *(f"{key}={value}" for key, value in small.items()),
        "--name",
        "first",
        "--follow",
        "--json",
    )
    assert launched.returncode == 0, launched.stderr
    old = json.loads(launched.stdout)["id"]
    (code / "engine/train/extra.py").unlink()
    schedule.write_text(before)

    done = heats("reproduce", old, "--follow")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reproduced: identical: all" in done.stdout
    new = heats("show", "last", "--json")
    assert parent_of(json.loads(new.stdout)["id"]) == old
    assert json.loads(new.stdout)["name"] == "first-again", "`first` goes on to name one run"
    assert len(git(code, "worktree", "list").splitlines()) == 1, "the work tree went with the end of the run"
    assert git(code, "status", "--porcelain") == ""

    cloned = heats("clone", old, "--name", "other", "--follow", "--json")
    assert cloned.returncode == 0, cloned.stderr
    made = json.loads(cloned.stdout)
    assert (made["name"], parent_of(made["id"])) == ("other", old)
    difference = heats("diff", old, made["id"], "--json")
    assert difference.returncode == 1
    found = json.loads(difference.stdout)
    assert found["config"] == []
    assert any("FACTOR" in line for line in found["code"]["patch"])
    rate = next(metric for metric in found["metrics"] if metric["name"] == "train/lr")
    assert rate["first_step"] == 1
    assert rate["values"][0] == 0.5 * rate["values"][1]


def test_the_plan_says_what_the_record_lacks_and_what_has_changed(run: RunPaths, repository: Path) -> None:
    environment = json.loads(run.environment.read_text())
    environment["code"]["left_out"] = ["big.bin (9 bytes)"]
    write_json(run.environment, environment)
    add_attempt(run, resumed_from_step=10, overrides={"optim.lr": {"from": 0.001, "to": 0.5}}, git_commit="f" * 40)
    plan = plan_reproduction(run)
    assert plan.repository == repository
    assert "lr: 0.5" in plan.config_yaml
    notes = "\n".join(plan.notes)
    for words in ("big.bin", "options were changed on the way", "attempt 2 went on with other code"):
        assert words in notes
    assert [change.key for change in plan.changes] == ["python"]


def test_an_untouched_config_is_taken_byte_for_byte(run: RunPaths) -> None:
    run.config.write_text("seed: 0\nmodel: {kind: simple}\nan_option_of_old: 3\ntrain: {max_steps: 7}\n")
    plan = plan_reproduction(run)
    assert plan.config_yaml == run.config.read_text(), "its own code knows what this one doesn't"
    assert plan.total_steps == 7


def test_a_run_without_a_commit_needs_to_be_told_to_use_the_code_at_hand(run: RunPaths) -> None:
    record = read_run(run.record)
    assert record is not None
    write_run(run.record, replace(record, git_commit=None))
    with pytest.raises(HeatsError, match=r"no commit was recorded.*--here"):
        plan_reproduction(run)
    assert plan_reproduction(run, here=True).commit is None


def test_a_commit_that_is_gone_is_said_with_where_it_was(run: RunPaths, repository: Path) -> None:
    repository.rename(repository.with_name("moved"))
    with pytest.raises(HeatsError, match=r"is in no repository at hand \(it was in .*code\)"):
        plan_reproduction(run)


def test_a_patch_that_does_not_apply_leaves_nothing_behind(run: RunPaths, repository: Path, tmp_path: Path) -> None:
    run.code_patch.write_text("diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-other\n+new\n")
    with pytest.raises(HeatsError, match=r"can't be applied to commit"):
        reproduce(plan_reproduction(run), worktree=tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert len(list(run.folder.parent.glob("2*"))) == 1, "no run was made"


def test_a_folder_in_use_is_refused(run: RunPaths, tmp_path: Path) -> None:
    write_files(tmp_path / "full", {"thesis.tex": ""})
    with pytest.raises(HeatsError, match="is in use"):
        reproduce(plan_reproduction(run), worktree=tmp_path / "full")


def test_hooks_of_the_repository_do_not_run(run: RunPaths, repository: Path, tmp_path: Path) -> None:
    hook = repository / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    plan = plan_reproduction(run)
    assert plan.commit is not None
    worktrees.make_worktree(repository, plan.commit, b"", tmp_path / "tree")
    assert (tmp_path / "tree/a.py").exists()
    assert not (tmp_path / "ran").exists()


def test_lent_work_trees_go_when_their_run_has_finished_not_before(run: RunPaths, repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    tree = worktrees.new_worktree_path(commit)
    worktrees.make_worktree(repository, commit, b"", tree)
    worktrees.lend_worktree(tree, repository, run)
    log_event(run.attempt(1), "stopped", 20)
    worktrees.clear_worktrees()
    assert tree.exists(), "it may be resumed"
    log_event(run.attempt(1), "finished", 20)
    worktrees.clear_worktrees()
    assert os.listdir(worktrees.worktrees_folder()) == []
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_an_import_root_that_leads_out_of_the_work_tree_is_not_followed(run: RunPaths) -> None:
    for evil in ("../..", "/tmp", 7):
        write_json(run.environment, json.loads(run.environment.read_text()) | {"code": {"import_root": evil}})
        content = json.loads(run.environment.read_text())
        content["code"]["repository"] = str(run.folder.parent.parent / "code")
        write_json(run.environment, content)
        assert plan_reproduction(run).import_root == "."


def test_a_resume_goes_on_with_the_same_code_and_says_when_it_has_gone(run: RunPaths, tmp_path: Path) -> None:
    assert code_to_go_on_with(run) == (None, ())
    code = tmp_path / "tree"
    code.mkdir()
    add_attempt(run, code=str(code))
    add_attempt(run)
    assert code_to_go_on_with(run) == (code, ())
    code.rmdir()
    gone, said = code_to_go_on_with(run)
    assert gone is None
    assert f"has gone ({code})" in said[0]


def test_old_launch_records_read(run: RunPaths) -> None:
    content = json.loads(run.attempt(1).launch.read_text())
    for key in ("code", "git_commit"):
        del content[key]
    write_json(run.attempt(1).launch, content)
    found = read_launch(run.attempt(1).launch)
    assert found is not None
    assert (found.code, found.git_commit) == (None, None)
