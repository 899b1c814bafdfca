"""One run's screen by keys: its tabs, what each shows and does, and what can be done with the run."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from engine.launch import actions
from engine.launch.actions import Started
from engine.store.checkpoints import scan
from engine.store.paths import RunPaths
from engine.store.records import LaunchRecord, read_notes, write_launch
from engine.store.requests import read_stop, request_stop
from tests.engine.store.made import flip_bit, write_checkpoint
from tests.tui.driving import drive, home, told, until
from tests.tui.made import add_steps, make_run
from tui.heats_app import HeatsApp
from tui.screens.chart import ChartScreen
from tui.screens.confirm import ConfirmScreen
from tui.screens.prompt import PromptScreen
from tui.screens.run import RunScreen
from tui.screens.run_tabs.checkpoints import CheckpointsTab
from tui.screens.run_tabs.config import ConfigTab
from tui.screens.run_tabs.environment import EnvironmentTab
from tui.screens.run_tabs.events import EventsTab
from tui.screens.run_tabs.log import LogTab
from tui.screens.run_tabs.system import SystemTab
from tui.widgets.chart_grid import ChartGrid
from tui.widgets.log_view import LogView

LOG = "".join(
    f"2026-01-02 10:{at // 60:02d}:{at % 60:02d} {'WARNING odd' if at % 50 == 49 else 'INFO    step'} {at:,} of 200\n"
    for at in range(200)
)
Body = Callable[[HeatsApp, Pilot[None], RunScreen], Awaitable[None]]


def on_run(root: Path, body: Body, *, size: tuple[int, int] = (120, 40), read_only: bool = False) -> None:
    """Open the app's newest run and do what the body says."""

    async def opened(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.open_tab is not None)
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await body(app, pilot, screen)

    drive(root, opened, size=size, read_only=read_only)


def said(screen: RunScreen, where: str) -> str:
    return str(screen.query_one(where, Static).content)


async def answer(app: HeatsApp, pilot: Pilot[None], key: str) -> str:
    """Wait for a question, give an answer, and return what was asked."""
    await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
    question = app.screen
    assert isinstance(question, ConfirmScreen)
    text = "\n".join((question.title_text, *question.text))
    await pilot.press(key)
    return text


def second_attempt(run: RunPaths, *, log: str, from_step: int) -> None:
    """Another attempt, that went on from a step and changed an option."""
    folder = run.folder / "attempts" / "002"
    folder.mkdir()
    attempt = run.attempt(2)
    facts = {"resumed_from_step": from_step, "overrides": {"train.max_steps": {"from": 1000, "to": 2000}}}
    write_launch(attempt, LaunchRecord(2, time.time(), "here", **facts))  # type: ignore[arg-type]
    attempt.output.write_text(log)
    attempt.events.write_text('{"event": "finished", "time": 1.0, "step": 60}\n')


def test_the_log_of_each_attempt_is_found_searched_and_filtered(store_root: Path) -> None:
    run = make_run(store_root, "mine", log=LOG)
    second_attempt(run, log="2026-01-02 12:00:00 ERROR   broken\n", from_step=50)

    async def body(app: HeatsApp, pilot: Pilot[None], screen: RunScreen) -> None:
        await pilot.press("2")
        tab = screen.open_tab
        assert isinstance(tab, LogTab)
        await until(pilot, lambda: tab.view.source.line_count == 1)
        assert "attempt 2 of 2" in said(screen, "#log-head")
        await until(pilot, lambda: "1 errors" in said(screen, "#log-head"))
        await pilot.press("a")
        await until(pilot, lambda: tab.view.source.line_count == 200)
        assert "attempt 1 of 2" in said(screen, "#log-head")
        await pilot.press("g", "slash", *"odd", "enter")
        await until(pilot, lambda: "1 of 4 lines" in said(screen, "#log-head"))
        await pilot.press("n", "n")
        assert "3 of 4" in said(screen, "#log-head")
        await pilot.press("N")
        assert "2 of 4" in said(screen, "#log-head")
        assert any("odd 99" in line for line in tab.view.shown_lines())
        await pilot.press("escape", "i")
        await until(pilot, lambda: tab.view.source.line_count == 4)
        assert "only warnings and errors" in said(screen, "#log-head")
        await pilot.press("escape")
        await until(pilot, lambda: tab.view.source.line_count == 200)
        await pilot.press("L")
        await until(pilot, lambda: isinstance(app.screen, PromptScreen))
        app.screen.query_one(Input).value = "step 120"
        await pilot.press("enter")
        await until(pilot, lambda: any("step 120 " in line for line in tab.view.shown_lines()))
        await pilot.press("w")
        assert app.state.wrap

    on_run(store_root, body)


