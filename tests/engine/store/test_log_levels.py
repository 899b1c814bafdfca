"""How serious lines of a log are, and where moments and steps stand in it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.store.log_levels import Level, LogLevels, level_of
from engine.store.log_places import find_place, parse_jump
from engine.store.logs import LogFile

LINES = (
    "a library prints before the log begins",
    "2026-01-02 10:00:00 INFO    step 10 of 40",
    "2026-01-02 10:00:10 WARNING slow",
    "  because of this",
    "2026-01-02 10:00:20 INFO    step 20 of 40",
    "Traceback (most recent call last):",
    '  File "x.py"',
    "2026-01-02 10:00:30 INFO    step 30 of 40",
    '{"time": 1.0, "level": "ERROR", "message": "x"}',
    "/x/y.py:12: UserWarning: odd",
)


def opened(path: Path, text: str) -> LogFile:
    path.write_text(text)
    log = LogFile(path)
    log.refresh()
    return log


def test_lines_have_the_level_of_what_they_go_on_with(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    log = opened(path, "".join(f"{line}\n" for line in LINES))
    levels = LogLevels(log)
    levels.refresh()
    assert levels.at_least(Level.WARNING).tolist() == [2, 3, 5, 6, 8, 9]
    assert levels.at_least(Level.ERROR).tolist() == [5, 6, 8]
    assert levels.count(Level.INFO) == 4
    with path.open("a") as file:
        file.write("goes on\n2026-01-02 10:00:40 ERROR   end\n")
    log.refresh()
    levels.refresh()
    assert levels.at_least(Level.WARNING).tolist()[-2:] == [10, 11]
    path.write_text("new\n")
    log.refresh()
    levels.refresh()
    assert levels.count(Level.INFO) == 1


def test_a_word_in_the_message_is_no_level() -> None:
    assert level_of(b"2026-01-02 10:00:00 INFO    no ERROR here") is Level.INFO
    assert level_of(b"ERROR") is None


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("step 20", 4), ("20", 4), ("step 25", 7), ("10:00:20", 4), ("2026-01-02 10:00:15", 4), ("line 3", 2),
        ("50%", 4), ("0%", 0), ("100%", 7), ("line 999", 7), ("step 999", 7),
    ],
)  # fmt: skip
def test_places(tmp_path: Path, typed: str, line: int) -> None:
    log = opened(tmp_path / "output.log", "".join(f"{text}\n" for text in LINES[:8]))
    now = time.mktime((2026, 1, 2, 12, 0, 0, 0, 0, -1))
    assert find_place(log, parse_jump(typed, now)) == line


def test_times_of_day_are_past_and_spans_are_ago() -> None:
    now = time.mktime((2026, 1, 2, 12, 0, 0, 0, 0, -1))
    assert parse_jump("13:00", now).value == now - 23 * 3600
    assert parse_jump("10m", now).value == now - 600
    for nonsense in ("", "yesterday", "25:99", "step", "1e9x"):
        with pytest.raises(HeatsError):
            parse_jump(nonsense, now)


def test_an_empty_log_has_one_place(tmp_path: Path) -> None:
    log = opened(tmp_path / "output.log", "")
    for typed in ("step 5", "10:00", "50%", "line 2"):
        assert find_place(log, parse_jump(typed, time.time())) == 0
