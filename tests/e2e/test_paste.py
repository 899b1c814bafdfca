"""Pasted text in a real terminal, whole and in pieces: no key of it is pressed. And nothing coloured with NO_COLOR."""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest

from engine.store.paths import open_store
from tests.tui.made import make_run

pytestmark = pytest.mark.e2e


class App:
    """The app in a pty, with all that it has sent."""

    def __init__(self, root: Path, **more: str) -> None:
        environment = os.environ | {"HEATS_RUNS_DIR": str(root), "LANG": "C.UTF-8", "TERM": "xterm-256color"} | more
        command = ["-m", "tui.cli"]
        self.child: Any = pexpect.spawn(sys.executable, command, env=environment, dimensions=(24, 80), timeout=60)
        self.log = io.BytesIO()
        self.child.logfile_read = self.log

    def wait_for(self, text: str) -> None:
        self.child.expect_exact(text.encode())

    def quit(self) -> None:
        self.child.send("q")
        self.child.expect(pexpect.EOF)


def test_bracketed_paste_presses_no_key(store_root: Path) -> None:
    run = make_run(store_root, "mine", state="stopped")
    app = App(store_root)
    app.wait_for("mine")
    app.child.send("\x1b[200~nqsry\r5K\x1b[201~")
    for piece in ("\x1b[200~nqs", "ry\r", "5x", "\x1b[20", "1~"):
        app.child.send(piece)
    app.child.send("?")
    app.wait_for("Esc closes")  # still there, and it was the first key
    app.child.send("\x1b")
    app.wait_for("mine")
    app.quit()
    assert open_store(store_root).run_ids() == [run.id]
    assert len(run.attempts()) == 1


def test_no_color_sends_none(store_root: Path) -> None:
    make_run(store_root, "mine", state="failed")
    app = App(store_root, NO_COLOR="1")
    app.wait_for("mine")
    app.child.send("5")
    app.wait_for("looked at")
    app.quit()
    codes = re.findall(rb"\x1b\[([0-9;:]*)m", app.log.getvalue())
    assert codes
    coloured = rb"(^|[;:])(3[0-8]|4[0-8]|9[0-7]|10[0-7])($|[;:])"
    assert [code for code in codes if re.search(coloured, code)] == []
    assert any(b"7" in re.split(rb"[;:]", code) for code in codes), "the cursor is told by turning it round"
