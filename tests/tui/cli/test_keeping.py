"""`tag`, `note`, `star`, `archive`, `delete`, `restore`, `purge` and `export` as people and scripts use them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.store.paths import Store
from engine.store.records import Notes, read_notes
from tests.tui.cli.stores import command_line, finished_run, heats, process_environment
from tui.cli.root import run as heats_here


def _json(capsys: pytest.CaptureFixture[str], store: Store, *words: str, code: int = 0) -> Any:
    assert heats_here(["--runs-dir", str(store.root), *words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def _said(capsys: pytest.CaptureFixture[str], store: Store, *words: str, code: int = 2) -> str:
    capsys.readouterr()
    assert heats_here(["--runs-dir", str(store.root), *words]) == code
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_tags_stars_and_notes_of_several_runs(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = finished_run(store, name="one"), finished_run(store, name="two", tags=("draft",))
    found = _json(capsys, store, "tag", "one", "two", "+paper", "--add", "größe", "--remove", "draft")
    assert [item["tags"] for item in found] == [["paper", "größe"]] * 2
    _json(capsys, store, "star", "one", "two")
    _json(capsys, store, "star", "two", "--off")
    _json(capsys, store, "note", "two", "lower", "rate", "helped")
    _json(capsys, store, "note", "two", "a lot", "--append")
    tags = ("paper", "größe")
    assert read_notes(first.notes) == Notes(tags, star=True)
    assert read_notes(second.notes) == Notes(tags, "lower rate helped\na lot")
    listed = {item["name"]: item for item in _json(capsys, store, "list")}
    assert (listed["one"]["star"], listed["two"]["note"]) == (True, "lower rate helped\na lot")


def test_archived_runs_leave_the_list_and_come_back(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    made = finished_run(store)
    _json(capsys, store, "archive", made.id)
    assert _json(capsys, store, "list") == []
    _json(capsys, store, "archive", made.id, "--off")
    assert [item["id"] for item in _json(capsys, store, "list")] == [made.id]


def test_a_note_from_stdin_and_from_an_editor(store: Store, tmp_path: Path) -> None:
    import subprocess

    made = finished_run(store)
    subprocess.run(
        command_line("note", made.id, "-", store=store), input="from a pipe\n", text=True, check=True,
        env=process_environment(), capture_output=True,
    )  # fmt: skip
    assert read_notes(made.notes).note == "from a pipe"
    editor = tmp_path / "editor.py"
    editor.write_text("import sys\nopen(sys.argv[1], 'a').write(' and an editor\\n')\n")
    environment = {"VISUAL": f"{sys.executable} {editor}"}
    done = heats("note", made.id, "--edit", store=store, environment=environment)
    assert done.stdout == "from a pipe and an editor\n"
    meddler = tmp_path / "meddler.py"  # somebody else writes while the editor is open
    other = " ".join(command_line("note", made.id, "meanwhile", store=store))
    meddler.write_text(f"import os, sys\nopen(sys.argv[1], 'w').write('mine')\nos.system({other!r})\n")
    done = heats("note", made.id, "--edit", store=store, environment={"VISUAL": f"{sys.executable} {meddler}"})
    assert "somebody else changed the note" in done.stderr
    assert read_notes(made.notes).note == "meanwhile"


def test_delete_restore_and_purge(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = finished_run(store, name="one"), finished_run(store, name="two")
    plan = _json(capsys, store, "delete", "one", "two")
    assert (plan["deleted"], [item["id"] for item in plan["runs"]]) == (False, [first.id, second.id])
    assert plan["bytes"] > 0
    assert len(store.run_ids()) == 2
    assert _json(capsys, store, "delete", "one", "two", "--yes")["deleted"] is True
    assert store.run_ids() == []
    assert {item["id"] for item in _json(capsys, store, "restore", "--list")} == {first.id, second.id}
    assert _json(capsys, store, "restore", "one") == {"restored": [first.id]}
    assert _json(capsys, store, "purge", "--older-than", "1h")["runs"] == []
    assert _json(capsys, store, "purge", "--all")["purged"] is False
    assert len(_json(capsys, store, "restore", "--list")) == 1
    assert _json(capsys, store, "purge", "--all", "--yes")["purged"] is True
    assert _json(capsys, store, "restore", "--list") == []
    assert store.run_ids() == [first.id]


def test_export_into_a_file_that_is_there(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished_run(store, name="one")
    file = tmp_path / "out.json"
    file.write_text("dear")
    assert "--yes replaces it" in _said(capsys, store, "export", "one", "--output", str(file))
    assert file.read_text() == "dear"
    assert heats_here(["--runs-dir", str(store.root), "export", "one", "--output", str(file), "--yes"]) == 0
    assert len(json.loads(file.read_text())) == 20
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")] == []


def test_export_to_a_pipe(store: Store) -> None:
    finished_run(store, name="one")
    done = heats("export", "one", store=store)
    assert done.stdout.splitlines()[0] == "run,step,time,train/loss"
    assert len(done.stdout.splitlines()) == 21
    table = heats("export", "--all", "--summary", "--json", store=store)
    assert json.loads(table.stdout)[0]["config.train.max_steps"] == 1000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tag", "one", "paper"], "a tag to add is written with a + before it"),
        (["tag", "one", "+two words"], "can't be a tag"),
        (["tag", "+x"], "no run is named"),
        (["note", "one", "--append"], "--append needs a text"),
        (["note", "one", "x", "--edit"], "--edit takes no text"),
        (["restore"], "--list"),
        (["restore", "x"], "the trash is empty"),
        (["purge"], "it isn't said what to purge"),
        (["purge", "--older-than", "soon"], "is no age"),
        (["export"], "it isn't said which runs"),
        (["export", "one", "--json", "--format", "csv"], "give one of them"),
        (["export", "one", "--summary", "--long"], "leave out --long"),
        (["efficiency", "one"], "nothing to compare with"),
        (["efficiency", "one", "two", "--target", "x"], "is no number"),
    ],
)
def test_mistakes(store: Store, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    for name in ("one", "two"):
        finished_run(store, name=name)
    assert said in _said(capsys, store, *words)


@pytest.mark.parametrize(
    "verb",
    ["tag", "note", "star", "archive", "delete", "restore", "purge", "export", "import", "efficiency"],
)
def test_each_explains_itself_in_80_columns(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert heats_here([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: heats {verb}" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
