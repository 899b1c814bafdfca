"""The kept history of a run: it is what reading anew would give, whatever happened to the logs since."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.store import metrics, series_cache
from engine.store.metrics import JsonLinesTail, RunHistory
from engine.store.paths import RunPaths
from tests.engine.store.made import add_attempt, flip_bit, log_steps, make_run, make_store


@pytest.fixture
def run(store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunPaths:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(series_cache, "LEAST_BYTES", 1)
    return make_run(make_store(store_root))


def kept_file(run: RunPaths) -> Path:
    path = series_cache.cache_path(run)
    assert path is not None
    return path


def cached(run: RunPaths) -> RunHistory:
    found = RunHistory(run, cached=True)
    found.refresh()
    return found


def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes are parsed from now on."""
    sizes: list[int] = []
    original = JsonLinesTail.parse

    def count(self: JsonLinesTail, block: bytes) -> list[dict[str, object]]:
        sizes.append(len(block))
        return original(self, block)

    monkeypatch.setattr(JsonLinesTail, "parse", count)
    return sizes


def same(run: RunPaths) -> RunHistory:
    """A history from what is kept, which is as one read anew."""
    fresh, found = RunHistory(run), cached(run)
    fresh.refresh()
    assert repr(found.series) == repr(fresh.series), "repr, since NaN isn't itself"
    assert (found.last_step, found.last_time, found.damaged) == (fresh.last_step, fresh.last_time, fresh.damaged)
    return found


def test_a_log_is_parsed_once(run: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    log_steps(add_attempt(run), range(1, 200), **{"val/loss": 2.0})
    log_steps(add_attempt(run, resumed_from_step=100), range(101, 150))
    with run.attempt(2).metrics.open("a") as file:
        file.write('{"step": 150, "time": 1.0, "train/loss": "NaN"}\ndamage\n')
    cached(run)
    sizes = parsed(monkeypatch)
    found = cached(run)
    assert sizes == []
    assert math.isnan(found.series["train/loss"].values[-1])
    same(run)
    assert not list(run.folder.rglob("*.columns")), "nothing is written into the store"


def test_only_what_was_appended_is_parsed(run: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = add_attempt(run)
    log_steps(attempt, range(1, 200))
    cached(run)
    with attempt.metrics.open("a") as file:
        file.write('{"step": 300, "time": 5.0, "train/loss": 0.25}\n{"step": 301, "ti')
    sizes = parsed(monkeypatch)
    found = cached(run)
    assert sum(sizes) < 100
    assert found.series["train/loss"].steps[-1] == 300
    with attempt.metrics.open("a") as file:
        file.write('me": 6.0, "train/loss": 0.5}\n')
    same(run)


def _truncate(run: RunPaths) -> None:
    path = run.attempt(1).metrics
    path.write_bytes(path.read_bytes()[:500])


def _replace(run: RunPaths) -> None:
    path = run.attempt(1).metrics
    other = path.with_name("other")
    other.write_text("".join(json.dumps({"step": step, "train/loss": 9.0}) + "\n" for step in range(1, 900)))
    os.replace(other, path)


def _rewrite(run: RunPaths) -> None:
    path = run.attempt(1).metrics
    content = path.read_bytes().replace(b'"step": 7,', b'"step": 8,')
    with path.open("r+b") as file:  # same inode, same size
        file.write(content)
    os.utime(path, ns=(1, 1))


def _resume(run: RunPaths) -> None:
    log_steps(add_attempt(run, resumed_from_step=40), range(41, 60))


def _earlier_one_grows(run: RunPaths) -> None:
    _resume(run)
    cached(run)
    with run.attempt(1).metrics.open("a") as file:
        file.write('{"step": 900, "time": 5.0, "train/loss": 0.25}\n')


def _other_resume_point(run: RunPaths) -> None:
    _resume(run)
    cached(run)
    path = run.attempt(2).launch
    path.write_text(json.dumps(json.loads(path.read_text()) | {"resumed_from_step": 20}))


def _first_attempt_lost(run: RunPaths) -> None:
    _resume(run)
    cached(run)
    run.attempt(1).metrics.unlink()


@pytest.mark.parametrize(
    "change",
    [_truncate, _replace, _rewrite, _resume, _earlier_one_grows, _other_resume_point, _first_attempt_lost],
)
def test_whatever_happened_since_the_history_is_true(run: RunPaths, change: Callable[[RunPaths], None]) -> None:
    log_steps(add_attempt(run), range(1, 100), **{"val/loss": 2.0})
    cached(run)
    assert kept_file(run).exists()
    change(run)
    same(run)
    same(run)


def test_an_attempt_without_a_log_is_kept_as_such(run: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    add_attempt(run)
    log_steps(add_attempt(run), range(1, 100))
    cached(run)
    assert kept_file(run).exists()
    log_steps(run.attempt(1), range(1, 200))
    same(run)


@pytest.mark.parametrize("position", [0, 20, 60, 400, -1, -900])
def test_a_damaged_file_is_thrown_away(run: RunPaths, position: int) -> None:
    log_steps(add_attempt(run), range(1, 100))
    cached(run)
    path = kept_file(run)
    flip_bit(path, position % path.stat().st_size, 3)
    same(run)
    path.write_bytes(path.read_bytes()[:-8])
    same(run)
    path.write_bytes(b"")
    same(run)


def test_what_can_not_be_kept_is_read_all_the_same(run: RunPaths, tmp_path: Path) -> None:
    log_steps(add_attempt(run), range(1, 100))
    (tmp_path / "cache").write_text("a file where the folder should be")
    same(run)


def test_many_readers_at_once(run: RunPaths) -> None:
    log_steps(add_attempt(run), range(1, 400))
    found: list[RunHistory] = []
    threads = [threading.Thread(target=lambda: found.append(cached(run))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(history.series == found[0].series for history in found)
    assert [path.name for path in kept_file(run).parent.iterdir()] == [kept_file(run).name]


def test_the_folder_stays_within_bounds(run: RunPaths, store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_cache, "_ALL_BYTES", 12_000)
    runs = [run, *(make_run(make_store(store_root)) for _ in range(3))]
    for age, other in enumerate(runs):
        log_steps(add_attempt(other), range(1, 200))
        cached(other)
        if kept_file(other).exists():
            os.utime(kept_file(other), (1e9 + age, 1e9 + age))
    kept = [kept_file(other).exists() for other in runs]
    assert not kept[0]
    assert kept[-1]


def test_blocks_as_columns_are_what_single_records_give(run: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = add_attempt(run)
    with attempt.metrics.open("w") as file:
        for step in range(1, 500):
            record: dict[str, object] = {"step": step, "time": 1e9 + step, "a": step / 7, "b": step}
            if step % 10 == 0:
                record = {"step": step, "time": 1e9 + step, "val": 1 / step, "a": 2.0} if step % 20 else record
            file.write(json.dumps(record) + "\n")
            if step % 25 == 0:
                file.write(json.dumps({"step": step, "time": 1e9 + step, "val": 3.0}) + "\n")
    whole = RunHistory(run)
    whole.refresh()
    monkeypatch.setattr(metrics, "_FEW", 10**9)
    single = RunHistory(run)
    single.refresh()
    assert whole.series == single.series
    assert (whole.last_step, whole.last_time, whole.generation) == (
        single.last_step,
        single.last_time,
        single.generation,
    )
