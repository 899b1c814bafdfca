"""What a slow line brings in one piece does what it would have done key by key."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from engine.store.records import Notes, read_notes
from tests.tui.driving import drive, table, until
from tests.tui.made import make_run
from tui.actions import RUN
from tui.heats_app import HeatsApp
from tui.screens.launch import LaunchScreen
from tui.typed_ahead import KeysInTurn
from tui.widgets.form_view import FormView
from tui.widgets.log_view import LogView

NAMED = {"/": "slash", "*": "asterisk", "\r": "enter"}


def send(app: HeatsApp, text: str) -> None:
    """All of it at once, as a terminal hands over what has gathered on the way."""
    assert app._driver is not None
    for letter in text:
        event = events.Key(NAMED.get(letter, letter), letter)
        event.set_sender(app)
        app._driver.send_message(event)


def test_a_filter_its_enter_and_a_command_in_one_piece(tmp_path: Path) -> None:
    for name in ("sister", "brother", "aunt"):
        make_run(tmp_path, name=name)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        order = app.state.sort
        send(app, "/st\ro")
        await until(pilot, lambda: app.state.sort != order)
        assert app.state.filter == "st"
        assert [run.name for run in table(app).rows] == ["sister"]
        assert not isinstance(app.focused, Input)
        assert len(app.screen_stack) == 2, "none of the letters was a command"

    drive(tmp_path, body)


def test_a_question_is_asked_before_its_answer_is_taken(tmp_path: Path) -> None:
    run = make_run(tmp_path, name="old")

    def noted() -> Notes:
        return read_notes(run.notes)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        send(app, "tpaper\r*")
        await until(pilot, lambda: (noted().tags, noted().star) == (("paper",), True))
        assert len(app.screen_stack) == 2

    drive(tmp_path, body)


def test_keys_meant_for_the_screen_that_enter_opens(tmp_path: Path) -> None:
    make_run(tmp_path, name="old", log="first\nsecond\nthird second\n")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        send(app, "\r2/second\r")
        await until(pilot, lambda: getattr(app.screen, "WHERE", "") == RUN)
        await until(pilot, lambda: any(len(view.matches) == 2 for view in app.screen.query(LogView)))

    drive(tmp_path, body)


def test_two_lines_of_the_form_with_the_enter_between_them(tmp_path: Path) -> None:
    make_run(tmp_path, name="old")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, LaunchScreen) and isinstance(app.focused, Input))
        form = app.screen.query_one(FormView)
        first, second = (at + form.every.index(form.current) for at in (0, 1))
        send(app, "12\r34")
        await until(pilot, lambda: form.every[second].value == "34")
        assert form.every[first].value == "12"

    drive(tmp_path, body)


def test_keys_go_on_where_one_is_never_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sister", "brother"):
        make_run(tmp_path, name=name)

    def broken(self: KeysInTurn, *, idle_too: bool) -> None:
        raise RuntimeError("a widget that is gone")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        monkeypatch.setattr(KeysInTurn, "_way_up", broken)
        cursor = table(app).cursor
        send(app, "jkj")
        await until(pilot, lambda: table(app).cursor == cursor + 1)

    drive(tmp_path, body)


def test_what_is_typed_after_the_app_has_closed_is_for_nobody(tmp_path: Path) -> None:
    make_run(tmp_path, name="old")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.pause()

    closed = drive(tmp_path, body)
    assert KeysInTurn(closed).holds(events.Key("slash", "/")), "Textual would look for the screen that is gone"
