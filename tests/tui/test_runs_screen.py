"""The Runs screen: groups, marks, pins, columns, saved filters, and acts on several runs at once."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any, TypeVar

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input, OptionList, Static

from engine.launch import actions
from engine.store.files import write_json
from engine.store.paths import RunPaths, Store
from engine.store.records import read_notes
from tests.support import look
from tests.tui.driving import drive, home, selected, table, told, until
from tests.tui.made import make_run
from tui import run_list, view_state
from tui.heats_app import HeatsApp
from tui.run_groups import Group
from tui.screens.chart import ChartScreen
from tui.screens.columns import ColumnsScreen
from tui.screens.compare import CompareScreen
from tui.screens.confirm import ConfirmScreen
from tui.screens.launch import LaunchScreen
from tui.screens.pick import PickScreen
from tui.screens.prompt import PromptScreen
from tui.screens.trash import TrashScreen
from tui.widgets.key_bar import KeyBar
from tui.widgets.small_table import SmallTable


def of_study(run: RunPaths, study: str, arm: str, seed: int) -> RunPaths:
    """Make a run one of a study's."""
    record = json.loads(run.record.read_text())
    write_json(run.record, record | {"study": study, "arm": arm, "seed": seed})
    return run


def title(app: HeatsApp) -> str:
    return str(getattr(home(app).query_one("#title", Static), "shown_text", ""))


def marks(app: HeatsApp) -> int:
    return len(app.state.marked)


def names(app: HeatsApp) -> list[str]:
    return [run.name for run in table(app).rows]


def heads(app: HeatsApp) -> list[Group]:
    return [line for line in table(app).lines if isinstance(line, Group)]


async def choose(app: HeatsApp, pilot: Pilot[None], key: str, text: str) -> None:
    """Open a list by a key, type, and take what is left."""
    await pilot.press(key)
    await until(pilot, lambda: isinstance(app.screen, PickScreen))
    await pilot.press(*text, "enter")


def test_groups_fold_and_the_selection_stays(store_root: Path) -> None:
    for seed in range(9):
        of_study(make_run(store_root, f"many-{seed}"), "big", "wide", seed)
    for seed in range(2):
        of_study(make_run(store_root, f"few-{seed}"), "small", "narrow", seed)
    make_run(store_root, "alone")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await choose(app, pilot, "b", "the study")
        await until(pilot, lambda: len(heads(app)) == 3)
        big = next(group for group in heads(app) if group.title == "big")
        assert (big.folded, len(big.run_ids)) == (True, 9), "many seeds are one row until somebody opens them"
        assert sorted(names(app)) == ["alone", "few-0", "few-1"]
        table(app).cursor = list(table(app).lines).index(big)
        await pilot.press("enter")
        await until(pilot, lambda: len(names(app)) == 12)
        assert table(app).selected_key == big.key
        await pilot.press("j", "left")  # from a run inside
        await until(pilot, lambda: len(names(app)) == 3)
        assert table(app).selected_key == big.key
        await pilot.press("space")
        assert set(app.state.marked) == set(big.run_ids), "a group is marked as a whole"
        await pilot.press("B")
        assert all(group.folded for group in heads(app))
        home(app).select(big.run_ids[0])
        assert selected(app) == big.run_ids[0], "whatever hides it"
        await choose(app, pilot, "b", "no groups")
        await until(pilot, lambda: not heads(app))
        assert len(names(app)) == 12
        await choose(app, pilot, "b", "jj")
        await until(pilot, lambda: "no run on the screen has" in told(app))
        assert not heads(app)

    drive(store_root, body)


