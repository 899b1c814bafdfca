"""Facts about this machine and its processes that survive clock changes and pid reuse."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Literal

ProcessState = Literal["alive", "zombie", "gone"]
_PROC = Path("/proc")


@cache
def host_name() -> str:
    """This machine's name."""
    return os.uname().nodename


@cache
def boot_id() -> str | None:
    """Identifies this boot of this machine; None where the system has no such thing."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


@cache
def pid_namespace() -> str | None:
    """Identifies the namespace in which this process's pids mean something (containers have their own)."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def has_proc() -> bool:
    """Whether processes can be identified by start ticks; without it evidence is weaker (macOS)."""
    return (_PROC / "self/stat").exists()


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is no such process.

    Field 22 of /proc/PID/stat. psutil's create_time follows changes of the clock, so it can't identify a process;
    where there is no /proc it stands in, rounded to two seconds.
    """
    fields = _stat_fields(pid)
    if fields is not None:
        return int(fields[19])
    if has_proc():
        return None
    import psutil

    try:
        return round(psutil.Process(pid).create_time() / 2)
    except psutil.Error:
        return None


def process_state(pid: int, ticks: int | None) -> ProcessState:
    """Whether the process that had this pid and these start ticks is alive, a zombie, or gone.

    A process whose main thread has ended while others still run counts as alive: its entry looks like a zombie's
    (right after a SIGKILL of a trainer with many threads, say), but it still holds memory, files and locks.
    """
    found = start_ticks(pid)
    if found is None or (ticks is not None and abs(found - ticks) > (0 if has_proc() else 1)):
        return "gone"
    fields = _stat_fields(pid)
    if fields is None:  # it has ended just now, or there is no /proc
        return "gone" if has_proc() else _state_without_proc(pid)
    return "alive" if fields[0] not in ("Z", "X") or int(fields[17]) > 1 else "zombie"


def _state_without_proc(pid: int) -> ProcessState:
    import psutil

    try:
        return "zombie" if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE else "alive"
    except psutil.Error:
        return "gone"


def parent_pid(pid: int) -> int | None:
    """The parent's pid, or None when the process is gone."""
    fields = _stat_fields(pid)
    return int(fields[1]) if fields is not None else None


def descendants(pid: int) -> list[int]:
    """The pids of all processes below one, deepest last. Empty where there is no /proc."""
    below = children()
    found: list[int] = []
    waiting = [pid]
    while waiting:
        next_ones = below.get(waiting.pop(0), [])
        found += next_ones
        waiting += next_ones
    return found


def children() -> dict[int, list[int]]:
    """The pids of every process's children, by its own. Empty where there is no /proc."""
    found: dict[int, list[int]] = {}
    try:
        names = os.listdir(_PROC)
    except OSError:
        return {}
    for name in names:
        if name.isdigit():
            parent = parent_pid(int(name))
            if parent is not None:
                found.setdefault(parent, []).append(int(name))
    return found


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal: one that is just starting would die of it."""
    try:
        text = (_PROC / str(pid) / "status").read_text("latin-1")
        mask = next(line.split()[1] for line in text.splitlines() if line.startswith("SigCgt:"))
        return bool(int(mask, 16) >> (number - 1) & 1)
    except (OSError, StopIteration, IndexError, ValueError):
        return False


def lock_holders(path: Path) -> list[int]:
    """The pids of this user's processes that have a file open, or had it open when it was deleted.

    Empty where there is no /proc.
    """
    deleted = f"{path} (deleted)"
    try:
        wanted = os.stat(path)
    except FileNotFoundError:
        wanted = None  # a cleaner of old temporary files took it; who has it open still holds it
    except (OSError, ValueError):
        return []
    try:
        names = os.listdir(_PROC)
    except OSError:
        return []
    return [int(name) for name in names if name.isdigit() and _has_open(_PROC / name / "fd", wanted, deleted)]


def _has_open(descriptors: Path, wanted: os.stat_result | None, deleted: str) -> bool:
    try:
        numbers = os.listdir(descriptors)
    except OSError:  # it has ended, or is somebody else's
        return False
    for number in numbers:
        try:
            if wanted is not None:
                found = os.stat(descriptors / number)
                if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                    return True
            if os.readlink(descriptors / number) == deleted:
                return True
        except OSError:
            continue
    return False


def _stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third (state) on; the second may hold spaces and brackets."""
    try:
        # A name is cut to 15 bytes, wherever that is within a letter, so this may be no UTF-8.
        content = (_PROC / str(pid) / "stat").read_text("latin-1")
    except OSError:
        return None
    return content[content.rfind(")") + 2 :].split()
