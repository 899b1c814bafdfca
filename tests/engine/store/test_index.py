"""The index is a convenience: whatever happens to it, the list is right."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from zlib import crc32

import pytest

from engine.store import index
from engine.store.files import write_json
from engine.store.index import index_path, list_runs, newest_runs
from engine.store.paths import RunPaths, Store
from engine.store.status import State
from tests.engine.store.made import add_attempt, finished_run, log_event, log_steps, make_run, make_store


@pytest.fixture
def store(store_root: Path) -> Store:
    return make_store(store_root)


@pytest.fixture
def filled(store: Store) -> Store:
    for number in range(3):
        rest(finished_run(store, created=1.7e9 + 100 * number, name=f"run-{number}"))
    list_runs(store)
    return store


def rest(run: RunPaths) -> RunPaths:
    """Let a run's last change be long ago: what changed in this very moment isn't kept yet."""
    for folder in (run.attempts_folder, run.folder):
        os.utime(folder, (1.7e9, 1.7e9 + 0.5))
    return run


def names(store: Store) -> list[str]:
    return [found.name for found in list_runs(store)]


def rows(store: Store) -> int:
    with sqlite3.connect(index_path(store)) as connection:
        count: int = connection.execute("SELECT count(*) FROM lines").fetchone()[0]
    connection.close()
    return count


def poison(store: Store) -> None:
    """Make every entry say something that no folder says, so that a test sees where a list came from."""
    with sqlite3.connect(index_path(store)) as connection:
        for run_id, blob in connection.execute("SELECT id, content FROM summaries").fetchall():
            poisoned = json.dumps(json.loads(blob) | {"name": "from the index"}).encode()
            changed = (poisoned, crc32(poisoned), run_id)
            connection.execute("UPDATE summaries SET content = ?, sum = ? WHERE id = ?", changed)
    connection.close()


ALL = ["run-0", "run-1", "run-2"]


def test_a_second_look_gives_the_same_list_from_the_index(filled: Store) -> None:
    first, second = list_runs(filled), list_runs(filled)
    assert first == second
    assert rows(filled) == 3
    poison(filled)
    assert names(filled) == ["from the index"] * 3


def test_a_rescan_reads_everything_anew(filled: Store) -> None:
    poison(filled)
    assert [found.name for found in list_runs(filled, rescan=True)] == ALL
    assert names(filled) == ALL


def test_deleting_the_index_loses_nothing(filled: Store) -> None:
    index_path(filled).unlink()
    assert names(filled) == ALL
    assert rows(filled) == 3
    shutil.rmtree(index_path(filled).parent)
    assert names(filled) == ALL


def test_a_deleted_run_vanishes_from_list_and_index(filled: Store) -> None:
    gone = filled.run_ids()[1]
    shutil.rmtree(filled.run(gone).folder)
    assert names(filled) == ["run-0", "run-2"]
    assert rows(filled) == 2


def test_a_run_moved_to_the_trash_vanishes_and_comes_back(filled: Store) -> None:
    run = filled.run(filled.run_ids()[0])
    filled.trash.mkdir()
    run.folder.rename(filled.trash / run.id)
    assert names(filled) == ["run-1", "run-2"]
    (filled.trash / run.id).rename(run.folder)
    assert names(filled) == ALL


def test_a_resumed_run_is_noticed(filled: Store) -> None:
    run = filled.run(filled.run_ids()[0])
    second = add_attempt(run, resumed_from_step=10)
    log_steps(second, range(11, 41))
    log_event(second, "stopped", 40)
    found = list_runs(filled)[0]
    assert (found.status, found.step, found.attempts) == (State.STOPPED, 40, 2)


def test_a_list_in_the_moment_of_a_resume_does_not_stick(filled: Store) -> None:
    run = filled.run(filled.run_ids()[0])
    run.attempt(2).folder.mkdir()
    assert list_runs(filled)[0].status is State.STARTING
    run.attempt(2).folder.rmdir()
    log_event(add_attempt(run, resumed_from_step=20), "finished", 30)
    assert list_runs(filled)[0].step == 30


def test_an_edited_note_is_noticed(filled: Store) -> None:
    run = filled.run(filled.run_ids()[2])
    write_json(run.notes, {"tags": ["good"], "note": "keep", "star": True, "archived": False})
    assert list_runs(filled)[2].tags == ("good",)


def test_a_live_run_is_read_again_each_time(store: Store) -> None:
    run = make_run(store)
    attempt = add_attempt(run, trainer_pid=os.getpid(), trainer_ticks=None)
    log_event(attempt, "training", 0)
    for step in range(1, 4):
        with attempt.metrics.open("a") as file:
            file.write(json.dumps({"step": step, "time": time.time(), "train/loss": 1.0}) + "\n")
        found = list_runs(store)[0]
        assert (found.status, found.step) == (State.RUNNING, step)
    log_event(attempt, "finished", 3)
    assert list_runs(store)[0].status is State.FINISHED


@pytest.mark.parametrize("garbage", [b"", b"no database at all", b"SQLite format 3\0" + b"\xff" * 4000, b"\0" * 100])
def test_a_garbage_index_is_rebuilt(filled: Store, garbage: bytes) -> None:
    index_path(filled).write_bytes(garbage)
    assert names(filled) == ALL
    assert names(filled) == ALL
    assert rows(filled) == 3


def test_an_index_of_another_version_or_shape_is_rebuilt(filled: Store) -> None:
    for change in (
        "PRAGMA user_version = 999",
        "DROP TABLE lines",
        "DROP TABLE configs",
        "ALTER TABLE lines RENAME COLUMN stamp TO other",
    ):
        with sqlite3.connect(index_path(filled)) as connection:
            connection.execute(change)
        connection.close()
        assert names(filled) == ALL
        assert rows(filled) == 3


@pytest.mark.parametrize("blob", [b"", b"{", b"[]", b"{}", b"\xff", b"3", b'{"status": "dancing"}'])
def test_an_entry_that_makes_no_sense_is_read_anew(filled: Store, blob: bytes) -> None:
    for table in ("lines", "summaries"):
        with sqlite3.connect(index_path(filled)) as connection:
            connection.execute(f"UPDATE {table} SET content = ?, sum = ?", (blob, crc32(blob)))
        connection.close()
        assert names(filled) == ALL


def test_an_index_damaged_inside_is_rebuilt_rather_than_slow_forever(store: Store) -> None:
    for number in range(40):
        rest(finished_run(store, created=1.7e9 + 100 * number, name=f"run-{number}"))
    expected = [f"run-{number}" for number in range(40)]
    assert names(store) == expected
    path = index_path(store)
    content = bytearray(path.read_bytes())
    assert len(content) > 5 * 4096
    content[4096 * 2 :] = b"\xff" * (len(content) - 4096 * 2)
    path.write_bytes(content)
    assert names(store) == expected
    assert names(store) == expected
    assert rows(store) == 40


@pytest.mark.parametrize("position", range(0, 4096, 97))
def test_a_flipped_byte_in_the_index_never_raises(filled: Store, position: int) -> None:
    path = index_path(filled)
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 0xFF
    path.write_bytes(content)
    assert names(filled) == ALL


def test_a_cache_folder_that_is_a_file_costs_only_time(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("precious")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert names(filled) == ALL
    assert [found.name for found in list_runs(filled, rescan=True)] == ALL
    assert (tmp_path / "file").read_text() == "precious"


def test_a_folder_in_place_of_the_index_costs_only_time(filled: Store) -> None:
    index_path(filled).unlink()
    index_path(filled).mkdir()
    assert names(filled) == ALL


def test_a_read_only_cache_still_lists(filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,ro", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("mounting isn't allowed here")
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(disk))
        assert names(filled) == ALL
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_cache_disk_still_lists(filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("mounting isn't allowed here")
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(disk))
        (disk / "filling").write_bytes(b"x" * 4096)
        for _ in range(2):
            assert names(filled) == ALL
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_somebody_else_holding_the_index_costs_only_time(filled: Store) -> None:
    other = sqlite3.connect(index_path(filled), isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        assert names(filled) == ALL
        finished_run(filled, created=1.8e9, name="new")
        assert names(filled) == [*ALL, "new"]
    finally:
        other.close()


_LISTER = """
import sys
from pathlib import Path
from engine.store.index import list_runs
from engine.store.paths import open_store
store = open_store(Path(sys.argv[1]))
print("up", flush=True)
sys.stdin.readline()
for number in range(8):
    print(len(list_runs(store, rescan=number % 4 == 3)), flush=True)
