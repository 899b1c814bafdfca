"""The launch form: made of the task's options, checked at each key, and the same as a command."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Static

from engine.config.options import list_options
from engine.config.resolve import parse_overrides, resolve
from engine.config.tasks import config_class
from engine.errors import HeatsError
from engine.launch import actions
from engine.launch.actions import LaunchRequest, Started
from engine.store.paths import open_store
from engine.store.status import State
from tests.engine.study.made import make_study
from tests.support import TINY, look, wait_for_state
from tests.tui.driving import drive, selected, told, until
from tests.tui.made import make_run
from tui import form_origins
from tui.heats_app import HeatsApp
from tui.launch_form import (
    Filled,
    Origin,
    changed_values,
    check,
    check_filled,
    command_line,
    command_text,
    command_words,
    default_text,
    parse_seeds,
    requests_of,
)
from tui.screens.launch import LaunchScreen
from tui.screens.pick import PickScreen
from tui.view_state import load, state_path

KIND = config_class("multiplication")
OPTIONS = {option.key: option for option in list_options(KIND)}


@pytest.fixture(autouse=True)
def _one_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """The form opens with the first task that is installed, whichever that is: here there is but one."""
    monkeypatch.setattr("tui.screens.launch.task_packages", lambda: {"multiplication": "engine.tasks.multiplication"})


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
        await until(pilot, lambda: isinstance(app.screen, LaunchScreen) and app.screen.query("#form"))
        form = app.screen
        assert isinstance(form, LaunchScreen)
        assert {field.key for field in form.form.every if field.option is not None} == set(OPTIONS)
        await pilot.press("ctrl+f", *"max_steps", "enter")
        focused = form.form.current
        assert focused.key == "train.max_steps"
        assert OPTIONS["train.max_steps"].help in said("hint")
        await pilot.press(*"5x")
        assert "`train.max_steps` = '5x'" in said("problem")
        assert focused.wrong
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


def test_seeds_as_people_write_them() -> None:
    assert parse_seeds("") == ()
    assert parse_seeds("3") == (3,)
    assert parse_seeds("0, 2 5-7") == (0, 2, 5, 6, 7)
    for wrong in ("x", "4-2", "1 1", "0-5000", "-1"):
        with pytest.raises(HeatsError):
            parse_seeds(wrong)


@pytest.mark.parametrize(
    ("filled", "sentence", "key"),
    [
        (Filled("multiplication", {"optim.name": "adamv"}), "did you mean `adamw`?", "optim.name"),
        (Filled("multiplication", seeds="0 0"), "given twice", "seed"),
        (Filled("multiplication", backend="slurn"), "there is no `slurn`", "backend"),
        (Filled("multiplication", backend="slurm:nowhere"), "there is no profile `nowhere`", "backend"),
        (Filled("multiplication", backend="slurm", start="queue"), "a queue of its own", "backend"),
        (Filled("multiplication", backend="local:a100"), "write slurm:PROFILE", "backend"),
        (Filled("multiplication", start="later"), "choose now or queue", "start"),
        (Filled("multiplication", seeds="0-2", notify="mail"), "in the queue can't be given a command", "notify"),
    ],
)
def test_the_whole_form_is_checked(filled: Filled, sentence: str, key: str) -> None:
    found = check_filled(KIND, filled)
    assert sentence in found.problem
    assert found.key == key


def test_several_seeds_are_a_loop_and_a_clone_says_what_it_changes() -> None:
    several = Filled("multiplication", {"train.max_steps": "50"}, "0-2", name="my run")
    line = command_text(several, root=Path("runs"))
    inner = "heats launch multiplication train.max_steps=50 --name 'my run' --queue --seed $seed"
    assert line == f"for seed in 0 1 2; do {inner}; done"
    requests = requests_of(several, root=Path("runs"))
    assert [request.values["seed"] for request in requests] == ["0", "1", "2"]
    assert requests[1].command[:5] == ("heats", "launch", "multiplication", "train.max_steps=50", "seed=1")
    origin = Origin("clone", "multiplication", {"optim.lr": "0.25", "train.max_steps": "50", "seed": "3"}, "RUN")
    same = Filled("multiplication", {"optim.lr": "0.25", "train.max_steps": "50"}, "3")
    assert command_text(same, root=Path("runs"), origin=origin) == "heats clone RUN"
    changed = Filled("multiplication", {"train.max_steps": "60"})
    default = default_text(OPTIONS["optim.lr"])
    expected = f"heats clone RUN optim.lr={default} train.max_steps=60 seed=0".split()
    assert sorted(command_text(changed, root=Path("runs"), origin=origin).split()) == sorted(expected)
    assert requests_of(changed, root=Path("runs"), origin=origin)[0].parent == "RUN"


async def open_form(app: HeatsApp, pilot: Pilot[None], form: LaunchScreen | None = None) -> LaunchScreen:
    """The form, with its values in it."""
    if form is None:
        await pilot.press("n")
    else:
        app.push_screen(form)
    await until(pilot, lambda: isinstance(app.screen, LaunchScreen) and app.screen._draft is not None)
    found = app.screen
    assert isinstance(found, LaunchScreen)
    return found


def test_what_was_typed_survives_escape_and_a_new_app(store_root: Path) -> None:
    async def typing(app: HeatsApp, pilot: Pilot[None]) -> None:
        form = await open_form(app, pilot)
        form.form.go_to(form._field("train.max_steps"))
        await pilot.press(*"77")
        form.form.go_to(form._field("run name"))
        await pilot.press(*"mine")
        app.post_message(events.Paste("pasted\nq\nctrl+g"))
        await until(pilot, lambda: "pasted" in form._field("run name").value)
        assert app.screen is form, "pasted text goes into the field only"
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is not form)
        again = await open_form(app, pilot)
        assert again.typed() == {"train.max_steps": "77", "run name": "minepasted"}
        await pilot.press("ctrl+l")
        assert again.typed() == {}
        await pilot.press("ctrl+r")
        assert again.typed()["train.max_steps"] == "77"
        await until(pilot, lambda: "77" in load(state_path(store_root)).drafts)

    async def coming_back(app: HeatsApp, pilot: Pilot[None]) -> None:
        form = await open_form(app, pilot)
        assert form.typed()["run name"] == "minepasted"

    drive(store_root, typing)
    drive(store_root, coming_back)


def test_a_clone_is_filled_from_its_run(store_root: Path) -> None:
    run = make_run(store_root, "old")
    run.config.write_text("seed: 4\noptim:\n  lr: 0.25\ntrain:\n  max_steps: 1000\n")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        form = await open_form(app, pilot, LaunchScreen(clone_of=run.id))
        assert form._field("optim.lr").value == "0.25"
        assert form._field("optim.lr").changed
        assert form._field("seed").value == "4"
        assert shown(form, "command").startswith(f"heats clone {run.id}")
        form.put("optim.lr", "0.5")
        await until(pilot, lambda: "optim.lr=0.5" in shown(form, "command"))
        (request,) = form.requests()
        assert request.parent == run.id
        assert resolve(KIND, request.values).seed == 4
        await pilot.press("escape")
        run.config.write_text("")
        app.push_screen(LaunchScreen(clone_of=run.id))
        await until(pilot, lambda: "can't be cloned" in told(app))

    drive(store_root, body)


def test_keys_in_haste_go_into_the_line_they_were_typed_in(store_root: Path) -> None:
    """One field is laid over the line that is typed into: what is typed before Enter belongs to the line before."""

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        form = await open_form(app, pilot)
        form.form.go_to(form._field("run name"))
        for key in ("a", "enter", "b", "tab", "c", "up", "d", "pagedown", "7"):
            app.simulate_key(key)
        await until(pilot, lambda: form.typed().get("train.batch_size") == "7")
        assert form.typed() == {"run name": "a", "run tags": "bd", "run note": "c", "train.batch_size": "7"}

    drive(store_root, body)


def test_an_option_that_was_just_typed_is_launched_with(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter and ctrl+g in one piece: the run was launched before the option was set."""
    asked: list[LaunchRequest] = []

    def launch(root: Path, request: LaunchRequest) -> Started:
        asked.append(request)
        run = make_run(root, "mine", state="running")
        return Started(run, run.attempt(1))

    monkeypatch.setattr(actions, "launch", launch)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        form = await open_form(app, pilot)
        await pilot.press("ctrl+f", *"no.such=1", "ctrl+g")
        assert "there is no option" in shown(form, "hint")
        assert not asked
        await pilot.press("ctrl+u", *"optim.lr=0.5")
        app.simulate_key("enter")
        app.simulate_key("ctrl+g")
        await until(pilot, lambda: app.screen is not form)
        assert asked[0].values["optim.lr"] == "0.5"

    drive(store_root, body)


