"""Deleting, restoring and purging: nothing goes that shouldn't, and a kill in the middle harms nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import HeatsError, MachineError
from engine.store import host, lock
from engine.store.files import write_json
from engine.store.index import list_runs
from engine.store.paths import RunPaths, Store
from engine.store.records import Beat, write_beat
from engine.store.submission import Submission, submission_paths, write_submission
from engine.store.trash import (
    delete,
    find_trashed,
    half_purged,
    left_submissions,
    list_trash,
    plan_delete,
    purge,
    restore,
)
from tests.engine.store.made import add_attempt, finished_run, log_event, make_run, make_store, write_checkpoint


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "runs")


def _delete(store: Store, *runs: RunPaths) -> None:
    list(delete(store, plan_delete(store, runs)))


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_deleted_run_comes_back_whole(store: Store) -> None:
    run, other = finished_run(store), finished_run(store)
    write_checkpoint(run, 10)
    before = _content(run.folder)
    _delete(store, run)
    assert store.run_ids() == [other.id]
    assert [found.id for found in list_runs(store)] == [other.id]
    (item,) = list_trash(store)
    assert (item.id, item.name) == (run.id, "mine")
    assert abs(item.deleted - time.time()) < 60
    restore(store, item)
    assert _content(run.folder) == before
    assert {found.id for found in list_runs(store)} == {run.id, other.id}
    assert list_trash(store) == []


def test_the_plan_says_what_would_go_and_does_nothing(store: Store) -> None:
    run = finished_run(store)
    plan = plan_delete(store, [run])
    (item,) = plan.leaving
    sizes = [path.stat().st_size for path in run.folder.rglob("*") if path.is_file()]
    assert (item.bytes, item.files) == (sum(sizes), len(sizes))
    assert run.record.exists()
    assert not store.trash.exists()


def test_runs_named_as_parents_are_warned_of(store: Store) -> None:
    parent, child = finished_run(store), finished_run(store)
    write_json(child.record, json.loads(child.record.read_text()) | {"parent": parent.id})
    assert plan_delete(store, [parent]).warnings == (f"{parent.id} is the parent of {child.id}",)
    assert plan_delete(store, [parent, child]).warnings == ()


def test_a_live_run_is_refused_and_stays(store: Store) -> None:
    run = make_run(store)
    pid, ticks = os.getpid(), host.start_ticks(os.getpid())
    add_attempt(run, trainer_pid=pid, trainer_ticks=ticks, supervisor_pid=pid, supervisor_ticks=ticks)
    plan = plan_delete(store, [finished_run(store), run])
    assert "stop it first" in plan.refused[0]
    with pytest.raises(HeatsError, match="stop it first"):
        list(delete(store, plan))
    assert len(store.run_ids()) == 2


def test_leftovers_of_a_dead_trainer_are_refused(store: Store) -> None:
    run = make_run(store)
    path = lock.lock_path(store.id, run.id)
    held = lock.acquire(path)
    assert held is not None
    holder = subprocess.Popen(["sleep", "600"], pass_fds=(held,))
    os.close(held)
    try:
        add_attempt(run, lock=str(path))
        assert f"pid {holder.pid}" in plan_delete(store, [run]).refused[0]
    finally:
        holder.kill()
        holder.wait()


def test_a_run_that_comes_to_life_after_the_plan_stays(store: Store) -> None:
    run = finished_run(store)
    plan = plan_delete(store, [run])
    held = lock.acquire(lock.lock_path(store.id, run.id))
    assert held is not None
    with pytest.raises(HeatsError, match="processes of it are running"):
        list(delete(store, plan))
    os.close(held)
    assert run.record.exists()


def test_a_silent_run_of_another_machine_goes_only_when_said_so(store: Store) -> None:
    run = make_run(store)
    attempt = add_attempt(run, host="elsewhere")
    write_beat(attempt.beat, Beat(time.time() - 9999, 10.0))
    assert "--silent" in plan_delete(store, [run]).refused[0]
    assert plan_delete(store, [run], silent_too=True).refused == ()


def test_a_run_deleted_twice_under_one_id_is_kept_twice(store: Store) -> None:
    run = finished_run(store)
    shutil.copytree(run.folder, store.root.parent / "copy")
    _delete(store, run)
    shutil.copytree(store.root.parent / "copy", run.folder)
    _delete(store, run)
    first, second = list_trash(store)
    assert first.id == second.id == run.id
    assert find_trashed([first, second], second.entry) is second
    restore(store, first)
    with pytest.raises(HeatsError, match="a run of this id is in the store"):
        restore(store, second)


def test_the_trash_knows_its_runs_by_part_and_by_name(store: Store) -> None:
    runs = [finished_run(store, name="Bess"), finished_run(store)]
    _delete(store, *runs)
    trashed = list_trash(store)
    assert find_trashed(trashed, "Bess").id == runs[0].id
    assert find_trashed(trashed, runs[1].id[-4:]).id == runs[1].id
    for word, said in (("simple", "could be any of 2"), ("", "no run in the trash"), ("nosuch", "no run in the trash")):
        with pytest.raises(HeatsError, match=said):
            find_trashed(trashed, word)


def submitted(store: Store, *runs: str) -> Path:
    paths = submission_paths(store.root, f"heats-{len(list(store.root.glob('.slurm/*')))}")
    paths.folder.mkdir(parents=True)
    write_submission(paths, Submission(paths.folder.name, 1.0, runs))
    paths.script.write_text("#!/bin/sh\n")
    return paths.folder


def test_what_was_submitted_goes_with_the_last_of_its_runs(store: Store) -> None:
    kept, first, second = (finished_run(store) for _ in range(3))
    mixed, both = submitted(store, kept.id, first.id), submitted(store, first.id, second.id)
    unreadable = submitted(store, kept.id)
    (unreadable / "submission.json").write_text("{")
    _delete(store, first, second)
    assert left_submissions(store) == [], "they may be brought back"
    trashed = list_trash(store)
    assert left_submissions(store, trashed) == [both]
    list(purge(store, [item for item in trashed if item.id == first.id]))
    assert both.exists()
    list(purge(store, list_trash(store)))
    assert (both.exists(), mixed.exists(), unreadable.exists()) == (False, True, True)
    os.utime(unreadable, (1.0, 1.0))  # nobody is making it any more
    list(purge(store, []))
    assert (mixed.exists(), unreadable.exists()) == (True, False)


def test_purge_follows_no_link_out_of_the_store(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "thesis.tex").write_text("dear")
    os.utime(outside, (1e9, 1e9))
    run = finished_run(store)
    (run.folder / "data").symlink_to(outside)
    (run.checkpoints / "step-00000001").symlink_to(outside)
    linked = store.run(run.id[:-4] + "link")
    linked.folder.symlink_to(outside)
    _delete(store, run, linked)
    assert len(list(purge(store, list_trash(store)))) == 2
    assert (outside / "thesis.tex").read_text() == "dear"
    assert list_trash(store) == []


def test_a_trash_that_is_a_link_is_refused(store: Store, tmp_path: Path) -> None:
    run = finished_run(store)
    (tmp_path / "elsewhere").mkdir()
    store.trash.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MachineError, match="no folder of its own"):
        _delete(store, run)
    assert run.record.exists()
    assert list_trash(store) == []


_PURGER = """
import os, signal, sys
from pathlib import Path
from engine.store.paths import open_store
from engine.store.trash import list_trash, purge
store = open_store(Path(sys.argv[1]))
count, unlink = 0, os.unlink
def dying(*words, **more):
    global count
    count += 1
    if count > 3:
        os.kill(os.getpid(), signal.SIGKILL)
    unlink(*words, **more)
