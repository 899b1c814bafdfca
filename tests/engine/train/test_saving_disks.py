"""Saving onto disks that are full, slow, or fill while they are written."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.store import checkpoints as stored
from engine.store.records import LaunchRecord, write_launch
from engine.train import checkpoint
from tests.engine.train.savers import BESIDE, Gate, Stub, differences_of, events_of, make_saver, save_stub
from tests.engine.train.toy import make_run, train_toy
from tests.support import wait_until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"mounting isn't allowed here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(disk: Path, leaving: int) -> None:
    (disk / "filling").write_bytes(bytes(max(0, shutil.disk_usage(disk).free - leaving)))


def test_a_full_disk_is_told_once_an_episode_and_saving_goes_on_when_there_is_room(small_disk: Path) -> None:
    run = make_run(small_disk / "runs")
    recorder, saver = make_saver(run)
    state = Stub()

    def save(times: int = 1) -> None:
        for _ in range(times):
            state.train()
            save_stub(saver, state)
            saver.join()

    save(2)
    assert events_of(run, "alert") == []
    for episode in (1, 2):
        _fill(small_disk, 4096)
        before = len(stored.scan(run))
        save(3)
        alerts = events_of(run, "alert")
        assert len(alerts) == episode, [alert.facts for alert in alerts]
        assert alerts[-1].facts["cause"] == "disk"
        assert "bytes and 4,096 are free" in alerts[-1].facts["message"]
        assert len(stored.scan(run)) == before
        (small_disk / "filling").unlink()
        save()
        assert len(stored.scan(run)) == before + 1
    assert all(not stored.verify(item) for item in stored.scan(run))
    assert not list(run.checkpoints.glob(".*"))  # what couldn't be finished takes no room
    recorder.end("stopped", state.step)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"grace_seconds": 1e-6}, "a stop waits 0 s for the last one (HEATS_GRACE_SECONDS)"),
        ({"kill_wait": 1e-6}, "its cluster kills a job 0 s after it has asked it to go (KillWait)"),
        ({"grace_seconds": 0.0}, None),  # nobody wants it then
        ({"kill_wait": 30.0}, None),
    ],
)
def test_saves_that_take_longer_than_anybody_waits_are_told_once(
    store_root: Path, facts: dict[str, Any], said: str | None
) -> None:
    run = make_run(store_root)
    run.attempt(1).folder.mkdir(parents=True, exist_ok=True)
    write_launch(run.attempt(1), LaunchRecord(1, 0.0, "here", **facts))
    recorder, saver = make_saver(run)
    state = Stub()
    for _ in range(3):
        state.train()
        save_stub(saver, state)
    recorder.end("stopped", state.step)
    alerts = [str(event.facts["message"]) for event in events_of(run, "alert") if event.facts["cause"] == "slow_save"]
    assert len(alerts) == (said is not None)
    assert said is None or said in alerts[0]


def test_a_disk_that_fills_while_it_is_written_is_told_at_the_next_boundary(
    small_disk: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(small_disk / "runs")
    recorder, saver = make_saver(run)
    state = Stub()
    state.model = torch.nn.Linear(300, 300)
    state.train()
    save_stub(saver, state)
    assert gate.reached.wait(30)  # past the look at the free space
    _fill(small_disk, 100_000)
    gate.opened.set()
    wait_until(lambda: not saver._jobs or saver._jobs[0].done())
    assert events_of(run, "alert") == []  # people are told by the training thread
    saver.hear()
    (alert,) = events_of(run, "alert")
    assert "No space left on device; it needs" in alert.facts["message"]
    assert stored.scan(run) == []
    (small_disk / "filling").unlink()
    save_stub(saver, state)  # the same step again, now that there is room
    saver.join()
    assert [item.step for item in stored.scan(run) if not stored.verify(item)] == [1]
    recorder.end("stopped", 1)


def test_a_whole_training_on_a_full_disk_goes_on_and_says_so(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, straight = make_run(store_root), make_run(store_root)
    train_toy(straight)
    original = checkpoint.check_space

    def full_for_a_while(folder: Path, needed: int) -> None:
        if stored.scan(run) and not (run.checkpoints / "step-00000020").exists() and full:
            full.pop()
            raise OSError(28, "No space left on device")
        original(folder, needed)

    full = [1, 2, 3]
    monkeypatch.setattr(checkpoint, "check_space", full_for_a_while)
    outcome, _ = train_toy(run, {"train.save_every": 2} | BESIDE)
    assert outcome.word == "finished"
    assert len(events_of(run, "alert")) == 1
    folders = [one.checkpoints / stored.folder_name(24) for one in (run, straight)]
    assert differences_of(*folders) == []
