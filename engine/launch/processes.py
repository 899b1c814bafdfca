"""Processes as people look at them: what they take of the CPU and of memory, and what they are to a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import psutil

from engine.store import host
from engine.store.records import LaunchRecord

Role = Literal["supervisor", "trainer", "worker", "helper", "left behind", "foreign"]


@dataclass(frozen=True)
class Process:
    """One process now. CPU in percent of a core since it was last looked at (None the first time); memory in bytes."""

    pid: int
    role: Role
    depth: int
    command: str
    user: str
    cpu_percent: float | None
    memory: int
    since: float
    run: str | None = None
    gpu_memory: int | None = None


class ProcessReader:
    """Looks at processes again and again, since their share of the CPU shows only between two looks."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}

    def read(self, pid: int, role: Role, depth: int = 0, run: str | None = None) -> Process | None:
        """One process; None when it is gone."""
        try:
            known = self._known.get(pid)
            fresh = known is None or not known.is_running()  # another process may have its pid by now
            process = psutil.Process(pid) if known is None or fresh else known
            self._known[pid] = process
            with process.oneshot():
                share = process.cpu_percent()
                return Process(
                    pid=pid, role=role, depth=depth, command=_command(process), user=_user(process),
                    cpu_percent=None if fresh else share, memory=process.memory_info().rss,
                    since=process.create_time(), run=run,
                )  # fmt: skip
        except (psutil.Error, OSError):
            self._known.pop(pid, None)
            return None

    def tree(
        self,
        run: str,
        launch: LaunchRecord,
        left: Sequence[int] = (),
        children: Mapping[int, Sequence[int]] | None = None,
    ) -> list[Process]:
        """The processes of a run's newest attempt on this machine: the supervisor, and below it the others.

        Args:
            run: its id.
            launch: its record. Pids are believed only together with the start ticks noted there.
            left: pids that still hold the lock although the trainer is gone.
            children: the pids below each process, where they are known already.
        """
        if (launch.host, launch.boot_id, launch.pid_namespace) != (
            host.host_name(), host.boot_id(), host.pid_namespace(),
        ):  # fmt: skip
            return []
        roots: list[tuple[int, Role]] = []
        if _is(launch.supervisor_pid, launch.supervisor_ticks):
            roots.append((launch.supervisor_pid or 0, "supervisor"))
        elif _is(launch.trainer_pid, launch.trainer_ticks):
            roots.append((launch.trainer_pid or 0, "trainer"))
        roots += [(pid, "left behind") for pid in left]
        below = host.children() if children is None else children
        found: dict[int, Process] = {}
        waiting = [(pid, role, 0) for pid, role in reversed(roots)]
        while waiting:
            pid, role, depth = waiting.pop()
            process = self.read(pid, role, depth, run) if pid not in found else None
            if process is None:
                continue
            found[pid] = process
            for child in reversed(below.get(pid, ())):
                waiting.append((child, _role_below(role, child == launch.trainer_pid), depth + 1))
        return list(found.values())

    def forget_all_but(self, pids: set[int]) -> None:
        """Let go of processes that nobody looks at any more."""
        self._known = {pid: process for pid, process in self._known.items() if pid in pids}


def totals(processes: Sequence[Process]) -> Mapping[str, float]:
    """What a run's processes take together, the supervisor and its helpers left out, under the names of system.jsonl.

    Memory is the sum of what each has in memory: pages that several share count several times.
    """
    own = [process for process in processes if process.role in ("trainer", "worker")]
    return {
        "run_cpu_percent": sum(process.cpu_percent or 0.0 for process in own),
        "run_memory": sum(process.memory for process in own),
        "run_processes": len(own),
    }


def _role_below(parent: Role, is_trainer: bool) -> Role:
    if is_trainer:
        return "trainer"
    return "helper" if parent in ("supervisor", "helper") else "worker"


def _is(pid: int | None, ticks: int | None) -> bool:
    return pid is not None and host.process_state(pid, ticks) == "alive"


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()) or process.name()
    except (psutil.Error, OSError):
        return process.name()


def _user(process: psutil.Process) -> str:
    try:
        return process.username()
    except (psutil.Error, OSError, KeyError):
        return "?"
