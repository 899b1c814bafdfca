"""The queue: who may start now and what the others wait for (pure), and real runs one after the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.config.resolve import resolve
from engine.config.tasks import config_class
from engine.launch import actions, slots
from engine.launch import queue as launch_queue
from engine.launch.queue import Waiting, halted_because, plan
from engine.store import lock, queue
from engine.store.paths import RunPaths, Store, create_store
from engine.store.queue import Entry, QueueState
from engine.store.status import State
from engine.store.summary import RunSummary
from tests.support import TINY, end, kill, launched, look, wait_for_checkpoint, wait_for_state, wait_until

HOST = "here"


def summary(name: str, status: State = State.QUEUED, study: str | None = None, **facts: Any) -> RunSummary:
    values: dict[str, Any] = {
        "id": name, "name": name, "task": "multiplication", "status": status, "reason": str(status), "since": 0.0,
        "step": 0, "total_steps": 1000, "metrics": {}, "best": {}, "study": study, "arm": None, "seed": 0, "tags": (),
        "note": "", "star": False, "archived": False, "created": 0.0, "attempts": 0, "host": HOST, "rate": None,
        "left": None,
    }  # fmt: skip
    return RunSummary(**(values | facts))


def entry(order: float = 0.0, **facts: Any) -> Entry:
    return Entry(queued=0.0, order=order, host=HOST, **facts)


def decide(
    entries: dict[str, Entry], *runs: RunSummary, slots: int = 9, state: QueueState | None = None
) -> dict[str, Waiting]:
    named = {run.id: run for run in runs} | {
        name: summary(name) for name in entries if all(run.id != name for run in runs)
    }
    return {item.run: item for item in plan(entries, named, state or QueueState(), slots, HOST)}


def test_the_first_in_order_start_while_there_are_slots() -> None:
    found = decide({"a": entry(3), "b": entry(1), "c": entry(2)}, slots=2)
    assert [name for name, item in found.items() if item.act == "start"] == ["b", "c"]
    assert "every slot" in found["a"].why


def test_a_run_waits_for_those_that_must_finish_first() -> None:
    entries = {"student": entry(after=("teacher",))}
    assert decide(entries, summary("teacher", State.RUNNING))["student"].why == "teacher must finish first"
    assert decide(entries, summary("teacher", State.FINISHED))["student"].act == "start"
    failed = decide(entries, summary("teacher", State.FAILED))["student"]
    assert failed.act == "wait"
    assert "is failed" in failed.why


def test_a_study_has_at_most_so_many_runs_live() -> None:
    entries = {"a": entry(1, most=2), "b": entry(2, most=2), "other": entry(3)}
    found = decide(
        entries, summary("live", State.RUNNING, "s"), summary("a", study="s"), summary("b", study="s")
    )  # fmt: skip
    assert found["a"].act == "start"
    assert found["b"].act == "wait"
    assert "its most" in found["b"].why
    assert found["other"].act == "start"


def test_nothing_starts_while_the_queue_is_paused_and_the_reason_is_said() -> None:
    found = decide({"a": entry()}, state=QueueState(paused=True, reason="the machine rebooted"))
    assert found["a"].act == "wait"
    assert "the machine rebooted" in found["a"].why


def test_what_was_queued_on_another_machine_waits_there() -> None:
    found = decide({"a": replace(entry(), host="elsewhere")})
    assert found["a"].why == "it was queued on elsewhere"


def failed(name: str, reason: str, since: float, step: int = 3) -> RunSummary:
    return summary(name, State.FAILED, "s", reason=f"failed at step {step}: {reason}", since=since, step=step)


def test_a_study_halts_after_so_many_equal_early_failures() -> None:
    runs = [failed(f"f{index}", f"no memory for {index} tensors", float(index), index) for index in range(1, 4)]
    why = halted_because(runs, "s", 3, 0.0)
    assert why is not None
    assert "failed early in the same way (no memory for N tensors)" in why
    assert decide({"a": entry(stop_after=3)}, *runs, summary("a", study="s"))["a"].act == "wait"


@pytest.mark.parametrize(
    "runs",
    [
        [failed("a", "one", 1), failed("b", "two", 2), failed("c", "one", 3)],
        [failed("a", "one", 1), failed("b", "one", 2)],
        [failed("a", "one", 1), summary("b", State.FINISHED, "s", since=2.0), failed("c", "one", 3)],
        [failed("a", "one", 1), failed("b", "one", 2, step=500), failed("c", "one", 3)],
    ],
    ids=["other reasons", "too few", "one finished in between", "one failed late"],
)
def test_other_failures_halt_nothing(runs: list[RunSummary]) -> None:
    assert halted_because(runs, "s", 3, 0.0) is None


def test_a_person_who_says_go_on_forgives_what_was() -> None:
    runs = [failed(f"f{index}", "no memory", float(index)) for index in range(1, 4)]
    assert halted_because(runs, "s", 3, since=5.0) is None


# --- real runs ---


def make_queued(store: Store, steps: int = 20, **facts: Any) -> RunPaths:
    config = resolve(config_class("multiplication"), TINY | {"train.max_steps": steps})
    run = actions.make_run(store, actions.LaunchRequest("multiplication"), config)
    queue.enqueue(run, **facts)
    return run


@pytest.fixture
def one_slot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Slots of this test alone, and one only."""
    monkeypatch.setenv("HEATS_SLOTS", "1")
    monkeypatch.setenv("HEATS_LOCK_DIR", str(tmp_path / "locks"))


