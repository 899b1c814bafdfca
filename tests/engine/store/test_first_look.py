"""Several processes that look at a large store for the first time see what one would have seen."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from engine.store import first_look
from engine.store.index import index_path, list_lines
from engine.store.paths import Store, open_store
from tests.bench.made_store import fill


@pytest.fixture
def large(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store that counts as large."""
    monkeypatch.setattr(first_look, "MANY", 20)
    monkeypatch.setattr(first_look, "processes", lambda: 3)
    fill(store_root, 24, live=2)
    return open_store(store_root)


def _kept(store: Store) -> set[str]:
    with sqlite3.connect(index_path(store)) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM lines")}


def test_all_runs_are_found_as_by_one_process(large: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    together = list_lines(large)
    assert [line.id for line in together] == large.run_ids()
    monkeypatch.setattr(first_look, "processes", lambda: 1)
    alone = list_lines(large, rescan=True)
    assert [(line.id, line.status, line.step, line.metrics) for line in alone] == [
        (line.id, line.status, line.step, line.metrics) for line in together
    ]


def test_the_others_take_their_shares(large: Store) -> None:
    with first_look.helped(large, 3):
        pass
    ids = large.run_ids()
    kept = _kept(large)
    assert kept
    assert not kept & set(ids[::3])
    list_lines(large)
    assert kept == _kept(large) - set(ids[::3])


def test_helpers_that_die_cost_nothing_but_time(large: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_look, "program", lambda module: ["false"])
    assert [line.id for line in list_lines(large)] == large.run_ids()
    monkeypatch.setattr(first_look, "program", lambda module: ["no such program at all"])
    assert [line.id for line in list_lines(large, rescan=True)] == large.run_ids()


def test_a_store_that_goes_away_meanwhile_is_no_crash(large: Store) -> None:
    with first_look.helped(large, 3):
        shutil.rmtree(large.root)
        os.makedirs(large.root)
    assert list_lines(large) == []
