"""The processes of one attempt, found by their command lines alone: what heats itself says of them is on trial here."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.store.host import start_ticks
from engine.store.paths import AttemptPaths, RunPaths
from engine.store.records import read_launch

Role = Literal["supervisor", "trainer"]


@dataclass
class Process:
    """A process that can't be mistaken for another with its pid: the descriptor stands for this very one."""

    pid: int
    ticks: int | None
    descriptor: int
    role: Role
    killed: bool = False

    @property
    def alive(self) -> bool:
        """Whether any thread of it is left."""
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        return not poll.poll(0)


class Cast:
    """Supervisor and trainer of an attempt, as they come and go."""

    def __init__(self, run: RunPaths, attempt: AttemptPaths) -> None:
        self.run = run
        self.attempt = attempt
        self.known: dict[int, Process] = {}

    def refresh(self) -> None:
        """Find who has come. A child that has yet to become the trainer still has its parent's command line."""
        for name in os.listdir("/proc"):
            if name.isdigit():
                role = self._role(int(name))
                if role is not None:
                    self._take(int(name), role)

    def _role(self, pid: int) -> Role | None:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return None
        if b"engine.launch.supervisor" in words and os.fsencode(self.attempt.folder) in words:
            return "supervisor"
        if b"engine.train" in words and os.fsencode(self.run.folder) in words:
            return "trainer" if str(self.attempt.number).encode() in words else None
        return None

    def _take(self, pid: int, role: Role) -> None:
        known = self.known.get(pid)
        if known is not None and known.alive:
            known.role = role
            return
        with contextlib.suppress(OSError):  # it has gone meanwhile
            descriptor = os.pidfd_open(pid)
            found = Process(pid, start_ticks(pid), descriptor, role)
            if self._role(pid) == role:  # still the same after the descriptor was taken: it stands for that process
                self.known[pid] = found
            else:
                os.close(descriptor)

    def living(self, role: Role) -> list[Process]:
        """Those of a role of whom any thread is left."""
        return [process for process in self.known.values() if process.role == role and process.alive]

    def kill(self, role: Role) -> int:
        """SIGKILL to those of a role; how many. Once launch.json names one of them, only to that one."""
        launch = read_launch(self.attempt.launch)
        pid, ticks = None, None
        if launch is not None:
            supervising = role == "supervisor"
            pid = launch.supervisor_pid if supervising else launch.trainer_pid
            ticks = launch.supervisor_ticks if supervising else launch.trainer_ticks
        count = 0
        for process in self.living(role):
            if pid is not None and (process.pid, process.ticks) != (pid, ticks):
                continue
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(process.descriptor, signal.SIGKILL)
                process.killed = True
                count += 1
        return count

    def end(self) -> None:
        """End whoever is left, and let go of all."""
        self.refresh()
        for process in self.known.values():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(process.descriptor, signal.SIGKILL)
            os.close(process.descriptor)
        self.known.clear()
