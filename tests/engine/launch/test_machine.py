"""The machine at a glance: real processes in trees, GPUs through a driver of straw, and lines that the reader reads."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from engine.launch.gpus import Gpus
from engine.launch.machine import MachineWatch
from engine.launch.processes import ProcessReader, totals
from engine.launch.queue import orders_after_move
from engine.launch.system import HostFigures, SystemRecorder
from engine.store import host
from engine.store.paths import RunPaths, open_store
from engine.store.records import LaunchRecord, read_launch, write_launch
from engine.store.status import State
from engine.store.summary import summarize
from engine.store.system import SystemHistory, figure
from tests.support import wait_until
from tests.tui.made import make_run

PROGRAM = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"])
time.sleep(600)
"""


@pytest.fixture
def trainer() -> Iterator[subprocess.Popen[str]]:
    """A process with one below it."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    pids = [*host.descendants(process.pid), process.pid]
    yield process
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
    process.wait()


class _Card:
    """One GPU of the driver of straw."""


class _Refused(Exception):
    pass


def straw_driver(held_by: int, *, power: bool = True) -> ModuleType:
    """What nvidia-ml-py looks like on a machine with one GPU."""

    def no_power(_: Any) -> int:
        raise _Refused("Not Supported")

    module: Any = ModuleType("pynvml")
    module.NVML_TEMPERATURE_GPU = 0
    module.nvmlInit = lambda: None
    module.nvmlDeviceGetCount = lambda: 1
    module.nvmlDeviceGetHandleByIndex = lambda index: _Card()
    module.nvmlDeviceGetUUID = lambda card: "GPU-1"
    module.nvmlDeviceGetName = lambda card: b"Straw 1"
    module.nvmlDeviceGetUtilizationRates = lambda card: SimpleNamespace(gpu=87)
    module.nvmlDeviceGetMemoryInfo = lambda card: SimpleNamespace(used=1 << 30, total=4 << 30)
    module.nvmlDeviceGetTemperature = lambda card, kind: 61
    module.nvmlDeviceGetPowerUsage = (lambda card: 120_500) if power else no_power
    module.nvmlDeviceGetEnforcedPowerLimit = lambda card: 300_000
    module.nvmlDeviceGetComputeRunningProcesses = lambda card: [SimpleNamespace(pid=held_by, usedGpuMemory=1 << 29)]
    module.nvmlDeviceGetGraphicsRunningProcesses = lambda card: [SimpleNamespace(pid=os.getpid(), usedGpuMemory=None)]
    return module  # type: ignore[no-any-return]


def record_of(pid: int) -> LaunchRecord:
    return LaunchRecord(
        attempt=1, created=0.0, host=host.host_name(), boot_id=host.boot_id(), pid_namespace=host.pid_namespace(),
        trainer_pid=pid, trainer_ticks=host.start_ticks(pid), started=0.0,
    )  # fmt: skip


def test_a_runs_processes_are_a_tree(trainer: subprocess.Popen[str]) -> None:
    reader = ProcessReader()
    record = record_of(trainer.pid)
    found = reader.tree("r", record)
    assert [(process.role, process.depth) for process in found] == [("trainer", 0), ("worker", 1)]
    assert found[0].cpu_percent is None, "its share shows only between two looks"
    assert reader.tree("r", record)[0].cpu_percent is not None
    assert totals(found)["run_memory"] == sum(process.memory for process in found) > 1_000_000
    assert reader.tree("r", replace(record, trainer_ticks=1)) == [], "another process has its pid now"
    assert reader.tree("r", replace(record, host="elsewhere")) == []
    left = reader.tree("r", replace(record, trainer_pid=None), [found[1].pid])
    assert [process.role for process in left] == ["left behind"]


def test_what_is_recorded_is_what_the_reader_knows(
    trainer: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", straw_driver(trainer.pid))
    run = RunPaths(tmp_path / "20260101-000000_multiplication-s_0000")
    run.attempt(1).folder.mkdir(parents=True)
    recorder = SystemRecorder(run.attempt(1).system, trainer.pid)
    recorder.record()
    recorder.record()
    history = SystemHistory(run)
    history.refresh()
    now = history.latest()
    assert (now["gpu0_percent"], now["gpu0_power"], now["gpu0_temperature"]) == (87, 120.5, 61)
    assert now["gpu0_run_memory"] == 1 << 29
    assert now["run_processes"] == 2
    assert now["run_memory"] > now["trainer_memory"] > 0
    assert 0 < now["memory_used"] <= now["memory_total"]
    assert now["disk_free"] <= now["disk_total"]
    assert {name for name in now if figure(name).group == "Other"} == set(), "every name has a meaning"
    os.kill(trainer.pid, 9)
    trainer.wait()
    recorder.record()  # between the trainer's end and the supervisor's notice the machine's figures go on
    history.refresh()
    assert "run_processes" not in history.latest()
    recorder.close()


def test_a_figure_that_a_card_does_not_have_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", straw_driver(1, power=False))
    (gpu,) = Gpus().read()
    assert (gpu.name, gpu.power, gpu.percent) == ("Straw 1", None, 87)
    assert "gpu0_power" not in gpu.figures()


def test_the_share_of_the_cores_is_the_same_from_any_thread(tmp_path: Path) -> None:
    figures, found = HostFigures(tmp_path), []
    assert "cpu_percent" not in figures.read(), "of a moment nothing can be said"
    end = time.process_time() + 0.6
    while time.process_time() < end:
        pass
    thread = threading.Thread(target=lambda: found.append(figures.read()))
    thread.start()
    thread.join()
    assert 1.0 < found[0]["cpu_percent"] <= 100.0, "a thread that looks for the first time knows what others saw"


def test_no_driver_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = straw_driver(1)

    class NVMLError_LibraryNotFound(Exception):
        pass

    def no_driver() -> None:
        raise NVMLError_LibraryNotFound

    broken.nvmlInit = no_driver  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pynvml", broken)
    assert (Gpus().read(), Gpus().problem) == ([], "no GPU: there is no NVIDIA driver")
    monkeypatch.setitem(sys.modules, "pynvml", None)  # as if it weren't installed
    assert "nvidia-ml-py" in str(Gpus().problem)


def test_the_machine_knows_its_runs_and_the_strangers(
    trainer: subprocess.Popen[str], store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = subprocess.Popen(["sleep", "600"])
    monkeypatch.setitem(sys.modules, "pynvml", straw_driver(stranger.pid))
    run = make_run(store_root, state="running")
    make_run(store_root, state="finished")
    attempt = run.attempts()[-1]
    record = read_launch(attempt.launch)
    assert record is not None
    ticks = host.start_ticks(trainer.pid)
    write_launch(attempt, replace(record, supervisor_pid=None, trainer_pid=trainer.pid, trainer_ticks=ticks))
    store = open_store(store_root)
    runs = [found for found in (summarize(store.run(name)) for name in store.run_ids()) if found]
    assert [found.status for found in runs].count(State.RUNNING) == 1
    try:
        watch = MachineWatch(store)
        view = watch.look(runs)
        assert [(process.run, process.role) for process in view.processes] == [(run.id, "trainer"), (run.id, "worker")]
        by_pid = {process.pid: process for process in view.foreign}
        assert by_pid[stranger.pid].gpu_memory == 1 << 29
        assert "sleep 600" in by_pid[stranger.pid].command
    finally:
        stranger.kill()
        stranger.wait()
    assert wait_until(lambda: {process.pid for process in watch.look(runs).foreign} >= {stranger.pid})
    assert watch.look([]).figures["memory_total"] > 0


@pytest.mark.parametrize(
    ("run", "place", "expected"),
    [
        ("c", 0, ["c", "a", "b", "d"]), ("a", 9, ["b", "c", "d", "a"]), ("a", 1, ["b", "a", "c", "d"]),
        ("d", 2, ["a", "b", "d", "c"]), ("b", 1, ["a", "b", "c", "d"]), ("d", -3, ["d", "a", "b", "c"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("orders", [(1.0, 2.0, 3.0, 4.0), (5.0, 5.0, 5.0, 5.0)])
def test_a_run_moves_to_its_place(run: str, place: int, expected: list[str], orders: tuple[float, ...]) -> None:
    waiting = list(zip("abcd", orders, strict=True))
    after = dict(waiting) | orders_after_move(waiting, run, place)
    assert sorted(after, key=lambda name: (after[name], name)) == expected


def test_the_only_one_stays() -> None:
    assert orders_after_move([("a", 1.0)], "a", 1) == {}
