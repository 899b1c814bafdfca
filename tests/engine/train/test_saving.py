"""Saving beside training: the same bytes, nothing half done, nothing lost, and people hear of what fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config.resolve import resolve
from engine.store import checkpoints as stored
from engine.store.compare import checkpoint_differences, metric_differences
from engine.store.paths import RunPaths
from engine.store.records import Event, LaunchRecord, read_events, write_launch
from engine.train import checkpoint, saving, tensor_file
from engine.train.control import Control, LeaveNow
from engine.train.events import EventLog
from engine.train.recorder import Recorder
from engine.train.saving import Saver
from engine.train.staging import BufferSet
from tests.engine.train.toy import BASE, ToyConfig, make_run, train_toy
from tests.forks import forks
from tests.support import wait_until

BESIDE: dict[str, Any] = {"checkpoint.asynchronous": True}
IN_TURN: dict[str, Any] = {"checkpoint.asynchronous": False}


def _events(run: RunPaths, name: str, attempt: int = 1) -> list[Event]:
    return [event for event in read_events(run.attempt(attempt).events)[0] if event.name == name]


def _last_event(run: RunPaths, attempt: int = 1) -> str:
    return read_events(run.attempt(attempt).events)[0][-1].name


class Gate:
    """Holds the writer's thread (and no other) at the beginning of each save until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self.reached = threading.Event()
        original = tensor_file.write_synced

        def held(path: Path, pieces: list[memoryview], stopped: tensor_file.Stopped) -> int:
            if threading.current_thread().name.startswith("checkpoint-writer"):
                self.reached.set()
                while not (self.opened.wait(0.01) or stopped()):
                    pass
            return original(path, pieces, stopped)

        monkeypatch.setattr(checkpoint, "write_synced", held)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    made = Gate(monkeypatch)
    yield made
    made.opened.set()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"toy.mode": "conv", "precision.dtype": "bf16"},  # channels_last, and buffers that a forward pass changes
        {"precision.dtype": "fp16", "toy.poison_from": 10, "toy.poison_to": 14},
        {"optim.name": "sgd"},  # without moments
        {"train.save_every": 1, "toy.metric": "rising", "evaluation.every": 1},
    ],
    ids=["plain", "conv", "fp16", "sgd", "every step"],
)
def test_saving_beside_training_changes_no_byte_of_any_checkpoint(store_root: Path, values: dict[str, Any]) -> None:
    beside, in_turn = make_run(store_root), make_run(store_root)
    train_toy(beside, values | BESIDE)
    train_toy(in_turn, values | IN_TURN)
    names = [item.folder.name for item in stored.scan(in_turn)]
    assert len(names) >= 4
    assert [item.folder.name for item in stored.scan(beside)] == names
    for name in names:
        for file in stored.FILES:
            one, other = (run.checkpoints / name / file for run in (beside, in_turn))
            assert one.read_bytes() == other.read_bytes(), one
    assert metric_differences(beside, in_turn) == []
    assert all(not stored.verify(item) for item in stored.scan(beside))


def _differences(first: Path, second: Path) -> list[str]:
    """What differs, but for the list of the steps that a rollback may go back to: those that were saved."""
    return [found for found in checkpoint_differences(first, second) if found != "state.json: guard.anchors"]


def test_saving_leaves_no_trace_in_training(store_root: Path) -> None:
    often, never = make_run(store_root), make_run(store_root)
    train_toy(often, {"train.save_every": 1} | BESIDE)
    train_toy(never, {"train.save_every": 0, "checkpoint.keep_best": 0})
    folders = [run.checkpoints / stored.folder_name(24) for run in (often, never)]
    assert _differences(*folders) == []
    assert metric_differences(often, never) == []


def test_a_state_too_large_for_memory_made_on_the_spot_is_saved_all_the_same(
    store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "_SMALL", 0)
    made, reserve = make_run(store_root), make_run(store_root)
    train_toy(made, {"train.save_every": 2} | BESIDE)
    monkeypatch.setattr(saving, "free_memory", lambda: 1)
    train_toy(reserve, {"train.save_every": 2} | BESIDE)
    for run in (made, reserve):
        assert {item.step for item in stored.scan(run) if not stored.verify(item)} >= set(range(2, 25, 2))
    # without memory every save is waited for: the whole of it is a stall
    assert all(event.facts["stall"] == event.facts["seconds"] for event in _events(reserve, "checkpoint"))


def _saver(run: RunPaths, values: dict[str, Any] | None = None) -> tuple[Recorder, Saver]:
    """What a loop has at hand, for tests that save at moments of their own choice."""
    config = resolve(ToyConfig, BASE | BESIDE | (values or {}))
    attempt = run.attempt(1)
    attempt.folder.mkdir(parents=True, exist_ok=True)
    recorder = Recorder(run, attempt, config, Control(run, 1), EventLog(attempt.events))
    return recorder, recorder.saver