def test_the_log_follows_a_live_run(store_root: Path) -> None:
    run = make_run(store_root, "live", state="running", log="one\n")

    async def body(app: HeatsApp, pilot: Pilot[None], screen: RunScreen) -> None:
        await pilot.press("2")
        tab = screen.open_tab
        assert isinstance(tab, LogTab)
        await until(pilot, lambda: tab.view.source.line_count == 1)
        with run.attempts()[-1].output.open("a") as file:
            file.write("two \x1b[31mred\x1b[0m\n 10%|#\r 20%|##\r")
        await until(pilot, lambda: tab.view.shown_lines() == ["one", "two red", " 20%|##"])

    on_run(store_root, body)


def test_the_config_says_what_differs_and_what_attempts_changed(store_root: Path) -> None:
    run = make_run(store_root, "mine")
    second_attempt(run, log="", from_step=50)

    async def body(app: HeatsApp, pilot: Pilot[None], screen: RunScreen) -> None:
        await pilot.press("3")
        tab = screen.open_tab
        assert isinstance(tab, ConfigTab)
        await until(pilot, lambda: tab.view.source.line_count > 0)
        assert "1 changed by later attempts" in said(screen, "#config-head")
        text = "\n".join(tab.view.source.lines(0, 99))
        assert "attempt 2: 1000 -> 2000" in text
        assert "seed" in text
        await pilot.press("d")
        assert "seed" not in "\n".join(tab.view.source.lines(0, 99))
        assert "max_steps" in said(screen, "#config-foot")
        assert app.state.only_changed

    on_run(store_root, body)


def test_checkpoints_are_checked_rewound_pruned_and_put_right(store_root: Path) -> None:
    run = make_run(store_root, "mine")
    for step in (10, 20, 30, 40, 50):
        write_checkpoint(run, step)

    async def body(app: HeatsApp, pilot: Pilot[None], screen: RunScreen) -> None:
        await pilot.press("4")
        tab = screen.open_tab
        assert isinstance(tab, CheckpointsTab)
        await until(pilot, lambda: tab.table.row_count == 5)
        assert "goes on from step 50" in said(screen, "#checkpoints-head")
        await pilot.press("j", "B")
        assert "goes on from step 40 instead of step 50" in await answer(app, pilot, "y")
        await until(pilot, lambda: "goes on from step 40" in said(screen, "#checkpoints-head"))

        flip_bit(run.checkpoints / "step-00000030" / "model.safetensors", 100)
        await pilot.press("V")
        await until(pilot, lambda: tab.deep)
        assert "1 broken" in said(screen, "#checkpoints-head")
        await pilot.press("F")
        assert "step-00000030 moves to the trash" in await answer(app, pilot, "y")
        await until(pilot, lambda: tab.table.row_count == 4)

        await pilot.press("P")
        asked = await answer(app, pilot, "n")
        assert "would be deleted for good" in asked
        assert len(scan(run)) == 4, "no is no"
        await pilot.press("P")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("k")
        await until(pilot, lambda: isinstance(app.screen, PromptScreen))
        await pilot.press("enter")
        assert "goes" in await answer(app, pilot, "y")
        await until(pilot, lambda: tab.table.row_count < 4)
        assert [item.step for item in scan(run) if item.usable] == [40, 50]

    on_run(store_root, body)


