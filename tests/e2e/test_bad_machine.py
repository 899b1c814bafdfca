"""A read-only store and a full disk: one sentence, the right exit code, nothing lost."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.store.checkpoints import scan, verify
from engine.store.names import find_run
from engine.store.paths import open_store
from engine.store.status import State
from tests.e2e.terminal import heats
from tests.support import TINY, look, start, wait_for_state

pytestmark = pytest.mark.e2e
WORDS = [f"{key}={value}" for key, value in TINY.items()]


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting isn't allowed here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_launch_onto_a_full_disk_says_so_and_leaves_nothing(small_disk: Path) -> None:
    root = small_disk / "runs"
    assert heats(root, "launch", "multiplication", "--dry-run").returncode == 0
    root.mkdir()
    (root / ".store.json").write_text('{"schema": 1, "id": "small"}')
    with pytest.raises(OSError, match="No space"):
        (small_disk / "filling").write_bytes(bytes(2 << 20))
    done = heats(root, "launch", "multiplication", *WORDS)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr
    assert open_store(root).run_ids() == []


def test_training_on_a_full_disk_goes_on_and_keeps_its_good_checkpoint(small_disk: Path) -> None:
    root = small_disk / "runs"
    values = {
        "train.max_steps": 400, "train.save_every": 50, "evaluation.every": 0,
        "checkpoint.keep_last": 100, "checkpoint.wait_seconds": 1,
    }  # fmt: skip
    run = start(root, TINY | values).run
    summary = wait_for_state(run, State.FAILED, State.FINISHED)
    assert summary.status is State.FAILED
    assert "can't be saved" in summary.reason
    good = [item for item in scan(run) if item.valid]
    assert good
    assert all(not verify(item) for item in good)
    assert summary.alerts
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    done = heats(root, "resume", "last", "--follow")  # with room again, it goes on from there
    assert done.returncode == 0, done.stderr
    assert look(run).step == 400


def test_a_read_only_store_lists_and_refuses_the_rest_in_one_sentence(store_root: Path) -> None:
    run = start(store_root, TINY).run
    wait_for_state(run, State.FINISHED)
    _mount("--bind", str(store_root), str(store_root))
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(store_root)], check=True)
        listed = heats(store_root, "list", "--json")
        assert json.loads(listed.stdout)[0]["status"] == "finished"
        assert heats(store_root, "show", "last").returncode == 0
        for words in (["launch", "multiplication", *WORDS], ["resume", "last", "--override", "train.max_steps=50"]):
            done = heats(store_root, *words)
            assert done.returncode == 1, words
            assert done.stderr.count("\n") == 1
            assert "Read-only" in done.stderr
    finally:
        subprocess.run(["umount", "--lazy", str(store_root)], check=True)
    assert find_run(open_store(store_root), "last").id == run.id
