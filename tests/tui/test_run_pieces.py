"""The pure parts of a run's screen: header, countdown, config, events, figures, checkpoints as rows."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from engine.store.checkpoint_report import inspect
from engine.store.paths import create_store
from engine.store.records import Event
from engine.store.requests import StopRequest
from engine.store.status import State
from tests.engine.store.made import write_checkpoint
from tests.tui.cli.stores import add_attempt, log_steps, make_run
from tests.tui.made import summary
from tui.checkpoint_rows import checkpoint_rows, checkpoint_titles, find_checkpoint, report_sentence
from tui.config_lines import Config, Entry, config_lines
from tui.event_lines import Happening, chosen, details, event_line, kinds_of
from tui.run_header import progress_line, state_line, title_line, wrong_lines
from tui.stop_countdown import Ladder
from tui.system_lines import Shown, figure_lines, history
from tui.widgets.lines import SomeLines, TextLines, find_all

RUN = summary(
    status=State.RUNNING, reason="training\x1b[31m", step=250, total_steps=1000, rate=12.5, left=3725.0,
    metrics={"val/loss": 0.5}, best={"val/loss": 0.4, "step": 200}, attempts=2, tags=("paper",),
    alerts=("first", "second", "third"), problems=("torn",), since=0.0,
)  # fmt: skip


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("plain", [False, True])
def test_the_header_fits_and_is_safe(width: int, plain: bool) -> None:
    title = title_line(RUN, width, 3600.0, ascii_only=plain)
    lines = [title, progress_line(RUN, width, ascii_only=plain), *wrong_lines(RUN, width, 2, ascii_only=plain)]
    assert all(cell_len(line) <= width or width < 40 for line in lines)
    assert "\x1b" not in "".join(lines)
    assert plain <= "".join(lines).isascii()


def test_the_header_says_what_counts() -> None:
    line = progress_line(RUN, 200)
    for word in ("25%", "250/1,000", "12.5/s", "1h02m left", "loss 0.5", "attempt 2", "+paper"):
        assert word in line
    wrong = wrong_lines(RUN, 200, 2)
    assert "torn" in wrong[0]
    assert "third" in wrong[1]
    assert "+2" in wrong[1]


def test_the_state_is_a_sentence() -> None:
    def line(status: State, reason: str, age: float) -> str:
        return state_line(summary(status=status, reason=reason, since=0.0), age, ascii_only=True)

    assert line(State.FINISHED, "finished at step 160", 300.0).endswith("finished 5m ago, at step 160")
    assert line(State.FAILED, "failed at step 10: NaN", 5.0).endswith("failed just now, at step 10: NaN")
    assert line(State.RUNNING, "the trainer is alive", 5.0).endswith("running: the trainer is alive")
    assert line(State.QUEUED, "it waits", 90.0).endswith("queued for 1m: it waits")


def test_the_ladder_counts_down() -> None:
    ladder = Ladder(StopRequest(1, 1000.0), 120.0)
    assert "saves its last checkpoint, for which it has 1m30s" in ladder.text(1030.0)
    assert "killed in 5s" in ladder.text(1125.0)
    assert "being killed" in ladder.text(1131.0)
    assert "killed in 9s" in Ladder(StopRequest(1, 1000.0, now=True), 120.0).text(1001.0)


def test_the_config_by_sections() -> None:
    config = Config(
        (
            Entry("seed", 0, 0, True),
            Entry("train.lr", 0.01, 0.001, True, "How fast."),
            Entry("train.steps", 20, 10, True, "", ((2, 15, 20),)),
            Entry("gone", 1),
        ),
    )
    lines, kinds, about = config_lines(config, 120, only_changed=False, ascii_only=True)
    assert len(lines) == len(kinds) == len(about)
    assert [line for line, kind in zip(lines, kinds, strict=True) if kind == "head"] == ["train"]
    assert any(line.startswith("* lr") and "default 0.001" in line for line in lines)
    assert any("attempt 2: 15 -> 20" in line for line in lines)
    only, _, entries = config_lines(config, 120, only_changed=True, ascii_only=True)
    assert {entry.key for entry in entries if entry} == {"train.lr", "train.steps"}
    assert not any("seed" in line for line in only)


def test_events_in_lines_and_in_full() -> None:
    metrics = {f"val/m{number}": number / 3 for number in range(20)}
    found = [
        Happening(1, Event("started", 0.0, 0, {"pid": 12345})),
        Happening(1, Event("evaluated", 1.0, 1000, {"metrics": metrics, "improved": True, "nothing": None})),
        Happening(2, Event("alert", 2.0, 1500, {"cause": "stall", "message": "two\nlines\x1b[2J"})),
    ]
    assert kinds_of(found)[0] == "alert"
    assert [item.event.name for item in chosen(found, "wrong")] == ["alert"]
    lines = [event_line(item, attempts=True) for item in found]
    assert "pid 12345" in lines[0]
    assert "1,000" in lines[1]
    assert "+14" in lines[1]
    assert all("\n" not in line and "\x1b" not in line for line in lines)
    text = "\n".join(details(found[1], 80))
    assert all(name in text for name in metrics)
    assert all(len(line) <= 80 for line in details(found[1], 80))


def test_figures_as_histories() -> None:
    times = np.arange(10, dtype=np.float64) * 10 + 1e9
    cpu = Shown("CPU", "all", "%", times, np.asarray([0, 0, 0, 0, 100, 0, 0, 0, 0, 0], np.float64), 100.0)
    drawn = history(cpu, 10, 2, (1e9, 1e9 + 90), ascii_only=True)
    assert drawn[0].count("@") == 1, "one spike stays one"
    assert len(drawn) == 2
    gap = Shown("CPU", "all", "%", times[[0, 9]], np.full(2, 50.0), 100.0)
    assert " " in history(gap, 10, 1, (1e9, 1e9 + 90))[0], "nothing is made up where nobody measured"
    for width, height in ((20, 3), (40, 6), (80, 20), (200, 60)):
        lines, kinds = figure_lines([cpu, gap], width, height, span=(1e9, 1e9 + 90))
        assert len(lines) == len(kinds)
        assert all(len(line) <= max(width, 40) for line in lines)


def test_checkpoints_as_rows(tmp_path: Path) -> None:
    run = make_run(create_store(tmp_path / "runs"))
    log_steps(add_attempt(run), 1, 20)
    for step in (10, 20):
        write_checkpoint(run, step, metric=0.5)
    (run.checkpoints / "step-00000030").mkdir()
    report = inspect(run, deep=True)
    assert not report.is_sound
    for width in (36, 60, 80, 160):
        titles = checkpoint_titles(width)
        rows = checkpoint_rows(report, titles, time.time(), deep=True)
        assert [len(row.cells) for row in rows] == [len(titles)] * 3
        assert all(str(cell) for cell in rows[0].cells)
    assert rows[0].key.endswith("step-00000030")
    _, item = find_checkpoint([report], rows[1].key)
    assert item is not None
    assert item.checkpoint.step == 20
    assert find_checkpoint([report], "gone/step") == (None, None)
    assert "1 broken" in report_sentence([report], deep=True)


def test_some_lines_out_of_many() -> None:
    source = TextLines([f"line {number}" for number in range(100)])
    some = SomeLines(source, np.asarray([3, 4, 5, 50, 99], np.int64))
    assert some.lines(0, 9) == ["line 3", "line 4", "line 5", "line 50", "line 99"]
    assert some.lines(2, 4) == ["line 5", "line 50"]
    assert some.find("50", 0) == 3
    assert find_all(some, "5").tolist() == [2, 3]
    assert [some.place_of(number) for number in (0, 4, 60)] == [0, 1, 3]