def test_the_line_typed_into_is_where_the_field_is(store_root: Path) -> None:
    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        form = await open_form(app, pilot)
        for key in ("run name", "optim.lr", list(OPTIONS)[-1], "seed"):
            form.form.go_to(form._field(key))
            for size in ((80, 24), (40, 10), (120, 36)):
                await pilot.resize_terminal(*size)
                await pilot.pause()
                field = form.form.input.region
                lines = app.screen._compositor.render_strips()
                assert field.height == 1
                assert form.form.region.contains_region(field), f"{key} at {size}"
                assert form.form.current.label in "".join(part.text for part in lines[field.y])[: field.x]
        await pilot.click("#form", offset=(40, 1))
        assert form.form.input.region.y == form.form.region.y + 1

    drive(store_root, body)


def test_an_arm_of_a_study_fills_the_options(store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = make_study(tmp_path / "experiments", "mine", presets={"smoke": {"base": {"train.max_steps": 9}}})

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        form = await open_form(app, pilot)
        form.put("run name", "kept")
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, PickScreen))
        await pilot.press(*"mine.smoke latent", "enter")
        await until(pilot, lambda: app.screen is form)
        assert form.values()["train.max_steps"] == "9"
        assert form.filled().values.get("model.kind", default_text(OPTIONS["model.kind"])) == "latent"
        assert form._field("run name").value == "kept"
        await pilot.press("ctrl+r")
        assert form.typed() == {"run name": "kept"}

    drive(store_root, body)
    assert study.spec.presets