def test_marks_are_kept_and_shown_even_out_of_sight(store_root: Path) -> None:
    for name in ("alpha", "beta", "gamma"):
        make_run(store_root, name)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("space", "space")
        assert marks(app) == 2
        assert table(app).cursor == 2, "it goes on, so that a row of them takes a row of keys"
        await pilot.press("I")
        assert marks(app) == 1
        await pilot.press("A", "slash", *"alpha", "enter")
        assert "3 marked, 2 out of sight" in title(app)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        question = app.screen
        assert isinstance(question, ConfirmScreen)
        said = " ".join(question.text)
        assert all(name in said for name in ("alpha", "beta", "gamma", "2 of them can't be seen"))
        await pilot.press("escape", "U")
        assert app.state.marked == ()
        await pilot.press("p", "space")
        await until(pilot, lambda: view_state.load(view_state.state_path(store_root)) == app.state)

    first = drive(store_root, body)

    async def look(app: HeatsApp, pilot: Pilot[None]) -> None:
        assert (app.state.marked, app.state.pinned) == (first.state.marked, first.state.pinned)

    drive(store_root, look)


def test_a_pinned_run_stays_on_top(store_root: Path) -> None:
    for name in ("c", "a", "b"):
        make_run(store_root, name)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        home(app).sort_by("name")
        assert names(app) == ["a", "b", "c"]
        await pilot.press("g", "j", "j", "p")
        assert names(app) == ["c", "a", "b"]
        assert [run.name for run in table(app).rows if run.id == selected(app)] == ["c"]
        await pilot.press("O")
        assert names(app) == ["c", "b", "a"]

    drive(store_root, body)


def test_deleting_several_and_taking_it_back(store_root: Path) -> None:
    made = [make_run(store_root, f"run-{number}") for number in range(4)]
    live = make_run(store_root, "live", state="running")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("A", "D")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "1 of the marked runs is running and stays" in told(app)
        await pilot.press("enter")  # the answer under the cursor keeps them
        await pilot.pause(0.1)
        assert all(run.folder.exists() for run in made)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: names(app) == ["live"])
        assert app.state.marked == (live.id,), "the marks of the others have gone with them"
        await pilot.press("u")
        await until(pilot, lambda: len(names(app)) == 5)
        assert all(run.folder.exists() for run in made)

    drive(store_root, body)


def test_the_trash(store_root: Path) -> None:
    made = [make_run(store_root, f"run-{number}") for number in range(3)]

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("A", "D")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: not names(app))
        await pilot.press("T")
        await until(pilot, lambda: isinstance(app.screen, TrashScreen) and len(app.screen.items) == 3)
        trash = app.screen
        assert isinstance(trash, TrashScreen)
        await pilot.press("enter")
        await until(pilot, lambda: len(trash.items) == 2)
        await pilot.press("space", "space", "D")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "nothing brings them back" in " ".join(app.screen.text)  # type: ignore[attr-defined]
        await pilot.press("y")
        await until(pilot, lambda: not trash.items)
        assert trash.query_one(SmallTable).row_count == 0
        await pilot.press("escape")
        await until(pilot, lambda: len(names(app)) == 1)
        assert sum(run.folder.exists() for run in made) == 1

    drive(store_root, body)


def test_tags_notes_stars_and_archived_runs(store_root: Path) -> None:
    made = [make_run(store_root, f"run-{number}", tags=("draft",)) for number in range(3)]

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("space", "space", "t")
        await until(pilot, lambda: isinstance(app.screen, PromptScreen))
        await pilot.press(*"paper ?", "enter")
        assert isinstance(app.screen, PromptScreen), "what can't be a tag isn't taken"
        await pilot.press("backspace", *"-draft", "enter")
        await until(pilot, lambda: sum(run.tags == ("paper",) for run in table(app).rows) == 2)
        await pilot.press("U", "g", "i")
        await until(pilot, lambda: isinstance(app.screen, PromptScreen))
        await pilot.press(*"look [bold]here", "enter")
        chosen = app.acts.run_paths(str(selected(app)))
        await until(pilot, lambda: read_notes(chosen.notes).note == "look [bold]here")
        await pilot.press("asterisk")
        await until(pilot, lambda: read_notes(chosen.notes).star)
        await pilot.press("Z")
        await until(pilot, lambda: len(names(app)) == 2)
        assert "1 archived, hidden" in title(app)
        await pilot.press("H")
        assert len(names(app)) == 3
        assert {run.tags for run in table(app).rows} == {("paper",), ("draft",)}
        assert len(made) == 3

    drive(store_root, body)