def test_a_checkpoint_is_exported_and_resumed_from(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(store_root, "mine")
    run.config.write_text("seed: 0\nmodel:\n  kind: simple\n")
    for step in (10, 20):
        write_checkpoint(run, step)
    monkeypatch.chdir(store_root.parent)
    asked: list[dict[str, object]] = []

    def resume(paths: RunPaths, **options: object) -> Started:
        asked.append(options)
        return Started(paths, paths.attempt(2), 10)

    monkeypatch.setattr(actions, "resume", resume)

    async def body(app: HeatsApp, pilot: Pilot[None], screen: RunScreen) -> None:
        await pilot.press("4")
        tab = screen.open_tab
        assert isinstance(tab, CheckpointsTab)
        await until(pilot, lambda: tab.table.row_count == 2)
        await pilot.press("j", "enter")
        text = await answer(app, pilot, "y")
        assert "from step 10" in text
        assert "up to step 20" in text
        await until(pilot, lambda: asked == [{"from_step": 10}])
        await pilot.press("E")
        await until(pilot, lambda: isinstance(app.screen, PromptScreen))
        app.screen.query_one(Input).value = str(store_root.parent / "out")
        await pilot.press("enter")
        await until(pilot, lambda: (store_root.parent / "out" / "model.safetensors").exists())

    on_run(store_root, body)


def test_reading_every_byte_can_be_ended(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(store_root, "mine")
    write_checkpoint(run, 10)

    async def body(app: HeatsApp, pilot: Pilot[None], screen: RunScreen) -> None:
        await pilot.press("4")
        tab = screen.open_tab
        assert isinstance(tab, CheckpointsTab)
        await until(pilot, lambda: tab.table.row_count == 1)
        acts = tab.acts
        assert acts is not None

        def slow(hashing: object) -> None:
            while True:
                time.sleep(0.01)
                hashing.advance(1)  # type: ignore[attr-defined]

        acts._read("comparing hashes", slow, lambda _: None)
        tab.tick()
        assert "Esc ends it" in said(screen, "#checkpoints-head")
        await pilot.press("escape")
        await until(pilot, lambda: acts.hashing is None)
        assert app.screen is screen
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is home(app))

    on_run(store_root, body)


def test_events_are_filtered_and_lead_to_the_log(store_root: Path) -> None:
    run = make_run(store_root, "mine", log=LOG)
    moment = time.mktime(time.strptime("2026-01-02 10:02:30", "%Y-%m-%d %H:%M:%S"))
    with run.attempts()[-1].events.open("a") as file:
        file.write(f'{{"event": "alert", "time": {moment}, "step": 150, "cause": "stall", "message": "it hangs"}}\n')

    async def body(app: HeatsApp, pilot: Pilot[None], screen: RunScreen) -> None:
        await pilot.press("5")
        tab = screen.open_tab
        assert isinstance(tab, EventsTab)
        await until(pilot, lambda: tab.view.source.line_count == 5)
        assert "it hangs" in said(screen, "#events-facts")
        await pilot.press("i")
        assert tab.view.source.line_count == 1
        await pilot.press("enter")
        await until(pilot, lambda: screen.tab == "log")
        log = screen.open_tab
        assert isinstance(log, LogTab)
        await until(pilot, lambda: any("step 150 " in line for line in log.view.shown_lines()))

    on_run(store_root, body)


def test_system_and_environment(store_root: Path) -> None:
    run = make_run(store_root, "mine")
    with run.attempts()[-1].system.open("w") as file:
        for at in range(30):
            file.write(f'{{"time": {1.7e9 + 10 * at}, "cpu_percent": {at}, "memory_used": 9, "memory_total": 10}}\n')
    run.code_patch.write_text("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n")

    async def body(app: HeatsApp, pilot: Pilot[None], screen: RunScreen) -> None:
        await pilot.press("6")
        system = screen.open_tab
        assert isinstance(system, SystemTab)
        await until(pilot, lambda: system.view.source.line_count > 2)
        text = "\n".join(system.view.source.lines(0, 99))
        assert "29 %" in text
        assert "90 %" in text
        await pilot.press("7")
        environment = screen.open_tab
        assert isinstance(environment, EnvironmentTab)
        await until(pilot, lambda: environment.view.source.line_count > 2)
        lines = environment.view.source.lines(0, 999)
        assert "+new" in lines
        assert any(run.id in line for line in lines)

    on_run(store_root, body)


def test_stopping_is_told_with_its_countdown(store_root: Path) -> None:
    run = make_run(store_root, "live", state="running")
    request_stop(run, 1)

    async def body(app: HeatsApp, pilot: Pilot[None], screen: RunScreen) -> None:
        await until(pilot, lambda: "asked to stop" in said(screen, "#wrong"))
        assert "saves its last checkpoint, for which it has 1m" in said(screen, "#wrong")
        assert "s ends it at once" in said(screen, "#wrong")
        request = read_stop(run)
        assert request is not None
        assert not request.now

    on_run(store_root, body)


def test_notes_and_deleting(store_root: Path) -> None:
    run = make_run(store_root, "mine")

    async def body(app: HeatsApp, pilot: Pilot[None], screen: RunScreen) -> None:
        await pilot.press("asterisk")
        await until(pilot, lambda: read_notes(run.notes).star)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, PromptScreen))
        await pilot.press(*"two,", "enter")
        assert "can't be a tag" in str(app.screen.query_one("#prompt-said", Static).content)
        await pilot.press("backspace", "space", *"one", "enter")
        await until(pilot, lambda: read_notes(run.notes).tags == ("two", "one"))
        await pilot.press("Z")
        await until(pilot, lambda: read_notes(run.notes).archived)
        await pilot.press("D")
        assert "heats restore" in await answer(app, pilot, "n")
        assert run.folder.exists()
        await pilot.press("D")
        await answer(app, pilot, "y")
        await until(pilot, lambda: app.screen is home(app))
        assert not run.folder.exists()
        assert "brings it back" in told(app)

    on_run(store_root, body)