@pytest.mark.usefixtures("one_slot")
def test_one_run_after_the_other_with_nobody_watching(store_root: Path) -> None:
    store = create_store(store_root)
    launch_queue.open_queue(store)
    runs = [make_queued(store) for _ in range(2)]
    assert [look(run).status for run in runs] == [State.QUEUED, State.QUEUED]
    started = launch_queue.advance(store)
    assert [item.run.id for item in started] == [runs[0].id]
    kill(launched(runs[0]).trainer_pid, signal.SIGSTOP)  # so that it can't finish before we look
    assert look(runs[1]).status is State.QUEUED
    assert [claim.run for claim in slots.claims()] == [runs[0].id]
    kill(launched(runs[0]).trainer_pid, signal.SIGCONT)
    wait_for_state(runs[0], State.FINISHED)
    wait_for_state(runs[1], State.FINISHED)  # the first one's supervisor started it
    wait_until(lambda: slots.claims() == [], what="the slot comes free")


@pytest.mark.usefixtures("one_slot")
def test_a_queue_that_sees_a_reboot_waits_for_a_person(store_root: Path) -> None:
    store = create_store(store_root)
    launch_queue.open_queue(store)
    queue.write_state(store, replace(queue.read_state(store), boot_id="of another boot"))
    run = make_queued(store)
    assert launch_queue.advance(store) == []
    state = queue.read_state(store)
    assert state.paused
    assert "rebooted" in state.reason
    launch_queue.resume(store)
    assert [item.run.id for item in launch_queue.advance(store)] == [run.id]
    wait_for_state(run, State.FINISHED)


@pytest.mark.usefixtures("one_slot")
def test_a_run_that_was_killed_goes_on_from_its_checkpoint_when_queued_again(store_root: Path) -> None:
    store = create_store(store_root)
    launch_queue.open_queue(store)
    run = make_queued(store, 100_000)
    launch_queue.advance(store)
    wait_for_checkpoint(run)
    kill(launched(run).trainer_pid)
    wait_for_state(run, State.KILLED)
    launch_queue.pause(store)  # or what its own supervisor starts at its end may be quicker than our look
    queue.enqueue(run)
    assert look(run).status is State.QUEUED
    launch_queue.resume(store)
    wait_until(lambda: launch_queue.advance(store) or len(run.attempts()) == 2)  # or that was quicker now
    record = launched(run)
    assert record.resumed_from_step is not None
    assert record.resumed_from_step >= 10
    wait_for_state(run, State.RUNNING)
    end(run)


def test_two_processes_never_claim_one_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEATS_LOCK_DIR", str(tmp_path))
    code = (
        "import sys, time\n"
        "from engine.launch import slots\n"
        "from engine.store import lock\n"
        "path = lock.lock_path('store', sys.argv[1])\n"
        "descriptor = lock.acquire(path)\n"
        "found = slots.claim('store', sys.argv[1], path, 0.0, [slots.Slot(f'cpu{i}') for i in range(3)])\n"
        "print(found.name if found else '-', flush=True)\n"
        "sys.stdin.read()\n"
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(index)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for index in range(8)
    ]
    try:
        found = [worker.stdout.readline().strip() for worker in workers if worker.stdout]
        assert sorted(found) == ["-"] * 5 + ["cpu0", "cpu1", "cpu2"]
    finally:
        for worker in workers:
            worker.communicate("")
    assert slots.claims() == []


def test_a_claim_is_stale_once_its_run_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEATS_LOCK_DIR", str(tmp_path))
    only = [slots.Slot("cpu0")]
    path = lock.lock_path("store", "first")
    descriptor = lock.acquire(path)
    assert descriptor is not None
    assert slots.claim("store", "first", path, 0.0, only) is not None
    assert slots.claim("store", "second", lock.lock_path("store", "second"), 0.0, only) is None
    os.close(descriptor)
    assert slots.claim("store", "second", lock.lock_path("store", "second"), 0.0, only) is not None


def test_a_run_that_was_killed_gets_its_only_slot_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEATS_LOCK_DIR", str(tmp_path))
    only, path = [slots.Slot("cpu0")], lock.lock_path("store", "run")
    first = lock.acquire(path)
    assert first is not None
    assert slots.claim("store", "run", path, 0.0, only) is not None
    os.close(first)  # everything of it was killed: the claim's file is left
    again = lock.acquire(path)
    assert again is not None
    assert slots.claim("store", "run", path, 1.0, only) is not None
    os.close(again)