class Stub:
    """As much of a training's state as a save asks for."""

    def __init__(self) -> None:
        self.model = torch.nn.Linear(4, 4)
        self.optimizer = torch.optim.SGD(self.model.parameters())
        self.task = self
        self.step = 0
        self.kept: list[int] = []

    def trainable_module(self, model: torch.nn.Module) -> torch.nn.Module:
        return model

    def to_json(self) -> dict[str, Any]:
        return {"step": self.step, "live": self.kept}

    def train(self) -> None:
        self.step += 1
        self.kept.append(self.step)
        with torch.no_grad():
            self.model.weight.fill_(float(self.step))


def _save(saver: Saver, state: Stub, reason: str = "scheduled") -> None:
    saver.save(state, {}, reason, None)  # type: ignore[arg-type]


def test_what_is_saved_is_the_state_at_the_save_and_not_at_the_writing(store_root: Path, gate: Gate) -> None:
    run = make_run(store_root)
    recorder, saver = _saver(run)
    state = Stub()
    for _ in range(2):
        state.train()
        _save(saver, state)
    state.train()
    assert stored.scan(run) == []
    assert _events(run, "checkpoint") == []  # it comes when the bytes are safe
    gate.opened.set()
    saver.join()
    for step in (1, 2):
        loaded = checkpoint.Loaded(stored.scan(run)[step - 1])
        assert loaded.state == {"step": step, "live": list(range(1, step + 1))}
        assert torch.equal(loaded.model["weight"], torch.full((4, 4), float(step)))
    recorder.end("stopped", 3)


