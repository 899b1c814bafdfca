"""Evidence as it lies on a real disk beside real processes, and what is decided from it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import HeatsError
from engine.store import host, lock
from engine.store.evidence import gather
from engine.store.files import write_json
from engine.store.hold import hold
from engine.store.paths import RunPaths, Store
from engine.store.records import Beat, ExitRecord, read_run, write_beat, write_exit, write_launch
from engine.store.requests import request_stop
from engine.store.status import State, Status, decide
from tests.engine.store.made import add_attempt, launch_record, log_event, make_run, make_store
from tests.support import wait_until

pytestmark = pytest.mark.skipif(not host.has_proc(), reason="needs /proc")


@pytest.fixture
def store(store_root: Path) -> Store:
    return make_store(store_root)


@pytest.fixture
def run(store: Store) -> RunPaths:
    return make_run(store)


class Trainer:
    """A real process that holds the run's lock, as a trainer does."""

    def __init__(self, store: Store, run: RunPaths) -> None:
        self.lock = lock.lock_path(store.id, run.id)
        descriptor = lock.acquire(self.lock)
        assert descriptor is not None
        self.process = subprocess.Popen(["sleep", "600"], pass_fds=(descriptor,))
        os.close(descriptor)
        self.facts: dict[str, Any] = {
            "lock": str(self.lock),
            "trainer_pid": self.process.pid,
            "trainer_ticks": host.start_ticks(self.process.pid),
            "started": time.time(),
        }

    def kill(self, *, reap: bool = True) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        if reap:
            self.process.wait()


@pytest.fixture
def trainer(store: Store, run: RunPaths) -> Iterator[Trainer]:
    made = Trainer(store, run)
    yield made
    made.process.kill()
    made.process.wait()


def judge(run: RunPaths, **facts: Any) -> Status:
    attempts = run.attempts()
    return decide(gather(run, attempts[-1] if attempts else None, read_run(run.record), **facts))


def test_a_living_trainer_is_running_and_a_killed_one_is_lost(run: RunPaths, trainer: Trainer) -> None:
    attempt = add_attempt(run, **trainer.facts)
    log_event(attempt, "started", 0)
    log_event(attempt, "training", 0)
    assert judge(run, last_progress=time.time()).state is State.RUNNING
    trainer.kill()
    status = judge(run)
    assert status.state is State.LOST
    assert "the trainer is gone and left no word" in status.reason


def test_a_zombie_is_not_alive(run: RunPaths, trainer: Trainer) -> None:
    add_attempt(run, **trainer.facts)
    trainer.kill(reap=False)
    wait_until(lambda: host.process_state(trainer.process.pid, None) != "alive")
    status = judge(run)
    assert status.state is State.LOST
    assert "zombie" in status.reason


_THREADS = """
import sys, threading, time
for _ in range(24):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
room = bytearray(1 << 26)
print("up", flush=True)
time.sleep(600)
"""


def test_a_killed_trainer_with_many_threads_is_never_said_to_have_left_others(store: Store, run: RunPaths) -> None:
    path = lock.lock_path(store.id, run.id)
    for _ in range(8):
        descriptor = lock.acquire(path, patience_seconds=60.0)
        assert descriptor is not None
        command = [sys.executable, "-S", "-c", _THREADS]
        with subprocess.Popen(command, pass_fds=(descriptor,), stdout=subprocess.PIPE) as process:
            os.close(descriptor)
            assert process.stdout is not None
            process.stdout.readline()
            pid, ticks = process.pid, host.start_ticks(process.pid)
            attempt = add_attempt(run, lock=str(path), trainer_pid=pid, trainer_ticks=ticks, started=time.time())
            log_event(attempt, "training", 0)
            process.kill()
            reasons: list[str] = []
            while not reasons or "left no word" not in reasons[-1]:
                reasons.append(judge(run, last_progress=time.time()).reason)
        assert not [reason for reason in reasons if "processes of it are left" in reason]


def test_the_trainers_own_word_tells_its_pid_where_the_supervisor_died_too_soon(run: RunPaths) -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        attempt = add_attempt(run, trainer_pid=None, trainer_ticks=None)
        log_event(attempt, "started", 0, pid=process.pid, ticks=host.start_ticks(process.pid))
        assert judge(run).state is State.STARTING
        log_event(attempt, "training", 0)
        assert judge(run, last_progress=time.time()).state is State.RUNNING
        process.kill()
    assert "the trainer is gone" in judge(run).reason


def test_a_stranger_with_the_trainers_old_pid_is_not_the_trainer(run: RunPaths) -> None:
    with subprocess.Popen(["sleep", "600"]) as stranger:
        ticks = host.start_ticks(stranger.pid)
        assert ticks is not None
        add_attempt(run, trainer_pid=stranger.pid, trainer_ticks=ticks - 100)
        assert judge(run).state is State.LOST
        stranger.kill()


def test_killed_trainer_is_reported_lost_after_reboot(run: RunPaths, trainer: Trainer) -> None:
    add_attempt(run, **trainer.facts | {"boot_id": "an-earlier-boot"})
    status = judge(run)
    assert status.state is State.LOST
    assert status.reason == "the machine rebooted"
    assert status.since is not None
    assert status.since < time.time()


