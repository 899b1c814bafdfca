"""Draw the pictures of the README anew: `python docs/make_pictures.py RUNS`, where RUNS is a store with live runs.

Run it beside the `experiments` folder that the store's study comes from, with a relative path to the store: both are
on the pictures. Nothing in the store is changed.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from textual.pilot import Pilot

from tui.heats_app import HeatsApp

PICTURES = Path(__file__).parent / "pictures"
PATIENCE_SECONDS = 240.0
Script = Callable[[HeatsApp, Pilot[None]], Awaitable[None]]


async def until(pilot: Pilot[None], check: Callable[[], object], what: str) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it never came to be so.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        await pilot.pause(0.1)
    await pilot.pause(0.5)


def text(app: HeatsApp) -> str:
    """All that is on the screen."""
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in lines)


async def go_to(app: HeatsApp, pilot: Pilot[None], words: Sequence[str]) -> None:
    """Put the cursor of the runs on the newest run whose row holds one of these words."""
    from tui.screens.runs import RunsScreen

    screen = app.screen
    assert isinstance(screen, RunsScreen)
    for run in screen.table.rows:
        if any(word in f"{run.status} {run.name}" for word in words):
            screen.select(run.id)
            break
    await pilot.pause(1.0)


async def runs(app: HeatsApp, pilot: Pilot[None]) -> None:
    """The runs, one that trains selected."""
    await go_to(app, pilot, ("running",))
    await until(pilot, lambda: "━ train" in text(app) and " step " in text(app), "the selected run's curve")


async def charts(app: HeatsApp, pilot: Pilot[None]) -> None:
    """All charts of a run."""
    await go_to(app, pilot, ("finished simple-16", "running"))
    await pilot.press("enter")
    await until(pilot, lambda: "chart 1 of" in text(app) and " INFO " in text(app), "the charts")


async def compare(app: HeatsApp, pilot: Pilot[None]) -> None:
    """Two runs side by side."""
    await go_to(app, pilot, ("running",))
    await pilot.press("space", "space", "d")
    await until(pilot, lambda: "they part at" in text(app), "where they part")


async def overlay(app: HeatsApp, pilot: Pilot[None]) -> None:
    """The curves of four runs in one chart."""
    await go_to(app, pilot, ("running",))
    await pilot.press("space", "space", "space", "space", "z")
    await until(pilot, lambda: "4 runs" in text(app) and "logged" in text(app), "the curves")
    await pilot.press("right_square_bracket", "right_square_bracket")
    await pilot.pause(1.0)


async def study(app: HeatsApp, pilot: Pilot[None]) -> None:
    """A study's matrix and its verdict so far."""
    await pilot.press("2")
    await until(pilot, lambda: "finished" in text(app), "the studies")
    await pilot.press("j" if "missing" in text(app).splitlines()[2] else "g", "enter")
    await until(pilot, lambda: "difference" in text(app), "the verdict")


async def checkpoints(app: HeatsApp, pilot: Pilot[None]) -> None:
    """Checkpoints of six marked runs, every byte of them read."""
    await go_to(app, pilot, ("finished",))
    await pilot.press(*(6 * ["space"]), "3")
    while app.state.checkpoint_scope != "marked":
        await pilot.press("b")
        await pilot.pause(0.5)
    await until(pilot, lambda: "sizes fit" in text(app) and "looking" not in text(app), "the checkpoints")
    await pilot.press("X")
    await until(pilot, lambda: "hashes fit" in text(app) and "sizes fit" not in text(app), "the hashes")
    await pilot.pause(6.0)  # until the note about it has gone


async def machine(app: HeatsApp, pilot: Pilot[None]) -> None:
    """What the machine is doing."""
    await pilot.press("4")
    await until(pilot, lambda: "trainer" in text(app), "the processes")
    await pilot.pause(12.0)  # a history to look at


PARTS: dict[str, tuple[Script, tuple[int, int]]] = {
    "runs": (runs, (120, 32)),
    "charts": (charts, (120, 32)),
    "overlay": (overlay, (120, 32)),
    "compare": (compare, (100, 30)),
    "study": (study, (120, 20)),
    "checkpoints": (checkpoints, (110, 28)),
    "machine": (machine, (86, 20)),
}


async def draw(root: Path, name: str) -> None:
    """Draw one picture."""
    script, size = PARTS[name]
    app = HeatsApp(root, theme="dark")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.tracker.runs and "reading the store" not in text(app), "the list of runs")
        await script(app, pilot)
        picture = app.export_screenshot(title=f"heats: {name}")
    # A picture asks nobody for a font: it takes the reader's own.
    picture = re.sub(r"@font-face\s*\{.*?\}", "", picture, flags=re.DOTALL).replace("Fira Code", "Menlo, Consolas")
    (PICTURES / f"{name}.svg").write_text("\n".join(line.rstrip() for line in picture.splitlines()) + "\n")


def main() -> None:
    """Draw those that are named, or all."""
    root, names = Path(sys.argv[1]), sys.argv[2:] or list(PARTS)
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            os.environ["XDG_STATE_HOME"] = f"{folder}/{name}"  # as somebody sees it who never was here
            asyncio.run(draw(root, name))
            print(PICTURES / f"{name}.svg")


if __name__ == "__main__":
    main()
