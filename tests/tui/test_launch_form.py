"""The launch form: made of the task's options, checked at each key, and the same as a command."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from engine.config.options import list_options
from engine.config.resolve import parse_overrides, resolve
from engine.config.tasks import config_class
from engine.errors import HeatsError
from engine.launch import actions
from engine.launch.actions import LaunchRequest, Started
from tests.tui.driving import drive, selected, told, until
from tests.tui.made import make_run
from tui.heats_app import HeatsApp
from tui.launch_form import changed_values, check, command_line, command_words, default_text
from tui.screens.launch import LaunchScreen, OptionField

KIND = config_class("multiplication")
OPTIONS = {option.key: option for option in list_options(KIND)}


def test_every_default_can_be_typed() -> None:
    for key, option in OPTIONS.items():
        assert resolve(KIND, {key: default_text(option)}) == KIND(), key


def test_only_changes_are_passed() -> None:
    typed = {"train.max_steps": " 500 ", "seed": "0", "optim.lr": "", "compile": ""}
    assert changed_values(OPTIONS, typed) == {"train.max_steps": "500"}


@pytest.mark.parametrize(
    ("values", "sentence", "key"),
    [
        ({"train.max_steps": "many"}, "should be a valid integer", "train.max_steps"),
        ({"optim.name": "adan"}, "choose one of adamw, sgd", "optim.name"),
        ({"model.d_model": "100"}, "must divide", "model.num_heads"),
    ],
)
def test_one_sentence_says_what_is_wrong(values: dict[str, str], sentence: str, key: str) -> None:
    found = check(KIND, values)
    assert sentence in found.problem
    assert found.key == key
    assert not found.slug


def test_the_command_does_the_same(tmp_path: Path) -> None:
    values = {"train.max_steps": "500", "data.pad_operands": "true"}
    words = command_words("multiplication", values, name="my run", tags=("a", "b"), root=tmp_path)
    line = command_line(words)
    assert shlex.split(line) == words
    assert parse_overrides(words[3:5]) == values
    assert words[5:] == ["--name", "my run", "--tag", "a", "--tag", "b", "--runs-dir", str(tmp_path)]
    assert "--runs-dir" not in command_words("multiplication", {}, name="", tags=(), root=Path("runs"))


def test_the_form(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[LaunchRequest] = []

    def refuse(root: Path, request: LaunchRequest) -> Started:
        asked.append(request)
        raise HeatsError("the disk is full", remedy="free some space")

    def launch(root: Path, request: LaunchRequest) -> Started:
        asked.append(request)
        run = make_run(root, request.name or "mine", state="running")
        return Started(run, run.attempt(1))

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        def said(name: str) -> str:
            return str(getattr(form.query_one(f"#{name}", Static), "shown_text", ""))

        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, LaunchScreen) and app.screen.query(OptionField))
        form = app.screen
        assert isinstance(form, LaunchScreen)
        assert {field.option.key for field in form.query(OptionField)} == set(OPTIONS)
        await pilot.press("ctrl+f", *"max_steps", "enter")
        focused = app.focused
        assert isinstance(focused, OptionField)
        assert focused.option.key == "train.max_steps"
        assert OPTIONS["train.max_steps"].help in said("hint")
        await pilot.press(*"5x")
        assert "`train.max_steps` = '5x'" in said("problem")
        assert focused.has_class("wrong")
        await pilot.press("ctrl+g")
        assert asked == [], "a wrong form isn't launched"
        await pilot.press("backspace", "0")
        assert "makes a run" in said("problem")
        assert "train.max_steps=50" in said("command")
        await pilot.press("escape")  # all options again
        await pilot.press("ctrl+f", *"tf.schedule", "enter", "space")
        assert form.values()["tf.schedule"] in OPTIONS["tf.schedule"].choices
        monkeypatch.setattr(actions, "launch", refuse)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: "the disk is full; free some space" in told(app))
        assert app.screen is form, "what was typed is still there"
        monkeypatch.setattr(actions, "launch", launch)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: app.screen is not form)
        assert asked[-1].values["train.max_steps"] == "50"
        assert asked[-1].command[:3] == ("heats", "launch", "multiplication")
        await until(pilot, lambda: selected(app) is not None)
        assert "launched" in told(app)

    drive(store_root, body)
