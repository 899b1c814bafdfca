"""What is a store, what is a run, what is an attempt: names alone decide, and odd names never raise."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from engine.errors import HeatsError, MachineError
from engine.store.index import index_path
from engine.store.paths import RunPaths, Store, create_store, default_root, open_store
from tests.engine.store.made import add_attempt, make_run, make_store


def test_a_new_folder_becomes_a_store_with_an_id_that_stays(store_root: Path) -> None:
    made = create_store(store_root)
    assert made.id not in ("", "empty")
    assert create_store(store_root) == made == open_store(store_root)
    assert json.loads((store_root / ".store.json").read_text()) == {"schema": 1, "id": made.id}


def test_two_stores_have_different_ids(tmp_path: Path) -> None:
    assert create_store(tmp_path / "a").id != create_store(tmp_path / "b").id


def test_a_folder_that_does_not_exist_is_no_store(store_root: Path) -> None:
    with pytest.raises(HeatsError, match="there is no such folder") as caught:
        open_store(store_root)
    assert caught.value.exit_code == 2
    assert not store_root.exists(), "looking makes nothing"


def test_an_empty_folder_lists_as_an_empty_store_and_looking_writes_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert store.run_ids() == []
    assert os.listdir(tmp_path) == []


def test_a_folder_with_only_a_readme_may_become_a_store(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("runs go here\n")
    (tmp_path / ".gitignore").write_text("*\n")
    assert open_store(tmp_path).run_ids() == []
    assert create_store(tmp_path).id


def test_a_folder_of_other_things_is_no_store_and_stays_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    for use in (open_store, create_store):
        with pytest.raises(HeatsError, match=r"is no store of runs \(it has no \.store\.json\)"):
            use(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"id": 3}', '{"id": ""}', '{"id": "../../evil"}', '{"id": "a/b"}', '{"id": ".."}']
)
def test_a_damaged_store_file_is_named_and_never_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / ".store.json").write_text(content)
    for use in (open_store, create_store):
        with pytest.raises(HeatsError, match=r"its \.store\.json is damaged") as caught:
            use(tmp_path)
        assert "restore it" in str(caught.value)
    assert (tmp_path / ".store.json").read_text() == content


def test_a_foreign_store_cannot_place_its_index_outside_the_cache(tmp_path: Path) -> None:
    # The id names files in the cache and lock folders, which rebuilding deletes.
    (tmp_path / ".store.json").write_text('{"schema": 1, "id": "../../../precious"}')
    with pytest.raises(HeatsError):
        open_store(tmp_path)
    good = make_store(tmp_path / "good")
    assert index_path(good).parent == Path(os.environ["XDG_CACHE_HOME"]) / "heats"


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HeatsError, match="is not a folder"):
        open_store(tmp_path / "file")
    with pytest.raises(HeatsError, match="is not a folder"):
        create_store(tmp_path / "file")
    with pytest.raises(HeatsError):
        create_store(tmp_path / "file" / "below")


def test_the_store_is_the_one_given_else_the_environments_else_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_root() == Path("runs")
    monkeypatch.setenv("HEATS_RUNS_DIR", "/elsewhere")
    assert default_root() == Path("/elsewhere")
    assert default_root(Path("given")) == Path("given")


def test_runs_are_known_by_the_form_of_their_names_oldest_first(store_root: Path) -> None:
    store = make_store(store_root)
    good = ["20260101-000000_exec-a_0000", "20260102-000000_multiplication-simple-d8-l1_zz9a"]
    others = [".trash", ".studies", "notes", "20260102-000000_x", "2026-000000_a_0000", "20260101-000000_exec-a_000"]
    for name in [*reversed(good), *others]:
        (store_root / name).mkdir()
    assert store.run_ids() == good


def test_a_store_that_vanished_is_a_machine_error(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="can't be read"):
        Store(tmp_path / "gone", "x").run_ids()


def test_attempts_are_numbered_folders_in_order_of_their_numbers(store_root: Path) -> None:
    run = make_run(make_store(store_root))
    assert run.attempts() == []
    for number in (2, 1, 10, 1000, 999):
        add_attempt(run, number)
    for odd in ("²²²", "01", "abc", ".003", "0002", "٣٣٣"):
        (run.attempts_folder / odd).mkdir()
    assert [attempt.number for attempt in run.attempts()] == [1, 2, 10, 999, 1000]


def test_a_run_without_an_attempts_folder_has_none(tmp_path: Path) -> None:
    assert RunPaths(tmp_path / "gone").attempts() == []
    (tmp_path / "attempts").write_text("")
    assert RunPaths(tmp_path).attempts() == []
