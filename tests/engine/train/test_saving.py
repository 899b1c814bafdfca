"""Saving beside training: the same bytes, nothing half done, nothing lost, and people hear of what fails."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.store import checkpoints as stored
from engine.store.compare import metric_differences
from engine.train import checkpoint, saving
from engine.train.control import LeaveNow
from engine.train.staging import BufferSet
from tests.engine.train.savers import BESIDE, Gate, Stub, differences_of, events_of, last_event, make_saver, save_stub
from tests.engine.train.toy import make_run, train_toy
from tests.support import wait_until

IN_TURN: dict[str, Any] = {"checkpoint.asynchronous": False}


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


def test_saving_leaves_no_trace_in_training(store_root: Path) -> None:
    often, never = make_run(store_root), make_run(store_root)
    train_toy(often, {"train.save_every": 1} | BESIDE)
    train_toy(never, {"train.save_every": 0, "checkpoint.keep_best": 0})
    folders = [run.checkpoints / stored.folder_name(24) for run in (often, never)]
    assert differences_of(*folders) == []
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
    assert all(event.facts["stall"] == event.facts["seconds"] for event in events_of(reserve, "checkpoint"))


def test_what_is_saved_is_the_state_at_the_save_and_not_at_the_writing(store_root: Path, gate: Gate) -> None:
    run = make_run(store_root)
    recorder, saver = make_saver(run)
    state = Stub()
    for _ in range(2):
        state.train()
        save_stub(saver, state)
    state.train()
    assert stored.scan(run) == []
    assert events_of(run, "checkpoint") == []  # it comes when the bytes are safe
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
    recorder, saver = make_saver(run)
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
        save_stub(saver, state)
    opener.join()
    saver.join()
    saved = events_of(run, "checkpoint")
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
    recorder, saver = make_saver(run)
    state = Stub()
    state.train()
    save_stub(saver, state)
    state.train()
    threading.Timer(0.1, gate.opened.set).start()
    save_stub(saver, state, reason)
    assert [item.step for item in stored.scan(run) if not stored.verify(item)] == [1, 2]
    assert [event.step for event in events_of(run, "checkpoint")] == [1, 2]
    recorder.end("finished", 2)
    assert last_event(run) == "finished"


def test_a_last_save_of_the_step_under_way_waits_for_it_and_writes_nothing_twice(store_root: Path, gate: Gate) -> None:
    run = make_run(store_root)
    recorder, saver = make_saver(run)
    state = Stub()
    state.train()
    save_stub(saver, state)
    threading.Timer(0.1, gate.opened.set).start()
    save_stub(saver, state, "stop")
    assert [event.facts["reason"] for event in events_of(run, "checkpoint")] == ["scheduled"]
    recorder.end("stopped", 1)


def test_leaving_at_once_abandons_the_save_under_way(store_root: Path, gate: Gate) -> None:
    run = make_run(store_root)
    recorder, saver = make_saver(run)
    state = Stub()
    state.train()
    save_stub(saver, state)
    assert gate.reached.wait(30)
    saver.abandon()
    recorder.end("stopped", 1)
    gate.opened.set()
    wait_until(lambda: not [one for one in threading.enumerate() if one.name.startswith("checkpoint-writer")])
    assert stored.scan(run) == []
    assert last_event(run) == "stopped"
    assert events_of(run, "checkpoint") == []


def test_a_second_signal_while_the_last_words_wait_for_a_save_is_heeded(
    store_root: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(store_root)
    recorder, saver = make_saver(run)
    state = Stub()
    state.train()
    save_stub(saver, state)

    def interrupted() -> None:
        raise LeaveNow

    monkeypatch.setattr(saver, "join", interrupted)
    recorder.end("failed", 1, error="something else")
    gate.opened.set()
    assert last_event(run) == "failed"
    assert stored.scan(run) == []


def test_retention_beside_training_keeps_what_it_should(store_root: Path) -> None:
    run = make_run(store_root)
    values = {"checkpoint.keep_last": 2, "train.save_every": 1, "checkpoint.keep_every": 10, "toy.metric": "falling"}
    train_toy(run, values | BESIDE)
    assert [item.step for item in stored.scan(run)] == [5, 10, 20, 23, 24]  # 5 has the best score
    pointers = json.loads(run.resume.read_text())
    assert (pointers["latest"], pointers["best"]) == ("step-00000024", "step-00000005")
    assert not list(run.checkpoints.glob(".*"))


def test_a_bug_in_the_writer_ends_the_run_and_is_not_lost(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Path:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(checkpoint, "write_aside", broken)
    run = make_run(store_root)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        train_toy(run, BESIDE)
    assert last_event(run) == "failed"
