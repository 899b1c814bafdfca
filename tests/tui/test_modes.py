"""Read-only, themes, no colours, pasted text: what holds on every screen."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from textual import events
from textual.color import Color
from textual.pilot import Pilot

from engine.launch import actions
from engine.store.files import read_json
from engine.store.status import State
from tests.engine.study.made import make_study
from tests.tui.driving import drive, told, until
from tests.tui.made import make_run
from tui import view_state
from tui.actions import ACTIONS, LAUNCH, RUN, RUNS, actions_of, footer
from tui.actions.action import CHART, CHECKPOINTS, COMPARE, DOCTOR, MACHINE, STUDIES, STUDY, TRASH
from tui.format import STATE_COLORS
from tui.heats_app import HeatsApp, pace
from tui.palette import ActionProvider, palette_text
from tui.screens.pane import HeatsScreen
from tui.screens.run import RunScreen
from tui.screens.studies import StudiesScreen
from tui.themes import TERMINAL_THEMES, THEME_NAMES, THEMES, ansi_colours
from tui.widgets.key_bar import KeyBar

PLACES: tuple[tuple[tuple[str, ...], str], ...] = (
    ((), RUNS),
    (("enter",), RUN),
    (("z",), CHART),
    (("escape", "escape", "A", "d"), COMPARE),
    (("escape", "T"), TRASH),
    (("escape", "2"), STUDIES),
    (("enter",), STUDY),
    (("escape", "3"), CHECKPOINTS),
    (("4",), MACHINE),
    (("5",), DOCTOR),
)
"""Keys that lead from one screen to the next, and where they lead: every screen but the form, where keys are text."""


@pytest.fixture
def two_runs(store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a run that lives and one that failed, and a study beside it."""
    monkeypatch.chdir(tmp_path)
    make_study(tmp_path / "experiments")
    make_run(store_root, "live", state="running")
    make_run(store_root, "broken", state="failed")
    return store_root


async def _screens(app: HeatsApp, pilot: Pilot[None]) -> AsyncIterator[HeatsScreen]:
    """Each screen in turn, as the one that is shown."""
    for keys, where in PLACES:
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await until(pilot, partial(_is_at, app, where))
        await pilot.pause()
        assert isinstance(app.screen, HeatsScreen)
        yield app.screen


def _is_at(app: HeatsApp, where: str) -> bool:
    screen = app.screen
    ready = not isinstance(screen, StudiesScreen) or screen.selected is not None
    return isinstance(screen, HeatsScreen) and where == screen.WHERE and ready


def test_read_only_refuses_every_act_that_changes(two_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    for name in ("launch", "resume", "stop"):
        monkeypatch.setattr(actions, name, lambda *args, name=name, **options: done.append(name))
    tried: set[str] = set()

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        async for screen in _screens(app, pilot):
            changing = [act for act in actions_of(screen.WHERE) if act.changes]
            bar = screen.query_one(KeyBar)
            shown = {label for _, label in bar.shown(999)}
            assert not shown & {act.short or act.label for act in changing}, "the footer offers none"
            assert {act.short or act.label for act in footer(screen.WHERE, bar.tab) if not act.changes} == shown
            for act in changing:
                for key in act.keys[:1]:
                    app.clear_notifications()
                    await pilot.press(key)
                    await until(pilot, lambda: "--read-only" in told(app))
                    assert app.screen is screen, act.id
                app.clear_notifications()
                hits = {str(hit.text or hit.display): hit async for hit in ActionProvider(screen).discover()}
                entry = next(hit for text, hit in hits.items() if text == palette_text(act))
                await entry.command()
                await until(pilot, lambda: "--read-only" in told(app))
                assert app.screen is screen, act.id
                tried.add(act.id)

        def forgot() -> tuple[str, str | None]:
            done.append("forgot")
            return "", None

        app.acts.do("does something that forgot to ask", forgot)
        await pilot.pause(0.1)

    drive(two_runs, body, read_only=True)
    assert done == []
    assert tried == {act.id for act in ACTIONS if act.changes and act.where != {LAUNCH}}


def test_read_only_refuses_nothing_that_only_looks(two_runs: Path) -> None:
    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("enter", "2")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.tab == "log")
        wrapped = app.state.wrap
        await pilot.press("w", "i", "a")
        await until(pilot, lambda: app.state.wrap is not wrapped)
        assert "--read-only" not in told(app)

    drive(two_runs, body, read_only=True)


