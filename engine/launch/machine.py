"""This machine at a glance: its figures, its GPUs, every process of every live run, and strangers on the GPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.launch.gpus import Gpu, Gpus
from engine.launch.processes import Process, ProcessReader
from engine.launch.system import HostFigures
from engine.store import host
from engine.store.evidence import leftovers
from engine.store.paths import Store
from engine.store.records import read_launch
from engine.store.status import State
from engine.store.summary import RunSummary


@dataclass(frozen=True)
class MachineView:
    """What was seen. `figures` under the names of system.jsonl; `processes` in trees, a run after the other."""

    figures: dict[str, float]
    gpus: tuple[Gpu, ...]
    gpu_problem: str | None
    processes: tuple[Process, ...]
    foreign: tuple[Process, ...]
    """Processes on the GPUs that belong to no live run of this store."""


class MachineWatch:
    """Looks at the machine again and again; rates show from the second look on. For one thread at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._host = HostFigures(store.root)
        self._gpus = Gpus()
        self._processes = ProcessReader()

    def look(self, runs: Sequence[RunSummary]) -> MachineView:
        """See how all is now.

        Args:
            runs: the runs of the store; of those that have ended only ones that left processes behind matter.
        """
        gpus = self._gpus.read()
        held: dict[int, int] = {}
        for gpu in gpus:
            for pid, memory in gpu.processes:
                held[pid] = held.get(pid, 0) + (memory or 0)
        own: list[Process] = []
        mine = [run for run in runs if run.status.is_live or _left_some(run)]
        children = host.children() if mine else {}
        for run in mine:
            own += self._of_run(run, children)
        known = {process.pid for process in own}
        foreign = [self._processes.read(pid, "foreign") or _unseen(pid) for pid in held if pid not in known]
        self._processes.forget_all_but(known | set(held))
        return MachineView(
            figures=self._host.read(),
            gpus=tuple(gpus),
            gpu_problem=self._gpus.problem,
            processes=tuple(replace(process, gpu_memory=held.get(process.pid)) for process in own),
            foreign=tuple(replace(process, gpu_memory=held[process.pid]) for process in foreign),
        )

    def _of_run(self, run: RunSummary, children: Mapping[int, Sequence[int]]) -> list[Process]:
        attempts = self._store.run(run.id).attempts()
        launch = read_launch(attempts[-1].launch) if attempts else None
        if launch is None:
            return []
        return self._processes.tree(run.id, launch, leftovers(launch) if _left_some(run) else (), children)


def _left_some(run: RunSummary) -> bool:
    return run.status is State.LOST and "processes of it are left" in run.reason


def _unseen(pid: int) -> Process:
    """A process that NVML tells of and that can't be seen from here: another user's, or another container's."""
    return Process(pid, "foreign", 0, "(can't be seen from here)", "?", None, 0, 0.0)
