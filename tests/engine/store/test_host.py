"""Processes are known by pid and start ticks, so that a reused pid is nobody's trainer."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.store import host
from tests.support import wait_until

pytestmark = pytest.mark.skipif(not host.has_proc(), reason="needs /proc")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def _wait_for(process: int, state: str) -> None:
    wait_until(lambda: host.process_state(process, None) == state)


def test_a_running_process_is_alive_by_its_pid_and_ticks(child: subprocess.Popen[bytes]) -> None:
    ticks = host.start_ticks(child.pid)
    assert ticks is not None
    assert host.process_state(child.pid, ticks) == "alive"
    assert host.start_ticks(child.pid) == ticks, "ticks never change"


def test_a_pid_that_was_given_to_another_process_is_gone(child: subprocess.Popen[bytes]) -> None:
    ticks = host.start_ticks(child.pid)
    assert ticks is not None
    for other in (ticks - 1, ticks + 1, ticks + 1_000_000):
        assert host.process_state(child.pid, other) == "gone"


def test_a_killed_process_is_a_zombie_until_reaped_and_then_gone(child: subprocess.Popen[bytes]) -> None:
    ticks = host.start_ticks(child.pid)
    os.kill(child.pid, signal.SIGKILL)
    _wait_for(child.pid, "zombie")
    assert host.process_state(child.pid, ticks) == "zombie"
    child.wait()
    assert host.process_state(child.pid, ticks) == "gone"
    assert host.start_ticks(child.pid) is None
    assert host.parent_pid(child.pid) is None


def test_a_stopped_process_is_alive(child: subprocess.Popen[bytes]) -> None:
    os.kill(child.pid, signal.SIGSTOP)
    time.sleep(0.02)
    assert host.process_state(child.pid, host.start_ticks(child.pid)) == "alive"


@pytest.mark.parametrize("name", [b"a) R 1 (b", b"\xff\xfe half \xe2\x82", b"(((", b") Z 0 0"])
def test_a_process_with_an_odd_name_is_still_known(name: bytes) -> None:
    # A script with a long name in Chinese is cut in the middle of a letter by the kernel.
    code = (
        "import ctypes, sys; "
        f"ctypes.CDLL(None).prctl(15, ctypes.create_string_buffer({name!r})); "
        "print('named', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        ticks = host.start_ticks(process.pid)
        assert ticks is not None
        assert host.process_state(process.pid, ticks) == "alive"
        assert host.parent_pid(process.pid) == os.getpid()
        process.kill()


def test_all_processes_below_one_are_found_even_in_sessions_of_their_own() -> None:
    script = "setsid sleep 600 & sleep 600 & echo ready; wait"
    with subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        below = host.descendants(shell.pid)
        assert len(below) == 2
        assert shell.pid in host.descendants(os.getpid())
        for pid in below:
            os.kill(pid, signal.SIGKILL)
        shell.wait(120)


def test_the_holders_of_a_lock_are_found_by_pid(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with subprocess.Popen(["sleep", "600"], pass_fds=(descriptor,)) as holder:
        os.close(descriptor)
        wait_until(lambda: host.lock_holders(path) == [holder.pid])
        holder.kill()
        holder.wait()
    assert host.lock_holders(path) == []
    assert host.lock_holders(tmp_path / "none") == []


def test_the_facts_of_this_machine_are_there_and_stable() -> None:
    assert host.host_name()
    assert host.boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert host.pid_namespace() == os.readlink("/proc/self/ns/pid")


def test_our_own_ticks_agree_with_the_clock() -> None:
    ticks = host.start_ticks(os.getpid())
    assert ticks is not None
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert 0 <= uptime - ticks / os.sysconf("SC_CLK_TCK") < 3 * 86400


_LEADERLESS = """
import ctypes, sys, threading, time
threading.Thread(target=lambda: time.sleep(float(sys.argv[1]))).start()
print("up", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_process_whose_main_thread_has_ended_lives_while_other_threads_do() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", _LEADERLESS, "600"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        wait_until(lambda: "Z" in Path(f"/proc/{process.pid}/stat").read_text("latin-1").rpartition(")")[2])
        assert host.process_state(process.pid, host.start_ticks(process.pid)) == "alive"
        process.kill()
        wait_until(lambda: host.process_state(process.pid, None) == "zombie", what="nobody has reaped it yet")
    assert host.process_state(process.pid, None) == "gone"


def test_without_proc_a_library_tells_living_processes_from_zombies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(host, "_PROC", tmp_path)
    assert not host.has_proc()
    with subprocess.Popen(["sleep", "600"]) as process:
        ticks = host.start_ticks(process.pid)
        assert host.process_state(process.pid, ticks) == "alive"
        assert host.process_state(process.pid, (ticks or 0) - 100) == "gone", "somebody else with its pid"
        process.kill()
        wait_until(lambda: host.process_state(process.pid, ticks) == "zombie")
    assert host.process_state(process.pid, ticks) == "gone"
    assert host.lock_holders(tmp_path / "a.lock") == []
