"""The user's own keys: bound, shown in the footer, the sheet and the palette alike; mistakes cost nobody their keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from textual.keys import _character_to_key
from textual.pilot import Pilot

from tests.tui.driving import drive, told, until
from tests.tui.made import make_run
from tui.actions import ACTIONS, APP, actions_of, footer, key_name, keys_by_screen, use_keys
from tui.heats_app import HeatsApp
from tui.keymap import Keymap, load, parse_key, understand
from tui.palette import ActionProvider
from tui.screens.help import HelpScreen, sheet
from tui.screens.pane import HeatsScreen
from tui.widgets.key_bar import KeyBar

MINE = """
help: [f1, "?"]
sort: ctrl+n
resume: s      # a swap
stop: r
follow: []
doctor_again: ctrl+g
"""


def test_all_say_the_same_with_a_keymap_in_force(store_root: Path) -> None:
    make_run(store_root)
    keymap = understand(MINE)
    assert keymap.problems == ()

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        for step in ([], ["enter"], ["escape", "4"], ["5"]):
            await pilot.press(*step)
            await pilot.pause()
            screen = app.screen
            assert isinstance(screen, HeatsScreen)
            where = screen.WHERE
            table = {(key, action.handler) for action in actions_of(where) for key in action.keys}
            bound = {
                (binding.key, binding.action)
                for part in (screen._bindings, app._bindings)
                for bindings in part.key_to_bindings.values()
                for binding in bindings
                if (binding.id or "").startswith((f"{where}.", f"{APP}."))
            }
            assert bound == table
            bar = screen.query_one(KeyBar)
            shown = footer(where, getattr(screen, "tab", ""))
            assert [label for _, label in bar.shown(999)] == [act.short or act.label for act in shown]
            assert [key for key, _ in bar.shown(999)] == [key_name(act.keys[0]) for act in shown]
            text = "\n".join(sheet(where, 120))
            assert all(act.shown_keys in text for act in actions_of(where))
            entries = [str(hit.text or hit.display) async for hit in ActionProvider(screen).discover()]
            for act in actions_of(where):
                assert act.id == "palette" or any(act.label in entry and act.shown_keys in entry for entry in entries)
        await pilot.press("escape", "f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.press("escape")
        before = app.state.sort
        await pilot.press("o")
        assert app.state.sort == before, "its old key does nothing"
        await pilot.press("ctrl+n")
        assert app.state.sort != before
        await pilot.press("r")
        await until(pilot, lambda: "isn't running" in told(app))

    drive(store_root, body, keymap=keymap)


def test_without_a_file_the_usual_keys_hold(tmp_path: Path) -> None:
    assert load(tmp_path / "keys.yaml") == Keymap()
    assert understand("") == Keymap()
    assert understand("# nothing\n") == Keymap()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("stopp: k\n", 1, "there is no act `stopp`; did you mean `stop`?"),
        ("sort: ctrl+n\nstop: hyper+k\n", 2, "`hyper+k` is no key; `stop` keeps its usual ones"),
        ("stop: r\n", 1, "`r` is the key of `resume` (Resume) on the screen"),
        ("sort: ctrl+n\nmetric: ctrl+n\n", 2, "`ctrl+n` is the key of `sort`"),
        ("quit: []\n", 1, "`quit` can't be without a key"),
        ("help: none\n", 1, "`help` can't be without a key"),
        ("stop: ctrl+i\n", 1, "a terminal can't tell `ctrl+i` from Tab"),
        ("stop: {a: b}\n", 1, "no key and no list of keys"),
        ("stop: ctrl+k\nstop: ctrl+n\n", 2, "stands in line 1 already"),
        ("submit: x\n", 1, "typed as text in the form"),
        ("sort: ctrl+n\nstop: [\n", 3, "is no YAML"),
        ("- stop\n", 1, "write an act and its keys a line"),
    ],
)
def test_a_mistake_is_said_with_its_line_and_the_usual_key_stays(text: str, line: int, words: str) -> None:
    keymap = understand(text)
    (problem,) = keymap.problems
    assert f"keys.yaml line {line}: " in problem
    assert words in problem
    assert "\n" not in problem
    wrong = text.splitlines()[min(line, len(text.splitlines())) - 1].partition(":")[0]
    assert wrong not in keymap.keys or "stands in" in words
    for where, actions in keys_by_screen(keymap.keys).items():
        keys = [key for action in actions for key in action.keys]
        assert len(keys) == len(set(keys)), where


def test_mistakes_are_told_in_the_app(store_root: Path) -> None:
    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "did you mean `stop`" in told(app))

    drive(store_root, body, keymap=understand("stopp: k\n"))


def test_the_usual_keys_have_names_that_people_may_write() -> None:
    use_keys({})
    for action in ACTIONS:
        for key in action.keys:
            assert parse_key(key_name(key)) == key, key
            assert parse_key(key) == key
    for sign in "?/:+-=[]!@#$%^&*_\\|;'\",.<>~`(){}":
        assert parse_key(sign) == _character_to_key(sign), sign
    assert [parse_key(word) for word in ("Ctrl+K", "PgUp", "Esc", "F5", "K", "shift+tab", " ")] == [
        "ctrl+k", "pageup", "escape", "f5", "K", "shift+tab", "space",
    ]  # fmt: skip
    assert [parse_key(word) for word in ("↑", "←", "Down")] == ["up", "left", "down"]
    assert [parse_key(word) for word in ("", "foo", "ctrl+", "meta+x", "\x1b", "kk")] == [None] * 6


def test_the_plain_listing(tmp_path: Path) -> None:
    folder = tmp_path / "heats"
    folder.mkdir()
    (folder / "keys.yaml").write_text("stop: ctrl+k\nsort: r\n")
    environment = os.environ | {"XDG_CONFIG_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "tui.cli", "keys"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, env=environment, check=False)
    found = json.loads(done.stdout)
    acts = {act["act"]: act for act in found["acts"]}
    assert (acts["stop"]["keys"], acts["stop"]["usual"]) == (["ctrl+k"], ["s"])
    assert acts["sort"]["keys"] == ["o"]
    assert len(found["problems"]) == done.returncode == 1
    plain = subprocess.run([*command, "runs"], capture_output=True, text=True, env=environment, check=False)
    assert "Ctrl+k" in plain.stdout
    assert "keys.yaml line 2" in plain.stderr