def test_an_option_is_set_by_its_key_and_a_wrong_one_is_told_the_right_one(store_root: Path) -> None:
    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        form = await open_form(app, pilot)
        await pilot.press("ctrl+f", *"max_steps=50", "enter")
        assert form.values() == {"train.max_steps": "50"}
        await pilot.press("ctrl+f", *"train.max_stepps=50", "enter")
        assert "did you mean train.max_steps" in shown(form, "hint")

    drive(store_root, body)


@pytest.mark.slow
def test_two_seeds_are_launched_through_the_queue(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEATS_SLOTS", "1")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        form = await open_form(app, pilot)
        for key, value in TINY.items():
            form.put(key, str(value))
        form.put("seed", "1 2")
        await until(pilot, lambda: "makes 2 runs" in shown(form, "problem"))
        await pilot.press("ctrl+g")
        await until(pilot, lambda: app.screen is not form, 60)
        await until(pilot, lambda: "launched" in told(app) and "queued" in told(app))
        assert not app.state.drafts

    drive(store_root, body)
    store = open_store(store_root)
    for run_id in store.run_ids():
        wait_for_state(store.run(run_id), State.FINISHED)
    assert sorted(look(store.run(run_id)).seed or 0 for run_id in store.run_ids()) == [1, 2]


def shown(form: LaunchScreen, name: str) -> str:
    """A line of text of the form."""
    return str(getattr(form.query_one(f"#{name}", Static), "shown_text", ""))


def test_a_command_of_ones_own_is_typed_into_its_field_and_launched(
    store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "work" / "train.py").write_text("import sys\nprint('step 1 loss:', sys.argv[1])\n")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        form = await open_form(app, pilot, LaunchScreen("exec"))
        assert "`exec.command` is empty" in shown(form, "problem")
        form.put("exec.command", "python train.py {lr}")
        form.put("flags", "{lr: 0.25}")
        await until(pilot, lambda: "makes a run train-lr0.25" in shown(form, "problem"))
        (request,) = form.requests()
        run = actions.launch(store_root, request).run
        assert wait_for_state(run, State.FINISHED).metrics == {"train/loss": 0.25}
        origin = form_origins.of_run(store_root, run.id)
        assert origin.folder == str(tmp_path / "work")
        assert dict(origin.values)["flags"] == "{lr: 0.25}"

    drive(store_root, body)
