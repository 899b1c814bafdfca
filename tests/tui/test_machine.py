"""The screen of the queue and the machine, and its plain twin, on a paused queue and a real process."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from engine.launch import actions, queue
from engine.launch.gpus import Gpu
from engine.launch.machine import MachineView
from engine.store import queue as files
from engine.store.paths import RunPaths, open_store
from tests.tui.cli.stores import heats
from tests.tui.driving import drive, told, until
from tests.tui.made import make_run
from tui.heats_app import HeatsApp
from tui.machine import gauge_line, gauges
from tui.screens.confirm import ConfirmScreen
from tui.screens.machine import MachineScreen
from tui.screens.run import RunScreen
from tui.widgets.small_table import SmallTable


@pytest.fixture
def waiting(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> list[RunPaths]:
    """Three runs in a paused queue, and one that is this very process."""
    monkeypatch.setenv("HEATS_SLOTS", "2")
    make_run(store_root, "live", state="running")
    runs = [make_run(store_root, f"run-{number}", state="stopped") for number in range(3)]
    store = open_store(store_root)
    queue.open_queue(store)
    queue.pause(store)
    for number, run in enumerate(runs):
        files.enqueue(run, order=float(number + 1))
    return runs


def waits(root: Path) -> list[str]:
    return [item.run for item in queue.waiting(open_store(root))]


async def go(app: HeatsApp, pilot: Pilot[None]) -> tuple[MachineScreen, SmallTable, SmallTable]:
    await pilot.press("4")
    await until(pilot, lambda: isinstance(app.screen, MachineScreen))
    screen = app.screen
    assert isinstance(screen, MachineScreen)
    tables = screen.query_one("#queue", SmallTable), screen.query_one("#processes", SmallTable)
    await until(pilot, lambda: tables[0].row_count and tables[1].row_count)
    return screen, *tables


def cells(table: SmallTable) -> str:
    return "\n".join(" ".join(str(cell) for cell in row.cells) for row in table._rows)


def test_what_waits_and_whose_processes_there_are(store_root: Path, waiting: list[RunPaths]) -> None:
    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        screen, table, processes = await go(app, pilot)
        assert "the queue is paused: by a person" in cells(table)
        assert "free: cpu0, cpu1" in cells(table)
        assert f"{os.getpid()}" in cells(processes)
        assert "supervisor" in cells(processes)
        title = str(screen.query_one("#title", Static).content)
        assert "3 wait" in title
        assert "paused" in title
        assert "load" in str(screen.query_one("#gauges", Static).content)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MachineScreen))

    drive(store_root, body)


def test_moving_and_taking_out(store_root: Path, waiting: list[RunPaths]) -> None:
    first, second, third = (run.id for run in waiting)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        _, table, _ = await go(app, pilot)
        assert table.selected == f"wait {first}"
        await pilot.press("J")
        await until(pilot, lambda: waits(store_root) == [second, first, third])
        await until(pilot, lambda: table._rows[1].key == f"wait {first}")
        assert table.selected == f"wait {first}", "the cursor goes with the run"
        await pilot.press("K")
        await until(pilot, lambda: waits(store_root) == [first, second, third])
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        question = app.screen
        assert isinstance(question, ConfirmScreen)
        assert "run-0" in question.title_text
        await pilot.press("n", "x", "y")
        await until(pilot, lambda: waits(store_root) == [second, third])
        await pilot.press("s")
        await until(pilot, lambda: "doesn't run yet" in told(app))

    drive(store_root, body)


def test_pausing_and_going_on(store_root: Path, waiting: list[RunPaths], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "advance", lambda store: [])

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        screen, _, _ = await go(app, pilot)
        store = open_store(store_root)
        await pilot.press("p")
        await until(pilot, lambda: not files.read_state(store).paused)
        await until(pilot, lambda: "paused" not in str(screen.query_one("#title", Static).content))
        await pilot.press("p")
        await until(pilot, lambda: files.read_state(store).paused)
        await pilot.press("a")
        await until(pilot, lambda: "3 runs still wait" in told(app))

    drive(store_root, body)


def test_stopping_from_its_process_asks_first(
    store_root: Path, waiting: list[RunPaths], monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[str] = []
    monkeypatch.setattr(actions, "stop", lambda run, *, now: stopped.append(run.id))

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await go(app, pilot)
        await pilot.press("tab", "s")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: len(stopped) == 1)

    drive(store_root, body, size=(40, 10))


def test_it_looks_at_a_store_that_is_not_there_yet(tmp_path: Path) -> None:
    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, MachineScreen))
        await until(pilot, lambda: app.screen.query_one("#queue", SmallTable).row_count)
        assert "nothing waits" in cells(app.screen.query_one("#queue", SmallTable))
        await pilot.press("s", "K", "x", "enter", "tab", "s", "enter")
        assert isinstance(app.screen, MachineScreen)

    drive(tmp_path / "none", body)


def test_the_plain_twin(store_root: Path, waiting: list[RunPaths]) -> None:
    store = open_store(store_root)
    found = json.loads(heats("machine", "--json", store=store).stdout)
    assert found["waiting"] == 3
    assert found["paused"]
    assert [slot["slot"] for slot in found["slots"]] == ["cpu0", "cpu1"]
    assert found["figures"]["memory_total"] > 0
    plain = heats("machine", store=store).stdout
    assert "3 runs wait; the queue is paused: by a person" in plain
    assert "slot cpu1: free" in plain


def test_gauges_say_what_there_is() -> None:
    view = MachineView(
        {"cpu_percent": 50.0, "memory_used": 2**30, "memory_total": 2**32, "disk_free": 2**30, "disk_total": 2**33},
        (Gpu(0, "GPU-1", "Straw", 87.0, 2**30, 2**32, 61.0, 120.0, 300.0),), None, (), (),
    )  # fmt: skip
    texts = {gauge.label: gauge for gauge in gauges(view)}
    assert texts["GPU 0"].text == "87 %, 61 °C, 120 W of 300, Straw"
    assert texts["Disk"].share == 0.875
    line = gauge_line(texts["GPU 0"], [0.0, 0.5, 1.0], 80, ascii_only=True)
    assert line.isascii()
    assert ".=@ 87 %" in line
    assert len(gauge_line(texts["GPU 0"], [1.0], 20, ascii_only=False)) == 20
    none = replace(view, gpus=(), gpu_problem="no GPU: there is no NVIDIA driver")
    assert gauges(none)[-1].text == "no GPU: there is no NVIDIA driver"