"""


def test_processes_listing_at_once_all_see_everything(store: Store) -> None:
    for number in range(5):
        finished_run(store, created=1.7e9 + 100 * number, name=f"run-{number}")
    command = [sys.executable, "-c", _LISTER, str(store.root)]
    pipe = subprocess.PIPE
    listers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(3)]
    for lister in listers:
        assert lister.stdout is not None
        lister.stdout.readline()
    for lister in listers:
        assert lister.stdin is not None
        lister.stdin.write("go\n")
        lister.stdin.flush()
    for lister in listers:
        said, problems = lister.communicate(timeout=250)
        assert said.split() == ["5"] * 8, problems
    assert len(list_runs(store)) == 5


def test_two_stores_never_share_an_index(tmp_path: Path) -> None:
    first, second = make_store(tmp_path / "a"), make_store(tmp_path / "b")
    finished_run(first, name="a")
    finished_run(second, name="b")
    assert (names(first), names(second), names(first)) == (["a"], ["b"], ["a"])
    assert index_path(first) != index_path(second)


def test_nothing_is_written_into_the_store(filled: Store) -> None:
    def content() -> list[tuple[str, int]]:
        return sorted((str(path), path.stat().st_mtime_ns) for path in filled.root.rglob("*"))

    before = content()
    list_runs(filled)
    list_runs(filled, rescan=True)
    assert content() == before


def test_a_cached_name_that_no_terminal_can_print_does_not_stop_the_list(store: Store) -> None:
    run = finished_run(store, name="caf\udce9")
    assert len(list_runs(store)) == 1
    assert len(list_runs(store)) == 1
    list_runs(store)[0].name.encode("utf-8")
    assert run.id == list_runs(store)[0].id


def test_the_newest_runs_are_found_without_the_others(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_FEW", 0)
    looked: list[str] = []
    stamps = index.stamps

    def watched(store: Store, ids: list[str]) -> dict[str, str]:
        looked.extend(ids)
        return stamps(store, ids)

    monkeypatch.setattr(index, "stamps", watched)
    newest = newest_runs(filled, 1)
    assert [found.name for found in newest.runs] == ["run-2"]
    assert (newest.older, newest.everything) == (2, 3)
    assert filled.run_ids()[0] not in looked


def test_an_archived_run_is_passed_over(filled: Store) -> None:
    write_json(filled.run(filled.run_ids()[2]).notes, {"archived": True})
    newest = newest_runs(filled, 2)
    assert [found.name for found in newest.runs] == ["run-1", "run-0"]
    assert newest.archived == 1
    assert [found.name for found in newest_runs(filled, 1, archived=True).runs] == ["run-2"]


def test_a_flipped_bit_in_an_entry_is_never_believed(filled: Store) -> None:
    for table in ("lines", "summaries"):
        with sqlite3.connect(index_path(filled)) as connection:
            for run_id, blob in connection.execute(f"SELECT id, content FROM {table}").fetchall():
                changed = blob.replace(b"run-", b"sun-")
                connection.execute(f"UPDATE {table} SET content = ? WHERE id = ?", (changed, run_id))
        connection.close()
        assert names(filled) == ALL


def test_options_come_with_the_overrides_of_later_attempts(filled: Store) -> None:
    run = filled.run(filled.run_ids()[0])
    add_attempt(run, resumed_from_step=10, overrides={"model.d_model": {"from": 8, "to": 16}})
    for _ in range(2):
        lines = index.list_lines(filled)
        values = index.config_values(filled, lines)
        assert [values[line.id]["model.d_model"] for line in lines] == [16, 8, 8]
    run.config.write_text("seed: 7\n")
    assert index.config_values(filled, lines)[run.id] == {"seed": 7, "model.d_model": 16}
