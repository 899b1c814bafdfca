"""Making runs: an id is claimed once, a run is whole before it is listed, a failure leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import MachineError
from engine.store.create import claim_attempt, create_run, environment, new_run_id
from engine.store.paths import RunPaths, Store
from engine.store.records import read_notes, read_run
from tests.engine.store.made import make_run, make_store

FACTS: dict[str, Any] = {"task": "multiplication", "slug": "simple-d8", "config_yaml": "seed: 0\n", "config_hash": "0"}


@given(task=st.text(max_size=60), slug=st.text(max_size=120), now=st.floats(0, 4e9))
@settings(max_examples=200)
def test_every_id_is_a_name_that_a_store_lists_and_a_disk_takes(task: str, slug: str, now: float) -> None:
    run_id = new_run_id(task, slug, now)
    assert re.fullmatch(r"\d{8}-\d{6}_[\w.-]+_[0-9a-z]{4}", run_id), run_id
    assert len(os.fsencode(run_id)) <= 200, "255 is the most, and temporary names are longer"


def test_ids_sort_by_time_and_differ_within_a_second() -> None:
    ids = [new_run_id("exec", "a", 1.7e9 + 60 * number) for number in range(5)]
    assert ids == sorted(ids)
    assert len({new_run_id("exec", "a", 1.7e9) for _ in range(100)}) > 95


def test_a_made_run_has_everything_but_an_attempt(store_root: Path) -> None:
    store = make_store(store_root)
    run = create_run(
        store, **FACTS, name="mine", seed=3, tags=("a",), note="why", study="s", arm="x", parent="p", command=("heats",)
    )
    record = read_run(run.record)
    assert record is not None
    assert (record.id, record.name, record.task, record.seed) == (run.id, "mine", "multiplication", 3)
    assert (record.study, record.arm, record.parent, record.command) == ("s", "x", "p", ("heats",))
    assert run.config.read_text() == "seed: 0\n"
    assert (read_notes(run.notes).tags, read_notes(run.notes).note) == (("a",), "why")
    assert json.loads(run.environment.read_text())["packages"]["pydantic"]
    assert all(folder.is_dir() for folder in (run.requests, run.attempts_folder, run.tensorboard, run.checkpoints))
    assert run.attempts() == []
    assert store.run_ids() == [run.id]


def test_a_run_without_a_name_is_called_by_its_slug(store_root: Path) -> None:
    record = read_run(create_run(make_store(store_root), **FACTS).record)
    assert record is not None
    assert record.name == "simple-d8"


def test_a_run_that_cannot_be_made_leaves_nothing_behind(store_root: Path, tmp_path: Path) -> None:
    store = make_store(store_root)
    with pytest.raises(MachineError):
        create_run(Store(tmp_path / "gone", "x"), **FACTS)
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("mounting isn't allowed here")
    try:
        with pytest.raises(MachineError, match="No space left"):
            create_run(Store(disk, store.id), **FACTS | {"config_yaml": "# " + "x" * 100_000})
        assert os.listdir(disk) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_code_state_is_the_commit_and_the_uncommitted_changes(store_root: Path, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    author = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(code), *author, *words], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    (code / "train.py").write_text("lr = 1\n")
    git("add", "train.py")
    git("commit", "-qm", "first")
    clean = create_run(make_store(store_root), **FACTS, code=code)
    assert not clean.code_patch.exists()
    (code / "train.py").write_text("lr = 2\n")
    dirty = create_run(make_store(store_root), **FACTS, code=code)
    record = read_run(dirty.record)
    assert record is not None
    assert record.git_commit == git("rev-parse", "HEAD")
    assert "+lr = 2" in dirty.code_patch.read_text()
    git("checkout", "-q", "train.py")
    git("apply", str(dirty.code_patch))
    assert (code / "train.py").read_text() == "lr = 2\n"


def test_code_outside_git_has_no_state(store_root: Path, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    record = read_run(create_run(make_store(store_root), **FACTS, code=tmp_path / "code").record)
    assert record is not None
    assert record.git_commit is None


def test_attempts_claimed_at_once_get_different_numbers(store_root: Path) -> None:
    run = make_run(make_store(store_root))
    claimed: list[int] = []
    threads = [threading.Thread(target=lambda: claimed.append(claim_attempt(run).number)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == list(range(1, 13))


def test_an_attempt_of_a_run_that_is_gone_is_a_machine_error(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no attempt can be made"):
        claim_attempt(RunPaths(tmp_path / "gone"))


def test_the_environment_names_what_bits_depend_on() -> None:
    found = environment()
    assert found["python"].startswith("3.")
    assert found["packages"]["torch"]
    assert found["processor"]
    assert found["host"]
