"""Bindings, footer, help sheet and palette say the same, because they are made of one table."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from textual.command import CommandList
from textual.pilot import Pilot
from textual.screen import Screen

from tests.tui.driving import drive, until
from tui.actions import ACTIONS, APP, LAUNCH, RUN, RUNS, actions_of, bindings, footer, key_name
from tui.actions.action import CHART, CHECKPOINTS, COMPARE, DOCTOR, MACHINE, STUDIES, STUDY, TRASH
from tui.actions.run import TABS
from tui.heats_app import HeatsApp
from tui.palette import ActionProvider, palette_text
from tui.screens.chart import ChartScreen
from tui.screens.checkpoints import CheckpointsScreen
from tui.screens.compare import CompareScreen
from tui.screens.doctor import DoctorScreen
from tui.screens.help import sheet
from tui.screens.launch import LaunchScreen
from tui.screens.machine import MachineScreen
from tui.screens.run import RunScreen
from tui.screens.runs import RunsScreen
from tui.screens.studies import StudiesScreen
from tui.screens.study import StudyScreen
from tui.screens.trash import TrashScreen

SCREENS: dict[str, type[Screen[None]] | type[HeatsApp]] = {
    RUNS: RunsScreen,
    RUN: RunScreen,
    TRASH: TrashScreen,
    CHECKPOINTS: CheckpointsScreen,
    LAUNCH: LaunchScreen,
    CHART: ChartScreen,
    STUDIES: StudiesScreen,
    STUDY: StudyScreen,
    COMPARE: CompareScreen,
    MACHINE: MachineScreen,
    DOCTOR: DoctorScreen,
    APP: HeatsApp,
}


@pytest.mark.parametrize("where", SCREENS)
def test_bindings_are_the_table(where: str) -> None:
    expected = {(key, action.handler) for action in ACTIONS if where in action.where for key in action.keys}
    declared = SCREENS[where].__dict__["BINDINGS"]
    assert {(binding.key, binding.action) for binding in declared} == expected
    assert {(binding.key, binding.action) for binding in bindings(where)} == expected


@pytest.mark.parametrize("where", SCREENS)
def test_every_act_has_its_method(where: str) -> None:
    for action in ACTIONS:
        if where in action.where:
            assert callable(getattr(SCREENS[where], f"action_{action.handler.partition('(')[0]}")), action.id


@pytest.mark.parametrize("where", [where for where in SCREENS if where != APP])
def test_no_key_means_two_things(where: str) -> None:
    keys = Counter(key for action in actions_of(where) for key in action.keys)
    assert not [key for key, times in keys.items() if times > 1]


@pytest.mark.parametrize("where", [where for where in SCREENS if where != APP])
@pytest.mark.parametrize("width", [36, 76, 150])
def test_the_help_sheet_has_every_act(where: str, width: int) -> None:
    text = "\n".join(sheet(where, width))
    for action in actions_of(where):
        assert action.label in text
        for key in action.keys:
            assert key_name(key) in text


@pytest.mark.parametrize("where", [where for where in SCREENS if where != APP])
def test_the_footer_is_of_the_table(where: str) -> None:
    shown = footer(where)
    assert {action.id for action in shown} == {action.id for action in actions_of(where) if action.footer}
    assert len({action.footer for action in shown}) == len(shown)


def test_the_palette_has_every_act(store_root: Path) -> None:
    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        provider = ActionProvider(app.screen)
        found = [hit.text or str(hit.display) async for hit in provider.discover()]
        acts = [action for action in actions_of(RUNS) if action.id != "palette"]
        expected = [palette_text(action) for action in sorted(acts, key=lambda action: action.group == "Move")]
        assert found == expected
        hits = [hit.text async for hit in provider.search("smooth more")]
        assert any(text and text.startswith("Smooth more") for text in hits)
        await pilot.press("colon")
        await pilot.pause()
        assert app.screen is not app.screen_stack[1]
        await pilot.press(*"log scale")
        found_list = app.screen.query_one(CommandList)
        await until(pilot, lambda: found_list.options and "log scale" in str(found_list.options[0].prompt).lower())
        await pilot.press("enter")
        await until(pilot, lambda: app.state.log_y)

    drive(store_root, body)


DESTRUCTIVE = {
    "stop", "machine_stop", "doctor_stop", "stop_study", "queue_drop", "delete", "purge", "prune", "checkpoints_prune",
    "doctor_fix",
}  # fmt: skip
CHANGING = DESTRUCTIVE | {
    "new", "submit", "clone", "clone_compared", "resume", "doctor_resume", "checkpoints_resume", "save_now",
    "star", "tag", "tags", "note", "archive", "undo", "restore", "run_study", "redo",
    "queue_up", "queue_down", "queue_pause", "queue_advance", "doctor_queue",
    "rewind", "fix", "checkpoints_rewind", "checkpoints_fix", "checkpoints_sync", "checkpoints_undo",
}  # fmt: skip


def test_acts_that_lose_or_change_something_are_marked() -> None:
    assert {action.id for action in ACTIONS if action.destructive} == DESTRUCTIVE
    assert {action.id for action in ACTIONS if action.changes} == CHANGING
    assert asyncio.iscoroutinefunction(HeatsApp.action_quit)


def test_the_footer_of_a_tab_leaves_out_what_means_nothing_on_it() -> None:
    of = {tab: [action.id for action in footer(RUN, tab)] for tab in TABS}
    assert "prune" in of["checkpoints"]
    assert "prune" not in of["log"]
    assert "wrap" in of["log"]
    assert "metric" not in of["config"]
    assert all(shown[:2] == ["help", "back"] for shown in of.values()), "the way back is there at any width"


def test_a_key_does_the_same_on_every_screen() -> None:
    for keys in (
        ("overlay", "overlay_cells", "overlay_compared"),
        ("tag", "tags"),
        ("archive", "archive"),
        ("check", "checkpoints_deep"),
        ("rewind", "checkpoints_rewind"),
        ("fix", "checkpoints_fix", "doctor_fix"),
        ("prune", "checkpoints_prune"),
        ("export", "checkpoints_export"),
        ("clone", "clone_compared"),
        ("compare", "compare_cells"),
        ("checkpoints_again", "read_studies", "doctor_again"),
        ("mark_none", "unmark_cells"),
    ):
        assert len({action.keys[0] for action in ACTIONS if action.id in keys}) == 1, keys