def test_a_third_save_waits_for_the_first_and_memory_is_kept(
    store_root: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses: list[int] = []
    original = BufferSet.take

    def noted(self: BufferSet, files: Any) -> list[list[memoryview]]:
        addresses.append(self.bodies[0].data_ptr())
        return original(self, files)

    monkeypatch.setattr(BufferSet, "take", noted)
    run = make_run(store_root)
    recorder, saver = _saver(run)
    state = Stub()

    def open_late() -> None:
        # Both sets of memory are taken, and the first save is being waited for.
        wait_until(lambda: state.step == 3 and saver._sets == 2 and len(saver._jobs) == 1)
        time.sleep(0.5)
        gate.opened.set()

    opener = threading.Thread(target=open_late)
    opener.start()
    for _ in range(7):
        state.train()
        _save(saver, state)
    opener.join()
    saver.join()
    saved = _events(run, "checkpoint")
    assert [event.step for event in saved] == [1, 2, 3, 4, 5, 6, 7]
    assert saved[2].facts["waited"] > 0.4
    assert saved[0].facts.get("waited", 0.0) < 0.4
    assert len(addresses) == 7
    assert len(set(addresses)) == 2
    recorder.end("stopped", 7)


@pytest.mark.parametrize("reason", ["final", "stop"])
def test_a_last_save_waits_for_the_one_under_way_and_is_safe_on_return(
    store_root: Path, gate: Gate, reason: str
) -> None:
    run = make_run(store_root)
    recorder, saver = _saver(run)
    state = Stub()
    state.train()
    _save(saver, state)
    state.train()
    threading.Timer(0.1, gate.opened.set).start()
    _save(saver, state, reason)
    assert [item.step for item in stored.scan(run) if not stored.verify(item)] == [1, 2]
    assert [event.step for event in _events(run, "checkpoint")] == [1, 2]
    recorder.end("finished", 2)
    assert _last_event(run) == "finished"


def test_a_last_save_of_the_step_under_way_waits_for_it_and_writes_nothing_twice(store_root: Path, gate: Gate) -> None:
    run = make_run(store_root)
    recorder, saver = _saver(run)
    state = Stub()
    state.train()
    _save(saver, state)
    threading.Timer(0.1, gate.opened.set).start()
    _save(saver, state, "stop")
    assert [event.facts["reason"] for event in _events(run, "checkpoint")] == ["scheduled"]
    recorder.end("stopped", 1)


def test_leaving_at_once_abandons_the_save_under_way(store_root: Path, gate: Gate) -> None:
    run = make_run(store_root)
    recorder, saver = _saver(run)
    state = Stub()
    state.train()
    _save(saver, state)
    assert gate.reached.wait(30)
    saver.abandon()
    recorder.end("stopped", 1)
    gate.opened.set()
    wait_until(lambda: not [one for one in threading.enumerate() if one.name.startswith("checkpoint-writer")])
    assert stored.scan(run) == []
    assert _last_event(run) == "stopped"
    assert _events(run, "checkpoint") == []


def test_a_second_signal_while_the_last_words_wait_for_a_save_is_heeded(
    store_root: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(store_root)
    recorder, saver = _saver(run)
    state = Stub()
    state.train()
    _save(saver, state)

    def interrupted() -> None:
        raise LeaveNow

    monkeypatch.setattr(saver, "join", interrupted)
    recorder.end("failed", 1, error="something else")
    gate.opened.set()
    assert _last_event(run) == "failed"
    assert stored.scan(run) == []


def test_retention_beside_training_keeps_what_it_should(store_root: Path) -> None:
    run = make_run(store_root)
    values = {"checkpoint.keep_last": 2, "train.save_every": 1, "checkpoint.keep_every": 10, "toy.metric": "falling"}
    train_toy(run, values | BESIDE)
    assert [item.step for item in stored.scan(run)] == [5, 10, 20, 23, 24]  # 5 has the best score
    pointers = json.loads(run.resume.read_text())
    assert (pointers["latest"], pointers["best"]) == ("step-00000024", "step-00000005")
    assert not list(run.checkpoints.glob(".*"))


# --- disks that fail ---


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
    recorder, saver = _saver(run)
    state = Stub()

    def save(times: int = 1) -> None:
        for _ in range(times):
            state.train()
            _save(saver, state)
            saver.join()

    save(2)
    assert _events(run, "alert") == []
    for episode in (1, 2):
        _fill(small_disk, 4096)
        before = len(stored.scan(run))
        save(3)
        alerts = _events(run, "alert")
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
    recorder, saver = _saver(run)
    state = Stub()
    for _ in range(3):
        state.train()
        _save(saver, state)
    recorder.end("stopped", state.step)
    alerts = [str(event.facts["message"]) for event in _events(run, "alert") if event.facts["cause"] == "slow_save"]
    assert len(alerts) == (said is not None)
    assert said is None or said in alerts[0]


def test_a_disk_that_fills_while_it_is_written_is_told_at_the_next_boundary(
    small_disk: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(small_disk / "runs")
    recorder, saver = _saver(run)
    state = Stub()
    state.model = torch.nn.Linear(300, 300)
    state.train()
    _save(saver, state)
    assert gate.reached.wait(30)  # past the look at the free space
    _fill(small_disk, 100_000)
    gate.opened.set()
    wait_until(lambda: not saver._jobs or saver._jobs[0].done())
    assert _events(run, "alert") == []  # people are told by the training thread
    saver.hear()
    (alert,) = _events(run, "alert")
    assert "No space left on device; it needs" in alert.facts["message"]
    assert stored.scan(run) == []
    (small_disk / "filling").unlink()
    _save(saver, state)  # the same step again, now that there is room
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
    assert len(_events(run, "alert")) == 1
    folders = [one.checkpoints / stored.folder_name(24) for one in (run, straight)]
    assert _differences(*folders) == []


def test_a_bug_in_the_writer_ends_the_run_and_is_not_lost(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Path:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(checkpoint, "write_aside", broken)
    run = make_run(store_root)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        train_toy(run, BESIDE)
    assert _last_event(run) == "failed"


# --- kills ---

_SAVE_BESIDE = """
from pathlib import Path
from engine.store.paths import RunPaths
from engine.train import checkpoint
from tests.engine.train import test_saving as tests
import torch

def work(folder, step):
    run = RunPaths(Path(folder))
    checkpoint.clear_leftovers(run)
    _, saver = tests._saver(run, {"checkpoint.keep_last": 3})
    state = tests.Stub()
    state.model = torch.nn.Linear(700, 700)
    state.step = int(step)
    while True:
        state.train()
        tests._save(saver, state)
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kills_in_mid_save_beside_training_leave_nothing_that_a_resume_would_take(store_root: Path) -> None:
    run = make_run(store_root)
    kills = half_written = 0
    with forks(_SAVE_BESIDE) as saving:
        while kills < 3 or (not half_written and kills < 30):
            before = _newest(run)
            saving.start(run.folder, before)
            wait_until(partial(_is_in_mid_save_after, run, before + 2))
            assert saving.kill(), saving.errors()
            kills += 1
            half_written += _saving(run)
            found = stored.scan(run)
            assert [stored.verify(item) for item in found] == [()] * len(found), f"kill {kills}"
            chosen = stored.choose(run)
            assert chosen.passed_over == ()
            assert chosen.checkpoint is not None
            loaded = checkpoint.Loaded(chosen.checkpoint)
            assert torch.equal(loaded.model["weight"], torch.full((700, 700), float(loaded.step)))
    assert half_written  # some kill did fall into a save
    checkpoint.clear_leftovers(run)
    assert not list(run.checkpoints.glob(".*"))


def _is_in_mid_save_after(run: RunPaths, step: int) -> bool:
    return _newest(run) >= step and any(_saving(run) for _ in range(1000))


def _newest(run: RunPaths) -> int:
    return max((item.step for item in stored.scan(run)), default=0)


def _saving(run: RunPaths) -> bool:
    """Whether a save is half done."""
    names = os.listdir(run.checkpoints)
    return any(name.startswith(".step-") for name in names)
