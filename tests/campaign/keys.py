"""`python -m tests.campaign.keys [--keys N] [--seed S] [--width W] [--height H]`: random keys, and nothing may crash.

The app on a throw-away store of every kind of run, a study and checkpoints; half of the keys are those of the screen
that is shown, now and then the window changes its size, something is pasted or the mouse is clicked. Everything is real
but that no attempt is started: a launch ends when its process would begin. Prints what broke, the keys before it, and a
line of JSON; exit code 1 if anything did.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from textual import events
from textual.pilot import OutOfBounds, Pilot, WaitForScreenTimeout

from engine.launch import actions, queue, starting
from engine.store import host
from engine.store.paths import AttemptPaths, create_store, open_store
from engine.store.queue import enqueue
from engine.store.records import LaunchRecord, read_launch, write_launch
from engine.study.expand import expand
from tests.engine.study.made import make_runs, make_study
from tests.tui.driving import drive, until
from tests.tui.made import add_steps, make_checkpoint, make_run
from tui import tool_runs
from tui.actions import ACTIONS, actions_of
from tui.heats_app import HeatsApp

LEAVING = {"q", "ctrl+q", "ctrl+c"}
EVERY = sorted({key for action in ACTIONS for key in action.keys} - LEAVING)
ANSWERS = ("y", "n", "x", "s", "enter", "escape", "j", "k", "a", "0", "5", "tab", "space", "backspace")
PASTES = ("nqsry\r5K", "train.max_steps=3", "\x1b[31mred [b]bold[/b]", "ü" * 200, "")
STATES = ("running", "failed", "finished", "stopped", "lost")
SIZES = ((40, 10), (80, 24), (160, 45), (200, 60), (20, 5), (1, 1))
_LAST = 60
_PATIENT = 8


@dataclass
class Findings:
    """What came of it."""

    pressed: list[str] = field(default_factory=list)
    screens: Counter[str] = field(default_factory=Counter)
    """Keys pressed on each screen."""
    broken: list[str] = field(default_factory=list)
    """What the app said went wrong in one of its threads, or what ended it."""


def make_store(root: Path) -> None:
    """Runs in every state, queued ones, checkpoints, and a study with some of its runs; the working folder has it."""
    for number, state in enumerate(STATES):
        run = make_run(
            root, f"run-{number}", state=state, steps=(30, 1, 60, 60, 0)[number], tags=("odd",) * (number % 2)
        )
        for step in range(20, 20 * number, 20):
            make_checkpoint(run, step)
    store = create_store(root)
    study = make_study(Path("experiments"), "made", presets={"smoke": {"seeds": [0]}})
    cells = expand(study)
    for run in make_runs(store, study, lambda cell: 0.1 * cell.seed, cells=cells[:4]):
        for step in (20, 40):
            make_checkpoint(run, step)
    make_runs(store, study, lambda cell: 0.1, cells=cells[4:5], end="failed", steps=3)
    broken = make_run(root, "[b]br\x1b[31moken", state="failed", log="\x1b[31mx[/b]\n" * 50)
    broken.record.write_text("{")
    waiting = make_run(root, "waits", state="stopped", steps=3)
    enqueue(waiting)


def _no_start(attempt: AttemptPaths, record: LaunchRecord, lock_descriptor: int) -> None:
    write_launch(attempt, replace(record, started=time.time()))


@contextlib.contextmanager
def nothing_trains() -> Iterator[None]:
    """No attempt gets processes, and tools that need torch are left out."""
    with contextlib.ExitStack() as stack:
        for module in (starting, actions):
            stack.enter_context(mock.patch.object(module, "start", _no_start))
        stack.enter_context(mock.patch.object(queue, "spawn_advance"))
        for name in ("evaluate", "verify"):
            stack.enter_context(mock.patch.object(tool_runs, name, return_value="done"))
        yield


@contextlib.contextmanager
def living(root: Path) -> Iterator[None]:
    """The runs that were made as running are a process that sleeps: they may be ended."""
    child = subprocess.Popen(["sleep", "7200"])
    try:
        store = open_store(root)
        for run in map(store.run, store.run_ids()):
            launch = read_launch(run.attempts()[-1].launch)
            if launch is not None and launch.trainer_pid == os.getpid():
                ticks = host.start_ticks(child.pid)
                mine = replace(launch, trainer_pid=child.pid, trainer_ticks=ticks, supervisor_pid=None)
                write_launch(run.attempts()[-1], mine)
        yield
    finally:
        child.kill()
        child.wait()


def draw(chance: random.Random, app: HeatsApp) -> str:
    """The next key: one of the screen's own as often as any."""
    where = getattr(app.screen, "WHERE", "")
    drawn = chance.random()
    if drawn < 0.08:
        return "escape"
    if not where and drawn < 0.6:
        return chance.choice(ANSWERS)
    if drawn < 0.6:
        return chance.choice([key for act in actions_of(where) for key in act.keys if key not in LEAVING] or EVERY)
    return chance.choice(EVERY)


