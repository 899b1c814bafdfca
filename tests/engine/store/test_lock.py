"""The lock is held exactly as long as a process of the run lives, whatever kills it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine.errors import MachineError
from engine.store import lock
from tests.support import wait_until


def _holder(path: Path) -> subprocess.Popen[bytes]:
    """A process that inherited the lock and alone holds it."""
    descriptor = lock.acquire(path)
    assert descriptor is not None
    process = subprocess.Popen(["sleep", "600"], pass_fds=(descriptor,))
    os.close(descriptor)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_a_lock_is_held_exactly_while_a_child_that_inherited_it_lives(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    assert not lock.is_held(path), "a lock that was never taken is free"
    process = _holder(path)
    assert lock.is_held(path)
    assert lock.acquire(path) is None
    _end(process)
    assert not lock.is_held(path)
    again = lock.acquire(path)
    assert again is not None
    os.close(again)


def test_a_grandchild_keeps_the_lock_when_its_parent_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    descriptor = lock.acquire(path)
    assert descriptor is not None
    script = "sleep 600 & echo $!; wait"
    parent = subprocess.Popen(["bash", "-c", script], pass_fds=(descriptor,), stdout=subprocess.PIPE)
    os.close(descriptor)
    assert parent.stdout is not None
    grandchild = int(parent.stdout.readline())
    _end(parent)
    try:
        assert lock.is_held(path), "somebody of the run is left"
    finally:
        os.kill(grandchild, signal.SIGKILL)
    wait_until(lambda: not lock.is_held(path))


def test_a_process_without_the_descriptor_does_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    descriptor = lock.acquire(path)
    assert descriptor is not None
    with subprocess.Popen(["sleep", "600"]) as stranger:
        os.close(descriptor)
        assert not lock.is_held(path)
        stranger.kill()


def test_probing_never_disturbs_a_holder_or_a_taker(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    process = _holder(path)
    for _ in range(200):
        assert lock.is_held(path)
    _end(process)
    ending = threading.Event()

    def probe() -> None:
        while not ending.is_set():
            lock.is_held(path)

    probers = [threading.Thread(target=probe) for _ in range(3)]
    for prober in probers:
        prober.start()
    try:
        for _ in range(20):
            descriptor = lock.acquire(path, patience_seconds=60.0)
            assert descriptor is not None, "a mere look refused the lock"
            os.close(descriptor)
    finally:
        ending.set()
        for prober in probers:
            prober.join()


def test_a_probe_makes_no_lock_file(tmp_path: Path) -> None:
    lock.is_held(tmp_path / "none.lock")
    assert os.listdir(tmp_path) == []


def test_a_path_that_no_file_can_have_is_not_held() -> None:
    # launch.json may be damaged, and names the lock.
    assert not lock.is_held(Path("a\0b"))
    assert not lock.is_held(Path("/" + "x" * 5000))


def test_patience_waits_for_a_run_that_is_just_ending(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    process = _holder(path)
    timer = threading.Timer(0.15, lambda: os.kill(process.pid, signal.SIGKILL))
    timer.start()
    descriptor = lock.acquire(path, patience_seconds=60.0)
    assert descriptor is not None
    os.close(descriptor)
    process.wait()


_TAKER = """
import os, sys, time
from pathlib import Path
from engine.store import lock
from tests.support import wait_until
print("up", flush=True)
sys.stdin.readline()
descriptor = lock.acquire(Path(sys.argv[1]))
print("no" if descriptor is None else "yes", flush=True)
sys.stdin.read()
"""


def test_of_twenty_processes_at_once_exactly_one_wins(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _TAKER, str(tmp_path / "a.lock")]
    takers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(20)]
    try:
        for taker in takers:
            assert taker.stdout is not None
            taker.stdout.readline()
        for taker in takers:
            assert taker.stdin is not None
            taker.stdin.write("go\n")
            taker.stdin.flush()
        answers = [taker.stdout.readline().strip() for taker in takers if taker.stdout is not None]
    finally:
        for taker in takers:
            taker.kill()
            taker.communicate()
    assert sorted(answers) == ["no"] * 19 + ["yes"]


def test_of_twenty_threads_at_once_exactly_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    won: list[int | None] = []
    threads = [threading.Thread(target=lambda: won.append(lock.acquire(path))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = [descriptor for descriptor in won if descriptor is not None]
    assert len(won) == 20
    assert len(held) == 1
    os.close(held[0])


def test_the_lock_folder_is_made_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEATS_LOCK_DIR", str(tmp_path / "a" / "locks"))
    folder = lock.lock_folder()
    assert folder == tmp_path / "a" / "locks"
    assert folder.stat().st_mode & 0o077 == 0
    assert lock.lock_folder() == folder


def test_a_lock_folder_that_is_a_file_or_a_link_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("file", "link"):
        monkeypatch.setenv("HEATS_LOCK_DIR", str(tmp_path / name))
        with pytest.raises(MachineError, match=name) as caught:
            lock.lock_folder()
        assert caught.value.exit_code == 1


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_lock_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 65534, 65534)
    monkeypatch.setenv("HEATS_LOCK_DIR", str(tmp_path / "theirs"))
    with pytest.raises(MachineError, match="is not a folder of yours; remove it or set HEATS_LOCK_DIR"):
        lock.lock_folder()


def test_every_run_of_every_store_has_a_lock_of_its_own() -> None:
    paths = {lock.lock_path(store, run) for store in ("a", "b") for run in ("1", "2")}
    assert len(paths) == 4
