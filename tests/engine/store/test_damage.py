"""Every small file of a run, cut off or with bytes flipped: lists, curves and checkpoint scans go on without an error.

What a disk or a crash leaves is of no known form, so the damage is drawn at random over whole run folders.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.store.checkpoints import choose, scan, verify
from engine.store.evidence import gather
from engine.store.files import write_json
from engine.store.index import list_runs
from engine.store.metrics import RunHistory
from engine.store.names import find_run
from engine.store.paths import RunPaths, Store
from engine.store.records import Beat, ExitRecord, read_notes, read_run, write_beat, write_exit
from engine.store.requests import read_stop, request_stop
from engine.store.status import decide
from engine.store.stored_config import effective_config
from engine.store.summary import summarize
from tests.engine.store.made import (
    add_attempt,
    log_event,
    log_steps,
    make_run,
    make_store,
    write_checkpoint,
)

CASES = 200


def _whole_run(store: Store) -> RunPaths:
    """A run with every kind of file, resumed once, on this host and with notes that need escapes."""
    run = make_run(store, name="käfer \U0001f41e")
    first = add_attempt(run, lock=str(store.root / "none.lock"), overrides={"seed": {"from": 0, "to": 1}})
    for attempt, steps in ((first, range(1, 21)), (add_attempt(run, resumed_from_step=10), range(11, 16))):
        log_event(attempt, "started", steps.start - 1, pid=7)
        log_event(attempt, "training", steps.start - 1, total_steps=1000, settings={"dtype": "fp32"})
        log_steps(attempt, steps, **{"train/lr": 1e-3})
        log_event(attempt, "evaluated", steps.stop - 1, metrics={"val/loss": 0.5}, best={"val/loss": 0.5, "step": 5.0})
        log_event(attempt, "alert", steps.stop - 1, cause="non_finite", message="loss is NaN")
        write_beat(attempt.beat, Beat(1.7e9, 10.0))
    log_event(first, "stopped", 20, metrics={"val/loss": 0.5})
    write_exit(first.exit, ExitRecord(1.7e9, code=0))
    for step in (5, 10):
        write_checkpoint(run, step, metric=0.5)
    write_json(run.notes, {"schema": 1, "tags": ["a", "ü"], "note": "say \U0001f44d", "star": True, "archived": False})
    write_json(run.resume, {"schema": 1, "latest": "step-00000010", "best": "step-00000005"})
    write_json(run.environment, {"schema": 1, "python": "3.11"})
    request_stop(run, 2)
    return run


def _damage(generator: random.Random, content: bytes) -> bytes:
    kind = generator.randrange(6)
    where = generator.randrange(len(content) + 1)
    if kind == 0:
        return content[:where]
    if kind == 1:
        return content[where:]
    if kind == 2:  # a block that was allocated and never written
        return content[:where] + b"\0" * (len(content) - where)
    if kind == 3:
        return content[:where] + generator.randbytes(8) + content[where:]
    damaged = bytearray(content)
    for _ in range(generator.choice([1, 1, 1, 2, 8])):
        damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
    return bytes(damaged)


def _look_at_everything(store: Store, run: RunPaths) -> None:
    """All that lists, `show` and the app read. None of it may raise."""
    history = RunHistory(run)
    history.refresh()
    for series in history.series.values():
        assert list(series.steps) == sorted(set(series.steps))
    for checkpoint in scan(run):
        verify(checkpoint)
    attempts = run.attempts()
    assert decide(gather(run, attempts[-1], read_run(run.record))).reason
    read_notes(run.notes)
    read_stop(run)
    found = summarize(run)
    assert found is not None
    json.dumps(found.to_json(), allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert [item.id for item in list_runs(store)] == [run.id]
    assert find_run(store, "last") == run


def _damaged_stores(store: Store, run: RunPaths, seed: int) -> list[Path]:
    files = sorted(path for path in run.folder.rglob("*") if path.is_file() and path.stat().st_size)
    assert len(files) >= 18
    return random.Random(seed).choices(files, k=CASES)


def test_no_damage_to_one_file_ever_raises(store_root: Path) -> None:
    store = make_store(store_root)
    run = _whole_run(store)
    generator = random.Random(1)
    for path in _damaged_stores(store, run, 2):
        whole = path.read_bytes()
        path.write_bytes(_damage(generator, whole))
        try:
            _look_at_everything(store, run)
        except Exception as error:
            raise AssertionError(f"{path.relative_to(run.folder)}: {path.read_bytes()[:300]!r}") from error
        path.write_bytes(whole)
    _look_at_everything(store, run)


def test_no_missing_file_and_no_folder_in_its_place_ever_raises(store_root: Path) -> None:
    store = make_store(store_root)
    run = _whole_run(store)
    for path in sorted(path for path in run.folder.rglob("*") if path.is_file() and path != run.record):
        whole = path.read_bytes()
        path.unlink()
        _look_at_everything(store, run)
        path.mkdir()
        _look_at_everything(store, run)
        path.rmdir()
        path.write_bytes(whole)
    for folder in (run.requests, run.checkpoints, run.tensorboard):
        shutil.rmtree(folder)
        folder.write_text("")
        _look_at_everything(store, run)


def test_damage_to_all_files_at_once_never_raises(store_root: Path) -> None:
    store = make_store(store_root)
    run = _whole_run(store)
    files = sorted(path for path in run.folder.rglob("*") if path.is_file() and path.stat().st_size)
    whole = {path: path.read_bytes() for path in files}
    generator = random.Random(3)
    for _ in range(40):
        for path, content in whole.items():
            path.write_bytes(_damage(generator, content))
        _look_at_everything(store, run)


def test_damage_never_reaches_the_person_as_a_traceback(store_root: Path) -> None:
    # What acts on a run may refuse, in a sentence.
    store = make_store(store_root)
    run = _whole_run(store)
    generator = random.Random(4)
    refused = 0
    for path in _damaged_stores(store, run, 5)[: CASES // 2]:
        whole = path.read_bytes()
        path.write_bytes(_damage(generator, whole))
        for act in (lambda: choose(run, "10"), lambda: choose(run), lambda: effective_config(run)):
            try:
                act()
            except HeatsError as error:
                refused += 1
                if not str(error):
                    pytest.fail(f"{path} is refused without a word")
        path.write_bytes(whole)
    assert refused > 10
