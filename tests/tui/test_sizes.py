"""Any size, any keys: nothing crashes, and every screen can be drawn."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from textual.pilot import Pilot

from engine.launch import actions
from tests.tui.driving import drive, table, until
from tests.tui.made import make_run
from tui import tool_runs
from tui.actions import ACTIONS
from tui.heats_app import HeatsApp

SIZES = [(40, 10), (80, 24), (160, 45), (200, 60)]
HARMLESS = sorted({key for action in ACTIONS for key in action.keys} - {"q", "ctrl+q", "ctrl+c", "n"})
"""All keys but those that close the app, and the one that opens the form, where keys are text."""


@pytest.fixture
def root(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for number in range(5):
        states = ("running", "failed", "finished", "stopped", "lost")
        make_run(store_root, f"run-{number}", state=states[number], steps=(0, 1, 60, 60, 30)[number])
    for name in ("launch", "resume", "stop"):
        monkeypatch.setattr(actions, name, lambda *args, **options: None)
    for name in ("evaluate", "verify"):
        monkeypatch.setattr(tool_runs, name, lambda *args: "done")
    folder = store_root.parent / "here"  # what somebody writes to a file goes to the working folder
    folder.mkdir()
    monkeypatch.chdir(folder)
    return store_root


@pytest.mark.parametrize("size", SIZES)
def test_every_screen_at_every_size(root: Path, size: tuple[int, int]) -> None:
    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        assert len(table(app).rows) == 5
        for key in ("j", "question_mark", "escape", "enter", *"2345671", "escape", "s"):
            await pilot.press(key)
            await pilot.pause()
            assert app.export_screenshot()
        await pilot.press("escape")
        for other in (*SIZES, (1, 1), (20, 4), size):
            await pilot.resize_terminal(*other)
            await pilot.pause()
        await pilot.press("n")
        await pilot.pause()
        assert app.export_screenshot()

    drive(root, body, size=size)


@pytest.mark.parametrize(("seed", "size"), [(1, (40, 10)), (2, (80, 24)), (3, (130, 40))])
def test_a_hundred_random_keys(root: Path, seed: int, size: tuple[int, int]) -> None:
    chance = random.Random(seed)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: table(app).selected is not None)
        for _ in range(100):
            await pilot.press(chance.choice(HARMLESS))
            if chance.random() < 0.1:
                await pilot.press("escape")
        assert app.is_running

    drive(root, body, size=size)


def test_ascii_only(root: Path) -> None:
    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.tracker.view is not None)
        await pilot.pause(0.2)
        for key in ("", "enter", *"234567"):
            await pilot.press(*([key] if key else []))
            await pilot.pause(0.2)
            lines = [strip.text for strip in app.screen._compositor.render_strips()]
            signs = {sign for line in lines for sign in line if not sign.isascii()}
            assert not signs, key

    drive(root, body, ascii_only=True, low_bandwidth=True)
