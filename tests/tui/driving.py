"""Driving the app in tests: by keys and by state, never by pictures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from tui.heats_app import HeatsApp
from tui.screens.runs import RunsScreen
from tui.widgets.run_table import RunTable

Body = Callable[[HeatsApp, Pilot[None]], Awaitable[None]]


def drive(root: Path, body: Body, *, size: tuple[int, int] = (160, 45), **options: Any) -> HeatsApp:
    """Open the app on a store, wait for its first list, and do what the body says."""

    async def run() -> HeatsApp:
        app = HeatsApp(root, **options)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: _shows_its_list(app))
            await body(app, pilot)
        return app

    return asyncio.run(run())


def _shows_its_list(app: HeatsApp) -> bool:
    """Whether the first list has come and reached the table, which takes it a message later."""
    runs = app.tracker.runs
    return runs is not None and (not runs or bool(table(app).rows) or bool(app.state.filter))


async def until(pilot: Pilot[None], check: Callable[[], Any], seconds: float = 150.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it never came to be so"
        await pilot.pause(0.02)


def home(app: HeatsApp) -> RunsScreen:
    """The screen of runs."""
    found = next(screen for screen in app.screen_stack if isinstance(screen, RunsScreen))
    assert isinstance(found, RunsScreen)
    return found


def table(app: HeatsApp) -> RunTable:
    """The table of runs."""
    return home(app).query_one(RunTable)


def selected(app: HeatsApp) -> str | None:
    """The id of the selected run."""
    run = table(app).selected
    return run.id if run else None


def told(app: HeatsApp) -> str:
    """All that the app says in its notes now."""
    return "\n".join(str(note.message) for note in app._notifications)