def test_pasted_text_triggers_nothing_on_any_screen(two_runs: Path) -> None:

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        async for screen in _screens(app, pilot):
            app.post_message(events.Paste("sxnqy\nrKJpafu?:\x1b"))
            await pilot.pause(0.1)
            assert app.screen is screen
            assert told(app) == ""
        assert app.is_running

    drive(two_runs, body)


def test_themes_are_worn_and_kept(store_root: Path) -> None:
    make_run(store_root, "mine")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        assert app.theme == "heats-dark"
        for expected in ("light", "contrast", "dark", "light"):
            await pilot.press("ctrl+t")
            assert app.theme == f"heats-{expected}"
            assert app.ansi_theme == TERMINAL_THEMES[app.theme]
        provider = ActionProvider(app.screen)
        (hit,) = [hit async for hit in provider.search("high contrast theme")]
        await hit.command()
        assert app.theme == "heats-contrast"
        await until(pilot, lambda: (read_json(view_state.state_path(store_root)) or {}).get("theme") == "contrast")

    drive(store_root, body)

    async def look(app: HeatsApp, pilot: Pilot[None]) -> None:
        assert app.theme == "heats-contrast"

    drive(store_root, look)

    async def given(app: HeatsApp, pilot: Pilot[None]) -> None:
        assert app.theme == "heats-dark"
        await until(pilot, lambda: (read_json(view_state.state_path(store_root)) or {}).get("theme") == "dark")

    drive(store_root, given, theme="dark")


def test_the_pace_goes_down_when_nobody_looks_or_nothing_happens(store_root: Path) -> None:
    assert pace(focused=True, live=True, quiet_seconds=1e6) == 1.0, "a logged step shows within a second or so"
    assert pace(focused=True, live=False, quiet_seconds=1) == 1.0
    assert pace(focused=True, live=False, quiet_seconds=1e6) > 1.0
    assert pace(focused=False, live=True, quiet_seconds=0) > 1.0
    make_run(store_root, "first")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        app.post_message(events.AppBlur())
        await until(pilot, lambda: app.pace_seconds == 5.0)
        make_run(store_root, "second")
        app.post_message(events.AppFocus())
        await until(pilot, lambda: len(app.tracker.runs or ()) == 2, seconds=3)
        assert app.pace_seconds == 1.0

    drive(store_root, body)


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2."""
    parts = [part / 255 for part in Color.parse(colour).rgb]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", THEME_NAMES)
def test_what_is_written_in_colour_can_be_read(name: str) -> None:
    theme = next(theme for theme in THEMES if theme.name == f"heats-{name}")
    least = 7.0 if name == "contrast" else 4.5
    ground = luminance(str(theme.background))
    colours = {state: ansi_colours(name)[STATE_COLORS[state]] for state in State}
    for state, colour in colours.items():
        lighter, darker = sorted((luminance(colour), ground), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= least, state
    assert len({colours[state] for state in (State.RUNNING, State.FINISHED, State.FAILED, State.STALLED)}) == 4


def test_no_colour_at_all(two_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        async for _ in _screens(app, pilot):
            styles = {
                str(segment.style)
                for strip in app.screen._compositor.render_strips()
                for segment in strip.apply_filter(app._filters[-1], Color(0, 0, 0))
                if segment.style is not None and segment.text.strip()
            }
            assert not [style for style in styles if re.search(r"#|rgb|color\(|red|green|yellow|blue", style)]
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "NO_COLOR" in told(app))

    drive(two_runs, body)


def test_nothing_but_ascii_on_any_screen(two_runs: Path) -> None:
    def other_signs(app: HeatsApp) -> set[str]:
        return {sign for strip in app.screen._compositor.render_strips() for sign in strip.text if not sign.isascii()}

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        first = app.screen
        for key, typed in ((":", "run"), ("question_mark", ""), ("n", "")):
            await pilot.press(key)
            await until(pilot, lambda: app.screen is not first)
            await pilot.press(*typed)
            await pilot.pause(0.3)
            assert not other_signs(app), key
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is first)
        async for screen in _screens(app, pilot):
            app.tell("something was done", failed=True)
            await pilot.pause(0.1)
            assert not other_signs(app), screen.WHERE

    drive(two_runs, body, size=(80, 24), ascii_only=True)


def test_slow_links_are_told_once_of_the_mode_for_them(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "1.2.3.4 5 6.7.8.9 22")
    heard: list[bool] = []

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.pause(0.1)
        heard.append("--low-bandwidth" in told(app))
        if len(heard) == 1:
            await until(pilot, lambda: (read_json(view_state.state_path(store_root)) or {}).get("hinted"))

    make_run(store_root)
    drive(store_root, body)
    drive(store_root, body)
    assert heard == [True, False]
