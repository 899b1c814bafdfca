"""Runs side by side: what differs, which is better, where they part."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from engine.store.files import read_json, write_json
from engine.store.paths import RunPaths
from tests.tui.driving import drive, told
from tests.tui.driving import until as wait
from tests.tui.made import decay, make_run
from tui.compare_table import name_of, table_rows
from tui.comparing import letters, mode_of, read_compared, winners
from tui.heats_app import HeatsApp
from tui.screens.compare import CompareScreen
from tui.screens.run import RunScreen
from tui.widgets.grid import GridView
from tui.widgets.text_pane import TextPane

PATIENCE_SECONDS = 120.0
"""The first look imports scipy, which takes long on a busy machine."""


async def until(pilot: Pilot[None], check: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something is so."""
    await wait(pilot, check, seconds)


def options(run: RunPaths, text: str) -> None:
    """Other options for a made run."""
    run.config.write_text(f"seed: 0\ntrain:\n  max_steps: 1000\n{text}")


def pair(root: Path) -> tuple[RunPaths, RunPaths]:
    """Two runs that differ in one option and part at step 30."""
    first = make_run(root, "first")
    second = make_run(root, "second", loss=lambda step: decay(step) - (0.1 if step >= 30 else 0.0))
    options(second, "optim:\n  lr: 0.25\n")
    return first, second


def test_what_is_better_is_known_by_the_runs_or_by_the_name(store_root: Path) -> None:
    first, second = (read_compared(run) for run in pair(store_root))
    assert mode_of("val/exact_match", [first, second]) == "max"
    assert mode_of("train/loss", [first, second]) == "min"
    assert mode_of("train/lr", [first, second]) is None
    assert winners([1.0, None, 0.5, math.nan, 0.5], "min") == {2, 4}
    assert winners([1.0, 1.0], "max") == set()
    assert winners([1.0, 2.0], None) == set()
    assert [letters(index) for index in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


def test_the_table_has_only_what_differs_unless_asked(store_root: Path) -> None:
    compared = [read_compared(run) for run in pair(store_root)]
    rows = {row.key: row for row in table_rows(compared, {})}
    assert [key for key in rows if key.startswith("option ")] == ["option optim.lr"]
    assert [str(cell) for cell in rows["option optim.lr"].cells][1] == "0.25"
    assert str(rows["best train/loss"].cells[1]).endswith("*"), "the lower loss is marked"
    assert not str(rows["last train/lr"].cells[0]).endswith("*"), "nobody knows which rate is better"
    assert len([row for row in table_rows(compared, {}, everything=True) if row.key.startswith("option ")]) > 50


def grid(app: HeatsApp) -> GridView:
    return app.screen.query_one(GridView)


def cells(app: HeatsApp, key: str) -> list[str]:
    return [str(cell) for row in grid(app).rows if row.key == key for cell in row.cells]


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (160, 45)])
def test_two_runs(store_root: Path, size: tuple[int, int]) -> None:
    first, second = pair(store_root)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        screen = CompareScreen([first.id, second.id])
        app.push_screen(screen)
        await until(pilot, lambda: screen.table is not None and cells(app, "parts train/loss")[1:] == ["30"])
        assert cells(app, "parts train/lr") == ["", "never"]
        assert "they part at step 30" in screen.query_one(TextPane).text
        await pilot.press("a")
        assert len(grid(app).rows) > 60
        await pilot.press("a", "l")
        assert grid(app).selected is not None
        assert grid(app).selected[1] == second.id  # type: ignore[index]
        await pilot.press("b")
        await until(pilot, lambda: screen.run_ids == [second.id, first.id] and "30" in cells(app, "parts train/loss"))
        await pilot.press("x")
        await until(pilot, lambda: "two runs are the least" in told(app))
        await pilot.press("tab")
        assert app.focused is screen.query_one(TextPane)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)

    drive(store_root, body, size=size)


def test_names_that_differ_at_their_end_are_told_apart_where_there_is_room(store_root: Path) -> None:
    runs = [make_run(store_root, f"a-rather-long-name-{at}") for at in (16, 32)]

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        screen = CompareScreen([run.id for run in runs])
        app.push_screen(screen)
        await until(pilot, lambda: screen.table is not None and grid(app).columns)
        titles = [column.title for column in grid(app).columns]
        assert [title.rpartition(" ")[0] for title in titles] == ["A a-rather-long-name-16", "B a-rather-long-name-32"]

    drive(store_root, body, size=(120, 36))


def test_twenty_runs_at_80_columns_keep_their_digits(store_root: Path) -> None:
    runs = [make_run(store_root, f"a-run-with-a-long-name-{at}", steps=20 + at) for at in range(20)]

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        screen = CompareScreen([run.id for run in runs])
        app.push_screen(screen)
        await until(pilot, lambda: screen.table is not None and len(screen.diffs) == 19)

        def text() -> list[str]:
            return [strip.text for strip in app.screen._compositor.render_strips()]

        steps = next(line for line in text() if line.startswith("steps"))
        assert steps.split()[1:] == [f"{20 + at}/1k" for at in range(len(steps.split()) - 1)]
        assert len(steps.split()) >= 4
        for _ in range(19):
            await pilot.press("l")
        assert any("39/1k" in line for line in text())
        await pilot.press("x")
        await until(pilot, lambda: len(grid(app).columns) == 19)

    drive(store_root, body, size=(80, 24), ascii_only=True)


def test_one_run_is_compared_with_the_one_it_was_made_from(store_root: Path) -> None:
    first, second = pair(store_root)

    def write_parent(parent: str) -> None:
        write_json(second.record, (read_json(second.record) or {}) | {"parent": parent})

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        alone = CompareScreen([second.id])
        app.push_screen(alone)
        await until(pilot, lambda: alone.table is not None)
        assert "it was made from no other" in alone.query_one(TextPane).text
        await pilot.press("escape")
        write_parent(first.id)
        both = CompareScreen([second.id])
        app.push_screen(both)
        await until(pilot, lambda: both.run_ids == [first.id, second.id])

    drive(store_root, body)


def test_a_run_that_is_gone_is_left_out_and_named(store_root: Path) -> None:
    first, second = pair(store_root)
    first.config.write_text("{{{")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        screen = CompareScreen([first.id, "20200101-000000_multiplication-gone_0000", second.id])
        app.push_screen(screen)
        await until(pilot, lambda: screen.diffs)
        assert screen.table is not None
        assert [name_of(item)[:-5] for item in screen.table.compared] == ["first", "second"]
        said = screen.query_one(TextPane).text
        assert "is not in the store any more" in said
        assert said.count("compared as stored") == 1, "once, though the table and the pair both know of it"

    drive(store_root, body)
