"""The app by keys: what is seen, what is done, what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input, Static

from engine.errors import HeatsError
from engine.launch import actions
from engine.launch.actions import Started
from engine.store.files import read_json
from engine.store.paths import RunPaths
from engine.store.requests import request_stop
from engine.store.status import State
from tests.tui.driving import drive, home, selected, table, told, until
from tests.tui.made import add_steps, make_run
from tui import view_state
from tui.heats_app import HeatsApp
from tui.messages import RunRead
from tui.screens.base import resume_run
from tui.screens.confirm import ConfirmScreen
from tui.screens.help import HelpScreen
from tui.screens.run import RunScreen
from tui.screens.trash import TrashScreen
from tui.widgets.chart import Chart
from tui.widgets.log_view import LogView


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, bool]]:
    """What the app asks the engine to do, instead of doing it."""
    done: list[tuple[str, str, bool]] = []

    def stop(run: RunPaths, *, now: bool = False) -> None:
        done.append(("stop", run.id, now))

    def resume(run: RunPaths) -> Started:
        done.append(("resume", run.id, False))
        return Started(run, run.attempt(2), 50, ("step 60 is damaged",))

    monkeypatch.setattr(actions, "stop", stop)
    monkeypatch.setattr(actions, "resume", resume)
    return done


def test_escape_and_a_key_in_one_packet_are_both_heard(store_root: Path) -> None:
    make_run(store_root, "one")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        app.post_message(events.Key("alt+shift+t", "T"))  # what a slow line makes of Esc and T
        await until(pilot, lambda: isinstance(app.screen, TrashScreen))

    drive(store_root, body)


def test_an_empty_store_says_what_to_do(store_root: Path) -> None:
    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: any("heats launch" in line for line in table(app).empty_text))
        assert any("Press n" in line for line in table(app).empty_text)
        for key in ("s", "r", "enter", "j", "m", "l", "o", "f"):
            await pilot.press(key)
        assert len(app.screen_stack) == 2
        make_run(store_root)
        await until(pilot, lambda: selected(app) is not None)

    drive(store_root, body)


def test_the_selection_sticks_when_runs_come_and_go(store_root: Path) -> None:
    made = [make_run(store_root, f"run-{number}") for number in range(4)]

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("j", "j")
        chosen = selected(app)
        new = make_run(store_root, "newest")
        await until(pilot, lambda: len(table(app).rows) == 5)
        assert selected(app) == chosen
        shutil.rmtree(new.folder)
        await until(pilot, lambda: len(table(app).rows) == 4)
        assert selected(app) == chosen
        await pilot.press("O")
        assert selected(app) == chosen
        await pilot.press("G")
        assert table(app).cursor == 3
        await pilot.press("g", "ctrl+d", "ctrl+u")
        assert table(app).cursor == 0
        assert {run.id for run in table(app).rows} == {run.id for run in made}

    drive(store_root, body)


def test_the_selected_run_is_shown_and_followed(store_root: Path) -> None:
    live = make_run(store_root, "live", state="running", log="first\n")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        chart, log = home(app).query_one(Chart), home(app).query_one(LogView)
        await until(pilot, lambda: [line.label for line in chart.lines] == ["train", "val"])
        assert log.source.lines(0, 9) == ["first"]
        assert len(chart.lines[0].curve) == 60
        await until(pilot, lambda: live.id in app.tracker.sparks)
        add_steps(live, 61, 70)
        with live.attempts()[-1].output.open("a") as file:
            file.write("second\n")
        await until(pilot, lambda: len(chart.lines[0].curve) == 70)
        await until(pilot, lambda: log.source.lines(0, 9) == ["first", "second"])
        await pilot.press("m")
        await until(pilot, lambda: chart.title_text == "lr")
        await pilot.press("M")
        await until(pilot, lambda: chart.title_text == "loss")
        await pilot.press("y", "right_square_bracket", "right_square_bracket", "left_square_bracket")
        assert (chart.look.log_y, chart.look.smoothing) == (True, 0.6)
        await pilot.press("f")
        assert not log.following

    drive(store_root, body)


def test_late_answers_are_dropped(store_root: Path) -> None:
    for number in range(2):
        make_run(store_root, f"run-{number}")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.tracker.view is not None)
        old = app.tracker.view
        assert old is not None
        await pilot.press("j")
        app.post_message(RunRead(old, 0))
        await until(pilot, lambda: app.tracker.view is not None and app.tracker.view.run_id == selected(app))
        app.post_message(RunRead(old, 0))
        await pilot.pause(0.1)
        assert app.tracker.view is not None
        assert app.tracker.view.run_id == selected(app)

    drive(store_root, body)


def test_stopping_asks_first(store_root: Path, acts: list[tuple[str, str, bool]]) -> None:
    live = make_run(store_root, "live", state="running")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        answers: list[tuple[str, list[tuple[str, str, bool]]]] = [
            ("n", []),
            ("escape", []),
            ("y", [("stop", live.id, False)]),
            ("x", [("stop", live.id, True)]),
            ("enter", [("stop", live.id, False)]),
        ]
        for answer, expected in answers:
            acts.clear()
            await pilot.press("s")
            await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            question = app.screen
            assert isinstance(question, ConfirmScreen)
            assert "live" in question.title_text
            assert live.id[-4:] in question.title_text
            assert "step 50" in " ".join(question.text), "it says what would be lost"
            assert acts == []
            await pilot.press(answer)
            await until(pilot, partial(acts.__eq__, expected))
            await pilot.pause(0.05)
            assert acts == expected

    drive(store_root, body)


def test_a_second_stop_offers_to_end_it_now(store_root: Path, acts: list[tuple[str, str, bool]]) -> None:
    live = make_run(store_root, "live", state="running")
    request_stop(live, 1)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("enter")  # the answer under the cursor is to wait
        await pilot.pause(0.1)
        assert acts == []
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("s")
        await until(pilot, lambda: acts == [("stop", live.id, True)])

    drive(store_root, body)


def test_what_cannot_be_stopped_is_said(store_root: Path, acts: list[tuple[str, str, bool]]) -> None:
    make_run(store_root, "live", state="running")
    make_run(store_root, "done")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        names = [run.name for run in table(app).rows]
        table(app).cursor = names.index("done")
        await pilot.press("s")
        await until(pilot, lambda: "done isn't running: finished" in told(app))
        assert acts == []

    drive(store_root, body)


def test_a_live_run_is_not_resumed(store_root: Path) -> None:
    run = make_run(store_root, "live", state="running")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("r")
        await until(pilot, lambda: "it is still running" in told(app))
        assert len(run.attempts()) == 1

    drive(store_root, body)


def test_a_run_that_has_just_stopped_is_resumed_before_the_list_knows(
    store_root: Path, acts: list[tuple[str, str, bool]]
) -> None:
    run = make_run(store_root, "stopped", state="stopped")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        older = table(app).selected
        assert older is not None
        resume_run(app, replace(older, status=State.STOPPING))
        await until(pilot, lambda: [act[:2] for act in acts] == [("resume", run.id)])

    drive(store_root, body)


def test_resuming(store_root: Path, acts: list[tuple[str, str, bool]], monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(store_root, "mine", state="stopped")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("r")
        await until(pilot, lambda: "from step 50" in told(app))
        assert "step 60 is damaged" in told(app)
        assert acts == [("resume", run.id, False)]

        def refuse(_: RunPaths) -> Started:
            raise HeatsError("it has no checkpoint", place=run.id, remedy="launch it anew")

        monkeypatch.setattr(actions, "resume", refuse)
        await pilot.press("r")
        await until(pilot, lambda: f"{run.id}: it has no checkpoint; launch it anew" in told(app))

        def break_down(_: RunPaths) -> Started:
            raise ZeroDivisionError("oops")

        monkeypatch.setattr(actions, "resume", break_down)
        await pilot.press("r")
        await until(pilot, lambda: "ZeroDivisionError" in told(app))
        assert app.is_running

    drive(store_root, body)


def test_read_only_changes_nothing(store_root: Path, acts: list[tuple[str, str, bool]]) -> None:
    make_run(store_root, "live", state="running")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        for key in ("s", "r", "n"):
            app.clear_notifications()
            await pilot.press(key)
            await until(pilot, lambda: "--read-only" in told(app))
            assert len(app.screen_stack) == 2
        assert acts == []

    drive(store_root, body, read_only=True)


def test_pasted_text_triggers_nothing(store_root: Path, acts: list[tuple[str, str, bool]]) -> None:
    make_run(store_root, "live", state="running")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        app.post_message(events.Paste("sxnq\nr"))
        await pilot.pause(0.2)
        assert len(app.screen_stack) == 2
        assert acts == []
        assert app.is_running

    drive(store_root, body)


def test_filtering(store_root: Path) -> None:
    for name in ("alpha", "beta", "alphabet"):
        make_run(store_root, name)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"alpha")
        assert {run.name for run in table(app).rows} == {"alpha", "alphabet"}
        await pilot.press("enter", "j")
        assert table(app).cursor == 1
        assert home(app).query_one("#filter", Input).display, "a filter that hides runs stays in view"
        await pilot.press("slash", *" nothing", "enter")
        assert not table(app).rows
        assert any("none of 3" in line for line in table(app).empty_text)
        await pilot.press("escape")
        assert len(table(app).rows) == 3
        assert not home(app).query_one("#filter", Input).display

    drive(store_root, body)


def test_the_view_comes_back(store_root: Path) -> None:
    for name in ("a", "b", "c"):
        make_run(store_root, name)
    chosen: list[str | None] = []

    async def change(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("j", "o", "O", "y", "right_square_bracket")
        chosen.append(selected(app))
        # No key to quit: a hang-up gives no time to save anything.
        await until(pilot, lambda: (read_json(view_state.state_path(store_root)) or {}).get("smoothing") == 0.6)

    first = drive(store_root, change)

    async def look(app: HeatsApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: selected(app) == chosen[0])
        assert app.state == first.state
        assert table(app).sort_key == app.state.sort

    drive(store_root, look)


def test_the_run_screen(store_root: Path) -> None:
    run = make_run(store_root, "mine", state="running")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await until(pilot, lambda: len(screen.query_one(Chart).lines) == 2)
        add_steps(run, 61, 64)
        await until(pilot, lambda: len(screen.query_one(Chart).lines[0].curve) == 64)
        await pilot.press("tab")
        await until(pilot, lambda: screen.tab == "log")
        await pilot.press("shift+tab")
        await until(pilot, lambda: screen.tab == "charts")
        await pilot.press("y", "m", "s")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: app.screen is home(app))
        assert home(app).query_one(Chart).look.log_y

    drive(store_root, body)


def test_help_and_quit(store_root: Path) -> None:
    make_run(store_root, "live", state="running")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.press("escape", "q")
        await until(pilot, lambda: not app.is_running)
        assert "1 run keeps running" in str(app._exit_renderables)

    drive(store_root, body)


def test_an_error_in_the_reading_thread_is_said(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(store_root)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        with monkeypatch.context() as patched:

            def fail(*_: object) -> None:
                raise RuntimeError("torn")

            patched.setattr(app.tracker._list, "poll", fail)
            await until(pilot, lambda: "reads the store failed" in told(app))
        assert len(table(app).rows) == 1  # what was known stays on the screen
        make_run(store_root)
        await until(pilot, lambda: len(table(app).rows) == 2)

    drive(store_root, body)


def test_a_mistake_in_the_filter_is_shown_and_the_rows_stay(store_root: Path) -> None:
    for name in ("alpha", "beta"):
        make_run(store_root, name)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        mistake = home(app).query_one("#filter-error", Static)
        await pilot.press("slash", *"alpha")
        await pilot.press("space", "left_parenthesis")
        shown = [mistake.display]
        assert "a term is missing" in str(mistake.content)
        assert {run.name for run in table(app).rows} == {"alpha"}
        await pilot.press(*"pha", "right_parenthesis")
        assert [*shown, mistake.display] == [True, False]
        assert {run.name for run in table(app).rows} == {"alpha"}

    drive(store_root, body)