async def press_one(pilot: Pilot[None], key: str) -> None:
    """Press a key; a machine that is crowded may need longer to answer than Pilot waits, one that hangs never does."""
    try:
        await pilot.press(key)
    except WaitForScreenTimeout:
        for _ in range(_PATIENT):
            with contextlib.suppress(WaitForScreenTimeout):
                await pilot.pause()
                return
        raise


async def press_keys(app: HeatsApp, pilot: Pilot[None], chance: random.Random, count: int, found: Findings) -> None:
    """Press so many keys."""
    live = next((run.id for run in app.tracker.runs or () if run.status.is_live), None)
    for number in range(count):
        if number % 200 == 0:
            print(f"{number} of {count} keys", file=sys.stderr, flush=True)
        name = getattr(app.screen, "WHERE", "") or type(app.screen).__name__
        found.screens[name] += 1
        other = chance.random()
        if other < 0.02:
            size = chance.choice(SIZES)
            found.pressed.append(f"<{size[0]}x{size[1]}>")
            await pilot.resize_terminal(*size)
        elif other < 0.04:
            x, y = chance.randrange(app.size.width), chance.randrange(app.size.height)
            found.pressed.append(f"<click {x},{y} on {name}>")
            with contextlib.suppress(OutOfBounds):
                await pilot.click(offset=(x, y))
        elif other < 0.05:
            text = chance.choice(PASTES)
            found.pressed.append(f"<paste {text!r}>")
            app.post_message(events.Paste(text))
        key = draw(chance, app)
        found.pressed.append(f"{key}@{name}")
        await press_one(pilot, key)
        if live is not None and number % 40 == 0:
            with contextlib.suppress(OSError, IndexError):  # it may be in the trash by now
                add_steps(app.tracker.run_paths(live), 31 + number, 32 + number)
        if not app.is_running or app._exit:
            raise AssertionError(f"the app left after {found.pressed[-1]}")


def run_keys(root: Path, count: int, seed: int, size: tuple[int, int]) -> Findings:
    """Press keys at random on a new store; what broke."""
    found = Findings()
    chance = random.Random(seed)
    make_store(root)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        tell = app.tell

        def listen(text: str, *, failed: bool = False) -> None:
            if "the part that" in text:
                found.broken.append(f"{text}  (key {len(found.pressed)}: {' '.join(found.pressed[-8:])})")
                print(f"BROKEN {found.broken[-1]}", flush=True)
            tell(text, failed=failed)

        with mock.patch.object(app, "tell", listen):
            await until(pilot, lambda: bool(app.tracker.runs))
            await press_keys(app, pilot, chance, count, found)

    with nothing_trains(), living(root):
        try:
            drive(root, body, size=size)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
                raise
            found.broken.append(f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
            print(f"BROKEN {found.broken[-1]}", flush=True)
    return found


def main() -> int:
    """Press them, and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.keys", description=__doc__)
    parser.add_argument("--keys", type=int, default=2000, help="how many (2000)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30), help="of all draws")
    parser.add_argument("--width", type=int, default=120, help="columns at first (120)")
    parser.add_argument("--height", type=int, default=36, help="rows at first (36)")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix=f"heats-keys-{given.seed}-"))
    names = {"XDG_CACHE_HOME": "cache", "XDG_STATE_HOME": "state", "HEATS_LOCK_DIR": "locks"}
    os.environ |= {name: str(folder / below) for name, below in names.items()}
    (folder / "here").mkdir()
    os.chdir(folder / "here")
    began = time.monotonic()
    found = run_keys(folder / "runs", given.keys, given.seed, (given.width, given.height))
    if found.broken:
        print("the last keys:", " ".join(found.pressed[-_LAST:]))
    report: dict[str, Any] = {
        "campaign": "keys", "seed": given.seed, "keys": sum(found.screens.values()), "broken": len(found.broken),
        "screens": dict(found.screens), "seconds": round(time.monotonic() - began), "folder": str(folder),
    }  # fmt: skip
    print(json.dumps(report), flush=True)
    if not found.broken:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main())
