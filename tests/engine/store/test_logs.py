"""Logs: what is in a file never raises, and looks as a terminal would have left it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.store.logs import LogFile, clean_line, tail


def _opened(path: Path) -> LogFile:
    log = LogFile(path)
    log.refresh()
    return log


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain", "plain"),
        (b"\r 10%|#   |\r 50%|##  |\r100%|####|", "100%|####|"),
        (b"100%\r", "100%"),
        (b"windows\r", "windows"),
        (b"bar\r\x1b[K", "bar"),
        (b"\x1b[31mred\x1b[0m and \x1b]8;;http://x\x07link\x1b]8;;\x07", "red and link"),
        (b"a\tb", "a       b"),
        (b"bad \xff\xfe byte", "bad \ufffd\ufffd byte"),
        ("grün ✔".encode(), "grün ✔"),
        (b"bell\x07 and null\x00", "bell and null"),
        (b"", ""),
    ],
)
def test_a_line_as_a_terminal_leaves_it(raw: bytes, shown: str) -> None:
    assert clean_line(raw) == shown


def test_lines_of_a_growing_file(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    log = LogFile(path)
    assert not log.refresh()
    assert log.line_count == 0
    path.write_text("one\ntw")
    assert log.refresh()
    assert log.lines(0, 9) == ["one", "tw"]
    assert (log.whole_lines, log.line_count) == (1, 2)
    with path.open("a") as file:
        file.write("o\nthree\n")
    assert log.refresh()
    assert log.lines(1, 3) == ["two", "three"]
    assert log.whole_lines == log.line_count == 3
    assert not log.refresh()


def test_a_replaced_or_cut_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    path.write_text("old 1\nold 2\n")
    log = _opened(path)
    (tmp_path / "new").write_text("new 1\nnew 2\nnew 3\n")
    os.replace(tmp_path / "new", path)
    assert log.refresh()
    assert log.generation == 1
    assert log.lines(0, 9) == ["new 1", "new 2", "new 3"]
    path.write_text("cut\n")
    assert log.refresh()
    assert log.generation == 2
    assert log.lines(0, 9) == ["cut"]


def test_a_progress_bar_of_megabytes_costs_its_end(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    path.write_bytes(b"start\n" + b"".join(b"\r%d%%" % (step % 100) for step in range(500_000)) + b"\r99% done")
    log = _opened(path)
    begin = time.process_time()
    assert log.lines(0, 2) == ["start", "99% done"]
    assert tail(path, 1) == ["99% done"]
    assert time.process_time() - begin < 0.1


def test_a_hundred_thousand_lines_open_in_time(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    path.write_text("".join(f"step {step} loss 0.123 and some words to fill it\n" for step in range(100_000)))
    begin = time.process_time()
    log = _opened(path)
    assert len(log.lines(99_950, 100_000)) == 50
    assert time.process_time() - begin < 0.2
    assert log.find("step 99998 ", 0) == 99_998


def test_finding(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    path.write_text("Alpha\nbeta\n\x1b[1mal\x1b[0mpha\nAlphabet\n")
    log = _opened(path)
    assert log.find("alpha", 0) == 0
    assert log.find("alpha", 1) == 2
    assert log.find("Alpha", 1) == 3
    assert log.find("alpha", 3, backwards=True) == 3
    assert log.find("beta", 3, backwards=True) == 1
    assert log.find("gamma", 0) is None
    assert log.find("", 0) is None


@given(st.binary(max_size=300), st.integers(0, 8))
@settings(max_examples=150, deadline=None)
def test_any_content(tmp_path_factory: pytest.TempPathFactory, content: bytes, count: int) -> None:
    path = tmp_path_factory.getbasetemp() / "any.log"
    path.write_bytes(content)
    raw = content.split(b"\n")
    whole = [clean_line(line) for line in (raw if raw[-1] else raw[:-1])]
    log = _opened(path)
    assert log.lines(0, len(whole) + 5) == whole
    assert tail(path, count) == (whole[-count:] if count else [])
    log.find("a", 0)


def test_no_file(tmp_path: Path) -> None:
    assert tail(tmp_path / "none", 5) == []
    assert _opened(tmp_path / "none").lines(0, 5) == []


@pytest.mark.parametrize("pattern", ["needle", "Needle", "x", "nowhere", "grün", "", "100%"])
def test_all_lines_with_a_text_are_found(tmp_path: Path, pattern: str) -> None:
    path = tmp_path / "output.log"
    odd = ["Needle grün", "a\tneedle", "\x1b[31mnee\x1b[0mdle", "50%\r100%", "needle\rgone", "x" * 9]
    path.write_text(
        "".join(f"{odd[at % 6]} {at}\n" if at % 7 == 0 else f"line {at}\n" for at in range(9000)) + "needle"
    )
    log = _opened(path)
    exact = pattern != pattern.lower()
    texts = [line if exact else line.lower() for line in log.lines(0, log.line_count)]
    expected = [number for number, text in enumerate(texts) if pattern and pattern in text]
    assert log.find_all(pattern).tolist() == expected