def test_any_option_or_metric_is_a_column(store_root: Path) -> None:
    for number, rate in enumerate(("0.003", "0.1", "0.02")):
        run = make_run(store_root, f"run-{number}")
        run.config.write_text(f"seed: 0\noptim:\n  lr: {rate}\n")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("C")
        await until(pilot, lambda: isinstance(app.screen, ColumnsScreen))
        await pilot.press(*"optim", "enter", "ctrl+o", "escape")
        await until(pilot, lambda: app.screen is home(app))
        assert "optim.lr" in app.state.columns
        await until(pilot, lambda: names(app) == ["run-0", "run-2", "run-1"])
        shown = [column.id for column, _ in table(app).columns]
        assert {"loss", "step", "optim.lr"} <= set(shown)
        home(app).sort_by("optim.lr")
        assert names(app) == ["run-1", "run-2", "run-0"]
        await choose(app, pilot, "b", "optim.lr")
        await until(pilot, lambda: [group.title for group in heads(app)][:1] == ["optim.lr = 0.1"])

    drive(store_root, body)


def test_filters_are_kept_by_name(store_root: Path) -> None:
    for name in ("alpha", "beta"):
        make_run(store_root, name)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"name:alpha", "enter", "F")
        await until(pilot, lambda: isinstance(app.screen, PickScreen))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PromptScreen))
        await pilot.press(*"mine", "enter", "escape")
        await until(pilot, lambda: app.state.filters == ("mine=name:alpha",))
        assert len(names(app)) == 2
        await choose(app, pilot, "F", "mine name")
        await until(pilot, lambda: names(app) == ["alpha"])
        assert home(app).query_one("#filter", Input).display, "what can't be seen must not be in force"
        assert home(app).query_one("#filter", Input).value == "name:alpha"
        await choose(app, pilot, "F", "delete mine")
        await until(pilot, lambda: app.state.filters == ())

    drive(store_root, body)


def test_stopping_and_resuming_several(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, str]] = []
    monkeypatch.setattr(actions, "stop", lambda run, *, now=False: done.append(("now" if now else "stop", run.id)))
    monkeypatch.setattr(actions, "resume", lambda run, **options: done.append(("resume", run.id)))
    live = [make_run(store_root, f"live-{number}", state="running") for number in range(2)]
    ended = [make_run(store_root, f"ended-{number}", state="stopped") for number in range(2)]

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("A", "s")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        said = " ".join(app.screen.text)  # type: ignore[attr-defined]
        assert "live-0" in said
        assert "20 steps in all" in said, "it says what would be lost: 10 of each"
        assert "2 of the marked runs aren't running" in said
        await pilot.press("y")
        await until(pilot, lambda: {("stop", run.id) for run in live} == set(done))
        done.clear()
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: {("resume", run.id) for run in ended} == set(done))

    drive(store_root, body)


S = TypeVar("S", bound=Screen[Any])


async def shown(app: HeatsApp, pilot: Pilot[None], kind: type[S]) -> S:
    """Wait for a kind of screen."""
    await until(pilot, lambda: isinstance(app.screen, kind))
    found = app.screen
    assert isinstance(found, kind)
    return found


def test_runs_are_compared_overlaid_and_cloned(store_root: Path) -> None:
    made = [make_run(store_root, f"run-{number}").id for number in range(2)]

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("d")
        assert "mark two runs" in told(app)
        await pilot.press("A", "d")
        compared = await shown(app, pilot, CompareScreen)
        assert set(compared.run_ids) == set(made)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is home(app))
        await pilot.press("z")
        overlaid = await shown(app, pilot, ChartScreen)
        assert set(overlaid.run_ids) == set(made)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is home(app))
        await pilot.press("U", "c")
        await shown(app, pilot, LaunchScreen)

    drive(store_root, body)