os.unlink = dying
list(purge(store, list_trash(store)))
"""


def test_a_purge_that_was_killed_is_finished_by_the_next(store: Store) -> None:
    run, other = finished_run(store), finished_run(store)
    _delete(store, run, other)
    killed = subprocess.run([sys.executable, "-c", _PURGER, str(store.root)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(half_purged(store)) == 1
    (left,) = list_trash(store)  # what is half gone can't be restored
    assert list(purge(store, [])) == []
    assert half_purged(store) == []
    restore(store, left)
    assert len(store.run_ids()) == 1


def test_strange_things_in_the_trash_are_left_alone(store: Store) -> None:
    store.trash.mkdir()
    (store.trash / "checkpoints").mkdir()
    (store.trash / "note.txt").write_text("x")
    assert list_trash(store) == []
    list(purge(store, []))
    assert (store.trash / "note.txt").exists()


def test_deleting_while_a_list_is_read_is_harmless(store: Store) -> None:
    runs = [finished_run(store) for _ in range(5)]
    log_event(runs[0].attempt(1), "started", 0)
    lister = subprocess.Popen(
        [sys.executable, "-c", _LISTER, str(store.root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert lister.stdout is not None
    lister.stdout.readline()
    for _ in range(5):
        _delete(store, *runs)
        for item in list_trash(store):
            restore(store, item)
    lister.send_signal(signal.SIGTERM)
    _, said = lister.communicate(timeout=250)
    assert said == ""


_LISTER = """
import sys
from pathlib import Path
from engine.store.index import list_runs
from engine.store.paths import open_store
store = open_store(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    list_runs(store, rescan=True)
"""
