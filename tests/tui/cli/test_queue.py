"""`heats queue`: what waits, and a person's say in it. The queue is paused, so that nothing starts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.launch import queue as launch_queue
from engine.store import queue
from engine.store.paths import RunPaths, Store
from tests.tui.cli.stores import heats, make_run, make_store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("HEATS_SLOTS", "3")
    store = make_store(tmp_path)
    launch_queue.open_queue(store)
    launch_queue.pause(store)
    return store


def waiting_run(store: Store, order: float) -> RunPaths:
    run = make_run(store, study="s")
    queue.enqueue(run, order=order)
    return run


def listed(store: Store) -> Any:
    return json.loads(heats("queue", "list", "--json", store=store).stdout)


def test_the_list_says_what_waits_for_what_and_which_slots_there_are(store: Store) -> None:
    runs = [waiting_run(store, order) for order in (1.0, 2.0)]
    found = listed(store)
    assert [item["run"] for item in found["waiting"]] == [run.id for run in runs]
    assert "paused: by a person" in found["waiting"][0]["why"]
    assert [slot["slot"] for slot in found["slots"]] == ["cpu0", "cpu1", "cpu2"]
    assert "`heats queue resume`" in heats("queue", "list", store=store).stdout


def test_a_run_that_waits_is_queued_for_all_verbs_and_cannot_be_stopped(store: Store) -> None:
    run = waiting_run(store, 1.0)
    (item,) = json.loads(heats("list", "--json", store=store).stdout)
    assert item["status"] == "queued"
    assert "queued" in heats("show", run.id, store=store).stdout
    done = heats("stop", run.id, store=store)
    assert done.returncode == 2
    assert "it waits in the queue" in done.stderr
    assert done.stderr.count("\n") == 1


def test_moving(store: Store) -> None:
    first, second, third = (waiting_run(store, order) for order in (1.0, 2.0, 3.0))
    assert json.loads(heats("queue", "move", third.id, "--first", "--json", store=store).stdout)["place"] == 1
    heats("queue", "move", first.id, "--last", store=store)
    assert [item["run"] for item in listed(store)["waiting"]] == [third.id, second.id, first.id]
    heats("queue", "move", first.id, "--before", second.id, store=store)
    assert [item["run"] for item in listed(store)["waiting"]] == [third.id, first.id, second.id]
    assert heats("queue", "move", first.id, store=store).returncode == 2


def test_dropping(store: Store) -> None:
    run = waiting_run(store, 1.0)
    assert json.loads(heats("queue", "drop", run.id, "--json", store=store).stdout) == {"dropped": [run.id]}
    assert listed(store)["waiting"] == []
    assert not run.folder.exists()
    assert heats("restore", run.id, store=store).returncode == 0
    assert listed(store)["waiting"] == []  # back, but not in the queue
    assert "doesn't wait" in heats("queue", "drop", run.id, store=store).stderr


def test_a_reboot_pauses_and_the_doctor_says_so(store: Store) -> None:
    waiting_run(store, 1.0)
    launch_queue.resume(store)
    queue.write_state(store, replace(queue.read_state(store), boot_id="of another boot"))
    found = listed(store)
    assert found["paused"]
    assert "rebooted" in found["reason"]
    done = heats("doctor", "--json", store=store)
    assert done.returncode == 1
    (finding,) = [item for item in json.loads(done.stdout)["findings"] if item["cause"] == "queue"]
    assert "rebooted" in finding["what"]


def test_pausing_is_said(store: Store) -> None:
    assert json.loads(heats("queue", "pause", "--json", store=store).stdout) == {"paused": True}
    assert json.loads(heats("queue", "resume", "--json", store=store).stdout) == {"started": []}
    assert not listed(store)["paused"]
