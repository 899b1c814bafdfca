"""People's notes on runs: nothing they wrote is lost, whoever else writes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import HeatsError, MachineError
from engine.store import notes as module
from engine.store.notes import check_tag, edit_notes, with_tags
from engine.store.paths import RunPaths
from engine.store.records import Notes, read_notes
from tests.engine.store.made import make_run, make_store

_EDITOR = """
import sys
from dataclasses import replace
from pathlib import Path
from engine.store import notes
from engine.store.notes import edit_notes, with_tags
from engine.store.paths import RunPaths
notes._PATIENCE_SECONDS = notes._STALE_SECONDS = 300.0  # on a crowded machine one may be kept waiting by the other
if sys.argv[3] == "no-flock":
    import errno, fcntl
    def refuse(*words):
        raise OSError(errno.ENOLCK, "No locks available")
    fcntl.flock = refuse
run = RunPaths(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(100):
    edit_notes(run, lambda notes: with_tags(notes, [f"{sys.argv[2]}{number}"]))
"""


@pytest.fixture
def run(tmp_path: Path) -> RunPaths:
    return make_run(make_store(tmp_path / "runs"))


@pytest.mark.parametrize("how", ["flock", "no-flock"])
def test_two_people_editing_at_once_lose_nothing(run: RunPaths, how: str) -> None:
    editors = [
        subprocess.Popen(
            [sys.executable, "-c", _EDITOR, str(run.folder), who, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for who in ("a", "b")
    ]
    for editor in editors:
        assert editor.stdout is not None
        editor.stdout.readline()
    for editor in editors:
        assert editor.stdin is not None
        editor.stdin.write(b"\n")
        editor.stdin.flush()
    assert [editor.wait(timeout=500) for editor in editors] == [0, 0]
    assert sorted(read_notes(run.notes).tags) == sorted(f"{who}{number}" for who in "ab" for number in range(100))
    for editor in editors:
        editor.communicate()


def test_fields_of_other_versions_stay(run: RunPaths) -> None:
    run.notes.write_text(json.dumps({"schema": 1, "tags": ["a"], "note": "why", "colour": {"of": "hope"}}))
    assert edit_notes(run, lambda notes: replace(notes, star=True)) == Notes(("a",), "why", star=True)
    assert json.loads(run.notes.read_text()) == {
        "schema": 1, "tags": ["a"], "note": "why", "star": True, "archived": False, "colour": {"of": "hope"},
    }  # fmt: skip


def test_notes_of_a_newer_heats_are_not_touched(run: RunPaths) -> None:
    run.notes.write_text('{"schema": 9, "tags": 7}')
    with pytest.raises(HeatsError, match="newer heats"):
        edit_notes(run, lambda notes: replace(notes, star=True))
    assert run.notes.read_text() == '{"schema": 9, "tags": 7}'


@pytest.mark.parametrize("content", [b'{"tags": ["a", "b"', b'{"tags": "no list"}', b"\xff\xfe"])
def test_a_damaged_file_is_kept_beside_the_new_one(run: RunPaths, content: bytes) -> None:
    run.notes.write_bytes(content)
    edit_notes(run, lambda notes: with_tags(notes, ["new"]))
    assert read_notes(run.notes).tags == ("new",)
    assert run.notes.with_name("notes.damaged.json").read_bytes() == content


def test_an_edit_that_is_refused_changes_nothing(run: RunPaths) -> None:
    edit_notes(run, lambda notes: with_tags(notes, ["a"]))
    before = run.notes.read_bytes()
    with pytest.raises(HeatsError):
        edit_notes(run, lambda notes: with_tags(notes, ["b", "two words"]))
    assert run.notes.read_bytes() == before


def test_a_lock_left_by_a_dead_editor_goes_stale(run: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    claim = run.folder / ".notes.claim"
    claim.touch()
    os.utime(claim, (time.time() - 60, time.time() - 60))
    assert edit_notes(run, lambda notes: replace(notes, star=True)).star
    assert not claim.exists()


def test_a_lock_that_is_held_is_said(run: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.05)
    with (run.folder / ".notes.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(MachineError, match="somebody else"):
            edit_notes(run, lambda notes: replace(notes, star=True))


def test_tags_keep_their_order_and_come_once() -> None:
    notes = Notes(("a", "b", "c"))
    assert with_tags(notes, ["d", "a", "d"], ["b"]).tags == ("a", "c", "d")
    assert with_tags(Notes(("two words",)), [], ["two words"]).tags == ()  # what other tools wrote can be removed


@pytest.mark.parametrize("tag", ["paper", "größe", "論文", "v1.2-rc+3", "a/b", "me@lab", "7", "x" * 64])
def test_tags_that_are_allowed(tag: str) -> None:
    assert check_tag(tag) == tag


@pytest.mark.parametrize("tag", ["", "two words", "-x", "+x", "a,b", "a:b", 'a"b', "a\x1b[31m", "a\n", "x" * 65, "(a)"])
def test_tags_that_are_not(tag: str) -> None:
    with pytest.raises(HeatsError, match="can't be a tag"):
        check_tag(tag)