def test_by_mouse(store_root: Path) -> None:
    for number in range(4):
        make_run(store_root, f"run-{number}")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.click(table(app), offset=(0, 2))
        assert app.state.marked == (table(app).rows[1].id,)
        await pilot.click(table(app), offset=(20, 3))
        assert table(app).cursor == 2
        at, where = 2, 0
        for column, width in table(app).columns:
            if column.id == "loss":
                where = at + 1
            at += width + 1
        await pilot.click(table(app), offset=(where, 0))
        await until(pilot, lambda: (app.state.sort, app.state.reverse) == ("loss", False))
        await pilot.click(table(app), offset=(where, 0))
        await until(pilot, lambda: app.state.reverse)
        bar = home(app).query_one(KeyBar)
        x = 0
        for key, label in bar.shown(bar.size.width):
            if label == "Filter":
                break
            x += len(key) + len(label) + 3
        await pilot.click(bar, offset=(x + 1, 0))
        await until(pilot, lambda: app.focused is home(app).query_one("#filter", Input))
        assert "Commands" in {label for _, label in bar.shown(40)}, "by the mouse it leads to all the rest"

    drive(store_root, body)


def test_two_apps_on_one_store(store_root: Path) -> None:
    for number in range(3):
        make_run(store_root, f"run-{number}")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        other = HeatsApp(store_root)
        async with other.run_test(size=(80, 24)) as second:
            await until(second, lambda: len(table(other).rows) == 3)
            await second.press("G")
            chosen = selected(other)
            await pilot.press("D")
            await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            await pilot.press("y")
            await until(second, lambda: len(table(other).rows) == 2)
            assert selected(other) == chosen
            await second.press("i")
            await until(second, lambda: isinstance(other.screen, PromptScreen))
            await second.press(*"hello", "enter")
            await until(pilot, lambda: any(run.note == "hello" for run in table(app).rows))

    drive(store_root, body)


def test_read_only_refuses_every_act(store_root: Path) -> None:
    make_run(store_root)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        for key in ("t", "i", "asterisk", "Z", "D", "u", "c"):
            app.clear_notifications()
            await pilot.press(key)
            await until(pilot, lambda: "--read-only" in told(app))
            assert app.screen is home(app)
        await pilot.press("space")
        assert app.state.marked, "marks are the viewer's own"

    drive(store_root, body, read_only=True)


def test_a_pick_takes_clicks(store_root: Path) -> None:
    make_run(store_root)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, PickScreen))
        await pilot.click(app.screen.query_one(OptionList), offset=(4, 3))
        await until(pilot, lambda: app.state.group == "task")

    drive(store_root, body)


def test_how_long_ago_a_run_ended_goes_on_while_nothing_happens(
    store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(store_root, "done", state="finished", steps=20)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        def info() -> str:
            return str(getattr(home(app).info, "shown_text", ""))

        await until(pilot, lambda: "finished just now" in info())
        later = time.time() + 300
        monkeypatch.setattr("tui.screens.runs.time.time", lambda: later)
        await until(pilot, lambda: "finished 5m ago" in info())

    drive(store_root, body)


@pytest.mark.parametrize(("selected", "early"), [("run-5", ["run-5", "run-4"]), ("run-0", [])])
def test_of_a_large_store_the_newest_runs_stand_there_while_the_others_are_read(
    store_root: Path, monkeypatch: pytest.MonkeyPatch, selected: str, early: list[str]
) -> None:
    runs = [make_run(store_root, f"run-{number}", state="finished", steps=3) for number in range(6)]
    state = view_state.ViewState(selected=next(run.id for run in runs if look(run).name == selected))
    view_state.save(view_state.state_path(store_root), state)
    monkeypatch.setattr(run_list, "_NEWEST", 2)
    go_on, load = threading.Event(), run_list.RunList._load

    def slow(self: run_list.RunList, store: Store) -> bool:
        go_on.wait(120)
        return load(self, store)

    monkeypatch.setattr(run_list.RunList, "_load", slow)

    async def whole() -> None:
        app = HeatsApp(store_root)
        async with app.run_test(size=(160, 45)) as pilot:
            await until(pilot, lambda: len(app.screen_stack) > 1)
            if early:
                await until(pilot, lambda: names(app) == early)
                assert "reading 6 runs" in title(app)
            go_on.set()
            await until(pilot, lambda: len(names(app)) == 6)
            assert selected_name(app) == selected

    def selected_name(app: HeatsApp) -> str:
        run = table(app).selected
        return run.name if run is not None else ""

    asyncio.run(whole())
