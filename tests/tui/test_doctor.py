"""The doctor's screen: the worst first, and the keys that do what it proposes."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from engine.launch import actions, queue
from engine.launch.actions import Started
from engine.store import queue as files
from engine.store.doctor import Finding, Severity
from engine.store.files import write_json
from engine.store.paths import RunPaths, open_store
from tests.tui.driving import drive, told, until
from tests.tui.made import make_run
from tui.heats_app import HeatsApp
from tui.screens.confirm import ConfirmScreen
from tui.screens.doctor import DoctorScreen, detail, keyed, proposals
from tui.screens.run import RunScreen
from tui.widgets.small_table import SmallTable


async def go(app: HeatsApp, pilot: Pilot[None]) -> tuple[DoctorScreen, SmallTable]:
    await pilot.press("5")
    await until(pilot, lambda: isinstance(app.screen, DoctorScreen))
    screen = app.screen
    assert isinstance(screen, DoctorScreen)
    await until(pilot, lambda: screen._findings is not None)
    return screen, screen.query_one(SmallTable)


def text(screen: DoctorScreen, part: str) -> str:
    return str(screen.query_one(part, Static).content)


def test_nothing_wrong_is_said(store_root: Path) -> None:
    make_run(store_root)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        screen, table = await go(app, pilot)
        causes = [finding.cause for finding in (screen._findings or {}).values()]
        assert set(causes) <= {"logout"}, "a healthy store has no more than a note on this machine"
        await pilot.press("r", "s", "F", "enter", "R", "f5")
        assert table.row_count == len(causes)

    drive(store_root, body)


def test_the_worst_comes_first_and_its_keys_act(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = make_run(store_root, "broken", state="failed")
    make_run(store_root, "fine")
    resumed: list[str] = []

    def resume(run: RunPaths) -> Started:
        resumed.append(run.id)
        return Started(run, run.attempt(2), 50, ())

    monkeypatch.setattr(actions, "resume", resume)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        screen, table = await go(app, pilot)
        assert table.selected == f"{failed.id} failed"
        assert "1 thing needs you" in text(screen, "#title")
        assert f"heats resume {failed.id[-4:]}" in text(screen, "#detail")
        assert "r resumes it" in text(screen, "#detail")
        await pilot.press("r")
        await until(pilot, lambda: resumed == [failed.id])
        await pilot.press("s")
        await until(pilot, lambda: "isn't running" in told(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))

    drive(store_root, body, size=(80, 24))


def test_checkpoints_are_fixed_after_the_plan_was_shown(store_root: Path) -> None:
    run = make_run(store_root, "mine", state="stopped")
    broken = run.checkpoints / "step-00000050"
    broken.mkdir(parents=True)
    (broken / "checkpoint.json").write_text("{")
    write_json(run.resume, {"schema": 1, "last": "step-00000060", "best": None})

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        screen, table = await go(app, pilot)
        keys = [row.key for row in table._rows]
        table.select(next(key for key in keys if "checkpoint" in key))
        await until(pilot, lambda: "F fixes its checkpoints" in text(screen, "#detail"))
        await pilot.press("F")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        question = app.screen
        assert isinstance(question, ConfirmScreen)
        assert "mine" in question.title_text
        assert any("step-00000050" in line for line in question.text)
        assert broken.exists()
        await pilot.press("y")
        await until(pilot, lambda: not broken.exists())
        await until(pilot, lambda: "put right" in told(app))

    drive(store_root, body)


def test_a_paused_queue_goes_on(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "advance", lambda store: [])
    run = make_run(store_root, "mine", state="stopped")
    store = open_store(store_root)
    queue.open_queue(store)
    queue.pause(store)
    files.enqueue(run)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        screen, table = await go(app, pilot)
        assert table.selected == " queue"
        assert "p lets the queue go on, 4 shows the queue" in text(screen, "#detail")
        await pilot.press("r")
        await until(pilot, lambda: "about the machine" in told(app))
        await pilot.press("p")
        await until(pilot, lambda: not files.read_state(store).paused)
        await until(pilot, lambda: table.selected != " queue")

    drive(store_root, body)


def test_proposals_come_from_the_remedy() -> None:
    finding = Finding("r", Severity.ACT, "stalled", "no step", None, "`heats stop x1`, then `heats resume x1`")
    assert [words for _, words in proposals(finding)] == ["resumes it", "stops it, or ends what it left"]
    assert proposals(Finding("r", Severity.ACT, "clock", "ahead", None, "let both ask the network (NTP)")) == []
    assert "Here:" not in detail(finding, ascii_only=True, read_only=True)
    assert detail(finding, ascii_only=True, read_only=False).isascii()
    assert len(keyed([finding, finding])) == 2


def test_escape_codes_in_findings_reach_no_terminal() -> None:
    finding = Finding("r", Severity.ACT, "failed", "bad \x1b]52;c;aGk=\x07\x1b[31mred [bold]x[/bold]")
    shown = detail(finding, ascii_only=False, read_only=False)
    assert "\x1b" not in shown
    assert "[bold]x[/bold]" in shown
