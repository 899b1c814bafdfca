"""Every screen in a real terminal while its window changes: from 40x10 to 200x60 and back, whatever is open."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

from engine.store.paths import create_store
from engine.study.expand import expand
from tests.e2e.terminal import HEATS, Terminal, needs_tmux
from tests.engine.study.made import make_runs, make_study
from tests.support import wait_until
from tests.tui.made import make_checkpoint, make_run

pytestmark = [pytest.mark.e2e, needs_tmux]
SIZES = ((40, 10), (200, 60), (61, 16), (120, 36))
"""From one to the next on each screen; the last is that on which people go on to the next screen."""

WALK: tuple[tuple[tuple[str, ...], str, str], ...] = (
    ((), "made-a", "? Help"),
    (("D",), "Delete", "y "),
    (("Escape", "Enter"), "1 Charts", "? Help"),
    (("z",), "chart 1 of", "? Help"),
    (("Escape", "2"), "hello", "? Help"),
    (("3",), "max_steps", "? Help"),
    (("4",), "2 checkpoints", "? Help"),
    (("5",), "training", "? Help"),
    (("6",), "1 Charts", "? Help"),
    (("7",), "1 Charts", "? Help"),
    (("1", "Escape"), "n New", "? Help"),
    (("A", "d"), "Leave out", "? Help"),
    (("Escape", "2"), "mine", "? Help"),
    (("Enter",), "latent", "? Help"),
    (("Escape", "3"), "Checkpoints of", "? Help"),
    (("4",), "Queue", "? Help"),
    (("5",), "looked at", "? Help"),
    (("1", "T"), "Trash", "? Help"),
    (("Escape", "n"), "Ctrl+g Launch", "Ctrl+g"),
    (("C-p",), "Next theme", ""),
    (("Escape", "Escape", "?"), "Esc closes", "Esc"),
)
"""Keys, what stands on the screen that they lead to, and what stands on it at any size."""


@pytest.fixture
def root(store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    study = make_study(tmp_path / "experiments", "mine")
    make_runs(create_store(store_root), study, lambda cell: 0.5, cells=expand(study)[:3])
    run = make_run(store_root, "made-a", state="stopped")
    for step in (20, 40):
        make_checkpoint(run, step)
    return store_root


def fits(screen: str, height: int, sign: str) -> bool:
    """Whether a screen is drawn for its size: what stands on it at any size is there, and nothing went wrong."""
    lines = screen.rstrip("\n").split("\n")
    assert "Traceback" not in screen, screen
    return len(lines) <= height and sign in screen and bool(screen.strip())


def fits_now(app: Terminal, height: int, sign: str) -> bool:
    """The same of what stands there at this moment."""
    return fits(app.screen(), height, sign)


def answered(app: Terminal, before: str) -> bool:
    """Whether something else stands there by now, drawn to its end: an Enter that comes in the middle of what Escape
    began is Alt+Enter to a terminal."""
    now = app.screen()
    time.sleep(0.3)
    return now != before and app.screen() == now


def test_every_screen_while_the_window_changes(root: Path) -> None:
    app = Terminal(HEATS, root, *SIZES[-1])
    try:
        for keys, text, sign in WALK:
            for key in keys:
                before = app.screen()
                app.press(key)
                wait_until(partial(answered, app, before), what=f"an answer to {key}")
            app.wait_for(text, sign)
            for width, height in SIZES:
                app.resize(width, height)
                what = f"{text} at {width}x{height}"
                try:
                    wait_until(partial(fits_now, app, height, sign), what=what)
                except AssertionError as error:
                    raise AssertionError(f"{error}\n{app.screen()}") from None
            app.wait_for(text, sign)
        app.press("Escape")
        app.wait_for("n New")
        app.press("q")
        wait_until(lambda: not app.screen(), what="the app has left")
    finally:
        app.hang_up()
