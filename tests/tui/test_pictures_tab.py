"""Pictures of a run in the app: there where there are any, as half blocks or letters, whatever lies in the folder."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image
from textual.pilot import Pilot
from textual.widgets import Static

from engine.store.paths import RunPaths
from tests.tui.driving import drive, until
from tests.tui.made import make_run
from tui.heats_app import HeatsApp
from tui.screens.run import RunScreen
from tui.screens.run_tabs.pictures import PicturesTab, picture_lines
from tui.widgets.tab_bar import TabBar


def draw(run: RunPaths) -> None:
    """What training and `heats explain` leave."""
    for folder, name in (("data", "confounded_samples"), ("explain", "other_dot-0-gradcam")):
        (run.pictures / folder).mkdir(parents=True)
        Image.new("RGB", (40, 20), (200, 100, 50)).save(run.pictures / folder / f"{name}.png")
    (run.pictures / "data" / "torn.png").write_bytes(b"no picture")
    found = {
        "checkpoint": 80, "split": "test", "samples": 40, "figures": {"accuracy": 0.97, "worst_group": 0.0},
        "saliency": {"gradient": {"share": 0.1, "ratio": 19.6}},
    }  # fmt: skip
    (run.pictures / "explain" / "explain.json").write_text(json.dumps(found))


def test_a_run_with_pictures_has_a_tab_for_them(store_root: Path) -> None:
    run = make_run(store_root, "seen")
    draw(run)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.open_tab is not None)
        screen = app.screen
        assert isinstance(screen, RunScreen)
        assert "pictures" in screen.query_one(TabBar).names
        await pilot.press("8")
        tab = screen.open_tab
        assert isinstance(tab, PicturesTab)
        await until(pilot, lambda: "▀" in tab.pane.text)
        text = tab.pane.text
        assert "worst group  0" in text
        assert "gradient in the cue  19.6 times" in text
        assert text.index("explain: other dot-0-gradcam") < text.index("data: confounded samples")
        assert "can't be read" in text
        await pilot.press("G")
        await until(pilot, lambda: tab.pane.top > 0)

    drive(store_root, body, size=(100, 30))


def test_a_run_without_any_says_how_to_draw_them(store_root: Path) -> None:
    run = make_run(store_root, "blank")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.open_tab is not None)
        screen = app.screen
        assert isinstance(screen, RunScreen)
        assert "pictures" not in screen.query_one(TabBar).names
        await pilot.press("8")
        await until(pilot, lambda: "there are none yet" in str(screen.query_one("#pictures-head", Static).content))
        assert f"heats explain {run.id}" in str(screen.query_one("#pictures-head", Static).content)

    drive(store_root, body)


def test_letters_stand_in_for_blocks_and_damaged_figures_for_none(tmp_path: Path) -> None:
    run = RunPaths(tmp_path / "run")
    draw(run)
    assert not any("▀" in line.plain for line in picture_lines(run, 80, ascii_only=True))
    for content in (b"", b"{}", b"[]", b'{"checkpoint": 1, "split": "val", "samples": 2, "figures": 3, "saliency": 4}'):
        (run.pictures / "explain" / "explain.json").write_bytes(content)
        assert any("confounded samples" in line.plain for line in picture_lines(run, 80, ascii_only=False))
