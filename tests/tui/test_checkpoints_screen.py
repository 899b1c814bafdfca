"""The screen of checkpoints over all runs: real checkpoint folders, real plans, real hashes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from textual.pilot import Pilot

from engine.errors import HeatsError
from engine.store.checkpoint_report import inspect
from engine.store.paths import RunPaths
from tests.tui.driving import drive, told, until
from tests.tui.made import make_checkpoint as save
from tests.tui.made import make_run
from tui.checkpoint_stream import CheckpointStream, ReportsRead
from tui.checkpoint_sync import apply_sync, plan_partial_sync, undo_sync
from tui.heats_app import HeatsApp
from tui.screens.checkpoints import CheckpointsScreen
from tui.screens.confirm import ConfirmScreen
from tui.screens.plan import PlanScreen
from tui.screens.run import RunScreen
from tui.widgets.checkpoint_table import CheckpointLine, RunLine


@pytest.fixture
def two(store_root: Path) -> list[RunPaths]:
    """Two runs with steps 20 and 40 in common; one has gone further."""
    runs = [make_run(store_root, f"run-{number}") for number in range(2)]
    for run in runs:
        save(run, 20)
        save(run, 40)
    save(runs[1], 60)
    return runs


def screen(app: HeatsApp) -> CheckpointsScreen:
    found = app.screen
    assert isinstance(found, CheckpointsScreen)
    return found


async def go(app: HeatsApp, pilot: Pilot[None], runs: int) -> CheckpointsScreen:
    """To the screen, once it has looked at so many runs."""
    await pilot.press("3")
    await until(pilot, lambda: isinstance(app.screen, CheckpointsScreen))
    here = screen(app)
    await until(pilot, lambda: len(here.reports) == runs and here._stream is not None and here._stream.over)
    return here


def spoil(folder: Path) -> None:
    """Change a byte, the size as before."""
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def test_a_sync_leaves_out_what_it_must_and_can_be_taken_back(two: list[RunPaths], store_root: Path) -> None:
    live = make_run(store_root, "live", state="running")
    bare = make_run(store_root, "bare")
    plan = plan_partial_sync([*two, live, bare])
    assert (plan.step, plan.common) == (40, (20, 40))
    said = " ".join(plan.why_left_out({live.id: "live", bare.id: "bare"}))
    assert "live: it is still running" in said
    assert "bare: it has no checkpoint" in said
    assert len(plan.rows({})) == 4
    apply_sync(plan)
    assert [inspect(run).resumes_from for run in two] == [40, 40]
    undo_sync(plan)
    assert [inspect(run).resumes_from for run in two] == [40, 60]
    with pytest.raises(HeatsError, match="it takes two"):
        plan_partial_sync([two[0], live])


def test_runs_are_streamed_and_can_be_left(two: list[RunPaths]) -> None:
    got: list[ReportsRead] = []

    class Now:
        def run_worker(self, work: object, **_: object) -> None:
            work()  # type: ignore[operator]

    whole = CheckpointStream(two)
    whole.start(Now(), got.append)  # type: ignore[arg-type]
    assert [report.run for message in got for report in message.reports] == two
    assert got[-1].over
    got.clear()
    ended = CheckpointStream(two, deep=True)
    ended.leave()
    ended.start(Now(), got.append)  # type: ignore[arg-type]
    assert [message.over for message in got] == [True]
    assert not got[0].reports
    shutil.rmtree(two[0].folder)
    got.clear()
    CheckpointStream(two, with_empty=False).start(Now(), got.append)  # type: ignore[arg-type]
    assert [report.run for message in got for report in message.reports] == [two[1]], "a run that vanished is no error"


def test_what_is_wrong_is_found_shown_first_and_put_right(two: list[RunPaths], store_root: Path) -> None:
    spoil(two[0].checkpoints / "step-00000020")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        here = await go(app, pilot, 2)
        table = here.table
        assert [type(line) for line in table.lines] == [RunLine, *[CheckpointLine] * 3, RunLine, *[CheckpointLine] * 2]
        assert table.lines[0].report.run == two[1], "the newest run first"
        await pilot.press("X")
        await until(pilot, lambda: "1 of 5 checkpoints broken" in told(app))
        await pilot.press("p")
        assert table.lines[0].report.run == two[0]
        await pilot.press("j")
        assert table.item is not None
        assert table.item.checkpoint.step == 20
        assert "hash differs" in str(here.said.shown_text)  # type: ignore[attr-defined]
        await pilot.press("F")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: not (two[0].checkpoints / "step-00000020").exists())
        await until(pilot, lambda: all(report.is_sound for report in here.reports.values()))
        assert (store_root / ".trash" / ".checkpoints" / two[0].id).is_dir(), "nothing is deleted by it"

    drive(store_root, body)


def test_sync_of_marked_runs_asks_with_a_table(two: list[RunPaths], store_root: Path) -> None:
    make_run(store_root, "bare")

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        here = await go(app, pilot, 2)  # runs without checkpoints are left out among all
        await pilot.press("t")
        await until(pilot, lambda: "mark the runs" in told(app))
        await pilot.press("g", "space", "space")
        assert set(app.state.marked) == {run.id for run in two}
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen))
        question = app.screen
        assert isinstance(question, PlanScreen)
        assert {row[1:] for row in question.rows} == {
            ("step 60", "step 40", "20 steps back"), ("step 40", "step 40", "stays"),
        }  # fmt: skip
        await pilot.press("escape")
        assert inspect(two[1]).resumes_from == 60
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen))
        await pilot.press("y")
        await until(pilot, lambda: here.reports[two[1].id].resumes_from == 40)
        await pilot.press("u")
        await until(pilot, lambda: here.reports[two[1].id].resumes_from == 60)

    drive(store_root, body)


def test_rewind_and_prune_from_the_table(two: list[RunPaths], store_root: Path) -> None:
    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        here = await go(app, pilot, 2)
        await pilot.press("B")
        await until(pilot, lambda: "move to a checkpoint" in told(app))
        await pilot.press("g", "j", "j", "B")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: here.reports[two[1].id].resumes_from == 40)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is here)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is not here)

    drive(store_root, body)


def test_it_follows_the_marks_and_what_comes(two: list[RunPaths], store_root: Path) -> None:
    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("g", "space")
        here = await go(app, pilot, 1)
        assert here.scope == "marked"
        await pilot.press("b")
        await until(pilot, lambda: here.scope == "all" and len(here.reports) == 2)
        new = make_run(store_root, "new")
        save(new, 5)
        await until(pilot, lambda: new.id in here.reports)
        shutil.rmtree(two[0].folder)
        await until(pilot, lambda: two[0].id not in here.reports)

    drive(store_root, body)


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (200, 60)])
def test_every_size_and_nothing_but_ascii(two: list[RunPaths], store_root: Path, size: tuple[int, int]) -> None:
    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await go(app, pilot, 2)
        await pilot.press("space", "V")
        await pilot.pause(0.2)
        text = "".join(strip.text for strip in app.screen._compositor.render_strips())
        assert "step" in text
        assert not {sign for sign in text if not sign.isascii()}
        await pilot.resize_terminal(20, 4)
        await pilot.pause()

    drive(store_root, body, size=size, ascii_only=True)


def test_read_only_and_an_empty_store(store_root: Path) -> None:
    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, CheckpointsScreen))
        for key in ("V", "X", "t", "B", "F", "P", "r", "W", "space", "enter", "p", "b", "R", "u"):
            await pilot.press(key)
        assert screen(app).table.empty_text == ("no runs yet",)
        await pilot.press("escape")

    drive(store_root, body, read_only=True)