def test_nothing_is_changed_when_read_only(store_root: Path) -> None:
    run = make_run(store_root, "mine")
    for step in (10, 20):
        write_checkpoint(run, step)

    async def body(app: HeatsApp, pilot: Pilot[None], screen: RunScreen) -> None:
        await pilot.press("4")
        await pilot.pause(0.3)
        for key in ("asterisk", "t", "Z", "D", "S", "c", "s", "r", "B", "P", "F", "enter", "e"):
            await pilot.press(key)
            await pilot.pause()
            assert app.screen is screen, key
        assert "read-only" in told(app)
        assert not run.notes.exists() or not read_notes(run.notes).star

    on_run(store_root, body, read_only=True)


def test_a_run_that_vanishes_is_said_to_be_gone(store_root: Path) -> None:
    run = make_run(store_root, "mine")

    async def body(app: HeatsApp, pilot: Pilot[None], screen: RunScreen) -> None:
        run.folder.rename(store_root.parent / "elsewhere")
        await until(pilot, lambda: "isn't in the store any more" in said(screen, "#title"))
        for key in "1234567":
            await pilot.press(key, "j", "asterisk")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is home(app))

    on_run(store_root, body)


def test_a_damaged_run_has_all_its_tabs(store_root: Path) -> None:
    run = make_run(store_root, "mine", log="\x00\xff\r\r\n")
    run.config.write_bytes(b"\xff: [")
    run.environment.write_text("no json")
    (run.attempts()[-1].events).write_text("{]\n")
    run.attempts()[-1].system.write_text('{"time": "x"}\n[]\n')
    (run.checkpoints / "step-00000001").mkdir(parents=True)

    async def body(app: HeatsApp, pilot: Pilot[None], screen: RunScreen) -> None:
        for key in "2345671":
            await pilot.press(key)
            await pilot.pause(0.2)
        add_steps(run, 61, 62)
        assert "failed" not in told(app)

    on_run(store_root, body)


def test_the_log_beside_the_charts_of_an_ended_run_is_there(store_root: Path) -> None:
    run = make_run(store_root, "ended")
    run.attempts()[-1].output.write_text("first line\nlast line\n")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.tracker.view is not None)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.query("#chart-log"))
        log = app.screen.query_one("#chart-log", LogView)
        await until(pilot, lambda: log.source.line_count == 2)

    drive(store_root, body)


def test_keys_of_charts_say_where_the_charts_are_on_any_other_tab(store_root: Path) -> None:
    make_run(store_root, "mine", steps=40)

    async def body(app: HeatsApp, pilot: Pilot[None], screen: RunScreen) -> None:
        for digit in "3457":
            await pilot.press(digit)
            for key in ("right_square_bracket", "y", "m", "x", "minus"):
                app.clear_notifications()
                await until(pilot, lambda: not told(app))
                await pilot.press(key)
                await until(pilot, lambda: "1 shows them" in told(app) or "means something on" in told(app))
        await pilot.press("z")
        await until(pilot, lambda: isinstance(app.screen, ChartScreen))

    on_run(store_root, body)


def shows(tab: LogTab, text: str) -> bool:
    return any(text in line for line in tab.view.shown_lines())


def test_the_log_is_gone_to_at_the_crosshair_s_place(store_root: Path) -> None:
    run = make_run(store_root, "mine", steps=60, log=LOG.replace("step 30", "step 30 of the first attempt"))
    second_attempt(run, log=LOG.replace("step 50 ", "step 50 of the second attempt "), from_step=40)

    async def body(app: HeatsApp, pilot: Pilot[None], screen: RunScreen) -> None:
        def grid() -> ChartGrid:
            return screen.query_one(ChartGrid)

        await until(pilot, lambda: bool(grid().view.runs))
        await pilot.press("L")
        await until(pilot, lambda: "crosshair says where" in told(app))
        for step, said_there in ((30.0, "step 30 of the first attempt"), (50.0, "step 50 of the second attempt")):
            await pilot.press("1")
            await until(pilot, lambda: screen.grid() is not None)
            grid().set_cursor(step)
            await pilot.press("L")
            await until(pilot, lambda: isinstance(screen.open_tab, LogTab))
            tab = screen.query_one(LogTab)
            await until(pilot, partial(shows, tab, said_there))

    on_run(store_root, body)