def test_after_a_reboot_a_container_is_judged_lost_though_its_namespace_changed_too(run: RunPaths) -> None:
    add_attempt(run, boot_id="an-earlier-boot", pid_namespace="pid:[1]")
    assert judge(run).reason == "the machine rebooted"


def test_leftovers_are_named_by_pid(store: Store, run: RunPaths, trainer: Trainer) -> None:
    worker = trainer.process.pid
    add_attempt(run, lock=str(trainer.lock))
    status = judge(run)
    assert status.state is State.LOST
    assert f"processes of it are left (pid {worker})" in status.reason


def test_who_holds_a_deleted_lock_is_found(store: Store, run: RunPaths, trainer: Trainer) -> None:
    worker = trainer.process.pid
    add_attempt(run, lock=str(trainer.lock))
    trainer.lock.unlink()
    assert f"processes of it are left (pid {worker})" in judge(run).reason
    with pytest.raises(HeatsError, match=f"processes of it are left \\(pid {worker}\\)"), hold(run):
        pytest.fail("a new lock of the same name must not count as holding the run")
    trainer.kill()
    assert "left no word" in judge(run).reason
    with hold(run):
        assert lock.is_held(trainer.lock)


def test_a_run_on_another_host_is_judged_by_its_beats_alone(run: RunPaths) -> None:
    attempt = add_attempt(run, host="elsewhere", boot_id="other", trainer_pid=os.getpid())
    write_beat(attempt.beat, Beat(time.time(), 10.0))
    assert judge(run).state is State.RUNNING
    write_beat(attempt.beat, Beat(time.time() - 3600, 10.0))
    status = judge(run)
    assert status.state is State.SILENT
    assert "on elsewhere" in status.reason
    attempt.beat.write_text("{")
    assert judge(run).state in (State.STARTING, State.SILENT)


def test_another_container_of_this_host_is_judged_by_its_beats(run: RunPaths) -> None:
    attempt = add_attempt(run, pid_namespace="pid:[1]", trainer_pid=os.getpid())
    write_beat(attempt.beat, Beat(time.time(), 10.0))
    status = judge(run)
    assert status.state is State.RUNNING
    assert "container" in status.reason


def test_the_engines_word_and_the_supervisors_word_are_read(run: RunPaths) -> None:
    attempt = add_attempt(run)
    write_exit(attempt.exit, ExitRecord(time.time(), code=1))
    assert judge(run).reason == "exit code 1"
    log_event(attempt, "stopped", 5)
    log_event(attempt, "alert", 5, message="late")
    assert judge(run).state is State.STOPPED


def test_a_damaged_launch_file_does_not_hide_the_engines_own_word(run: RunPaths) -> None:
    attempt = add_attempt(run)
    log_event(attempt, "finished", 9)
    attempt.launch.write_text("{")
    assert judge(run).state is State.FINISHED
    attempt.events.unlink()
    write_exit(attempt.exit, ExitRecord(time.time(), signal=9))
    assert judge(run).state is State.KILLED


def test_a_stop_request_counts_for_its_own_attempt_only(run: RunPaths, trainer: Trainer) -> None:
    add_attempt(run)
    attempt = add_attempt(run, **trainer.facts)
    log_event(attempt, "training", 0)
    request_stop(run, 1)
    assert judge(run, last_progress=time.time()).state is State.RUNNING
    request = request_stop(run, 2)
    status = judge(run, last_progress=time.time())
    assert (status.state, status.since) == (State.STOPPING, request.time)


def test_a_run_without_attempts_is_starting_and_later_lost(store: Store) -> None:
    assert judge(make_run(store)).state is State.STARTING
    assert judge(make_run(store, created=time.time() - 3600)).state is State.LOST


def test_a_new_attempt_of_an_old_run_is_starting_while_its_launch_file_is_on_the_way(store: Store) -> None:
    # A list in that moment must not call the resumed run lost, least of all for good.
    run = make_run(store, created=time.time() - 86400)
    log_event(add_attempt(run), "stopped", 5)
    run.attempt(2).folder.mkdir()
    assert judge(run).state is State.STARTING
    long_ago = time.time() - 3600
    os.utime(run.attempt(2).folder, (long_ago, long_ago))
    assert judge(run).state is State.LOST


def test_a_run_with_a_damaged_record_and_no_attempt_does_not_start_forever(store: Store) -> None:
    run = make_run(store)
    run.record.write_text("{")
    long_ago = time.time() - 3600
    os.utime(run.folder, (long_ago, long_ago))
    assert judge(run).state is State.LOST


@pytest.mark.parametrize("damage", [{"lock": "a\0b"}, {"lock": "/dev/null/x"}, {"trainer_pid": -5}, {"trainer_pid": 0}])
def test_odd_values_in_a_launch_file_never_raise(run: RunPaths, damage: dict[str, Any]) -> None:
    attempt = add_attempt(run)
    write_launch(attempt, launch_record(1, **damage))
    assert judge(run).reason
    write_json(attempt.launch, {"attempt": 1, "created": 1, "host": host.host_name()})
    assert judge(run).reason
