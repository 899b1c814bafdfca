"""Copying through the terminal, writing to files, and lending the terminal to other programs."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from engine.errors import HeatsError
from tests.tui.driving import drive, told, until
from tests.tui.made import make_run
from tui import outside
from tui.copying import MOST_BYTES, copy, osc52, write_new
from tui.heats_app import HeatsApp
from tui.screens.confirm import ConfirmScreen
from tui.screens.prompt import PromptScreen


def test_the_sequence_and_its_wrappings() -> None:
    plain = osc52("grün")
    assert plain.startswith("\x1b]52;c;")
    assert plain.endswith("\x07")
    assert base64.b64decode(plain[7:-1]).decode() == "grün"
    tmux = osc52("grün", tmux=True)
    assert tmux == plain + "\x1bPtmux;\x1b" + plain + "\x1b\\"
    pieces = re.findall("\x1bP(.*?)\x1b\\\\", osc52("x" * 5000, screen=True), re.DOTALL)
    assert "".join(pieces) == osc52("x" * 5000)
    assert max(map(len, pieces)) <= 768


def test_a_choice_is_copied_and_written(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(store_root, "mine", log="one\ntwo\n")
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.chdir(store_root.parent)
    written: list[str] = []

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        driver = app._driver
        assert driver is not None
        monkeypatch.setattr(driver, "write", written.append)
        await pilot.press("enter")
        await pilot.press("2")
        await until(pilot, lambda: getattr(app.screen, "tab", "") == "log")
        await until(pilot, lambda: len(app.screen.copyables()) > 1)  # type: ignore[attr-defined]
        await pilot.press("Y")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("i")
        await until(pilot, lambda: osc52(run.id) in written)
        assert "W writes it to a file" in told(app)
        await pilot.press("W")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, PromptScreen))
        target = Path(app.screen.query_one(Input).value)
        await pilot.press("enter")
        await until(pilot, target.exists)
        assert target.read_text() == "one\ntwo\n"
        assert run.id in target.name
        copy(app, "x" * (MOST_BYTES + 1), "much")
        await until(pilot, lambda: "too much for a terminal" in told(app))
        await pilot.press("v")  # a test's terminal can't be lent, which is said
        await until(pilot, lambda: "can't be lent" in told(app))

    drive(store_root, body)


def test_no_file_is_written_over(tmp_path: Path) -> None:
    target = tmp_path / "file"
    assert write_new(target, "grün\n") == 6
    with pytest.raises(HeatsError, match="there already"):
        write_new(target, "other")
    assert target.read_text() == "grün\n"
    with pytest.raises(HeatsError, match="can't be written"):
        write_new(tmp_path / "nowhere" / "file", "x")


def test_programs_are_those_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "my pager"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "'unclosed")
    monkeypatch.setenv("PAGER", "'my pager' -x")
    assert outside.pager() == ["my pager", "-x"]
    assert outside.editor() is None
    monkeypatch.setenv("VISUAL", f"'{program}'")
    assert outside.editor() == [str(program)]
    monkeypatch.setenv("PAGER", "nowhere" + os.sep + "less")
    assert outside.pager() is None
