"""The pure pieces: cutting, tables, curves, tails."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.cli import terminal
from tui.cli.chart import chart
from tui.cli.table import Cell, Column, render
from tui.cli.tail import LineFollower, last_lines
from tui.cli.verbs import VERBS, nearest_verb


@pytest.fixture(autouse=True)
def _unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def test_cut_keeps_head_and_tail() -> None:
    assert terminal.cut("20261019-043102_task-slug_x7f2", 20, head=8) == "20261019…k-slug_x7f2"
    assert terminal.cut("abcdef", 4) == "abc…"
    assert terminal.cut("abc", 3) == "abc"


@given(st.text(max_size=60), st.integers(0, 40), st.none() | st.integers(0, 20))
def test_cut_never_exceeds_its_width(text: str, width: int, head: int | None) -> None:
    assert terminal.cells(terminal.cut(text, width, head=head)) <= width


@given(st.text(max_size=200))
def test_safe_text_is_one_line_without_control_characters(text: str) -> None:
    shown = terminal.safe(text)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)


def test_log_lines_end_as_a_terminal_would_show_them() -> None:
    assert terminal.safe_log_line("10%\r50%\r100%\r", colours=False) == "100%"
    assert terminal.safe_log_line("done\r\x1b[K   ", colours=False) == "done"
    coloured = terminal.safe_log_line("\x1b[2J\x1b[31mred\x1b[0m\x1b]0;title\x07", colours=True)
    assert coloured == "\x1b[31mred\x1b[0m\x1b[0m"
    assert terminal.safe_log_line("\x1b[31mred", colours=False) == "red"


def test_tables_align_wide_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    columns = [Column("name", flexible=True, head=4), Column("n", right=True)]
    shown = render(columns, [[Cell("数据"), Cell("1")], [Cell("x" * 60), Cell("22")]]).splitlines()
    assert {terminal.cells(line) for line in shown} == {40}


def test_charts_fill_their_room() -> None:
    for ascii_only in (False, True):
        drawn = chart([math.exp(-step / 50) for step in range(500)], 30, 4, ascii_only=ascii_only)
        assert [len(row) for row in drawn.rows] == [30] * 4
        assert drawn.logarithmic
    assert all(0x2800 <= ord(mark) <= 0x28FF for row in chart([1, 2, 3], 10, 2).rows for mark in row)


@given(st.lists(st.floats(), max_size=50), st.integers(1, 20), st.integers(1, 6), st.booleans())
def test_charts_take_any_numbers(values: list[float], width: int, height: int, ascii_only: bool) -> None:
    drawn = chart(values, width, height, ascii_only=ascii_only)
    assert [len(row) for row in drawn.rows] == [width] * height


@given(st.lists(st.text(alphabet="ab \r\x85é", max_size=8), max_size=30), st.integers(0, 40), st.booleans())
def test_last_lines_are_the_files(lines: list[str], count: int, closed: bool) -> None:
    import tempfile

    content = "\n".join(lines) + ("\n" if closed and lines else "")
    expected = content.split("\n")
    expected = expected[:-1] if expected[-1] == "" else expected
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(content.encode())
        assert last_lines(path, count) == (expected[-count:] if count else [])
        assert LineFollower(path, None).read(rest=True) == expected


def test_long_files_are_read_from_their_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"{number:>99}\n" for number in range(20_000)))
    assert [int(line) for line in last_lines(path, 3000)] == list(range(17_000, 20_000))
    assert last_lines(tmp_path / "missing", 5) == []


def test_a_follower_gives_whole_lines_and_notices_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    follower = LineFollower(path, 5)
    assert follower.read() == []
    path.write_text("one\ntw")
    assert follower.read() == ["one"]
    path.write_text("one\ntwo\nthree")
    assert follower.read() == ["two"]
    path.write_text("new\n")
    assert follower.read() == ["new"]


def test_every_verb_is_there_and_other_tools_words_lead_to_one() -> None:
    for module, line in VERBS.values():
        assert module.startswith("tui.cli.")
        assert line.endswith(".")
    assert nearest_verb("ls") == "list"
    assert nearest_verb("watc") == "watch"
    assert nearest_verb("zzz") is None
