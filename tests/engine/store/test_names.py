"""Finding the run that a person means, or saying which ones it could be."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.store.create import create_run
from engine.store.names import find_run
from engine.store.paths import create_store, open_store
from tests.engine.store.made import make_run, make_store


def test_a_run_is_found_by_id_by_any_unique_part_by_name_and_as_last(store_root: Path) -> None:
    store = make_store(store_root)
    older = make_run(store, created=1.7e9, name="baseline", slug="latent-d8")
    newer = make_run(store, created=1.8e9, name="other", slug="simple-d8")
    assert find_run(store, older.id) == older
    assert find_run(store, older.id[-4:]) == older
    assert find_run(store, "latent") == older
    assert find_run(store, newer.id[:15]) == newer
    assert find_run(store, "baseline") == older
    assert find_run(store, "last") == newer


def test_an_ambiguous_word_lists_the_candidates_newest_first(store_root: Path) -> None:
    store = make_store(store_root)
    runs = [make_run(store, created=1.7e9 + 100 * number) for number in range(3)]
    with pytest.raises(HeatsError, match="`simple` could be any of 3 runs; say which: ") as caught:
        find_run(store, "simple")
    listed = str(caught.value).partition("say which: ")[2].split(", ")
    assert listed == [run.id for run in reversed(runs)]


def test_many_candidates_are_cut_and_the_rest_counted(store_root: Path) -> None:
    store = make_store(store_root)
    for number in range(11):
        make_run(store, created=1.7e9 + 100 * number)
    with pytest.raises(HeatsError, match=r"could be any of 11 runs.* and 3 more"):
        find_run(store, "mult")


def test_several_runs_of_one_name_are_ambiguous_too(store_root: Path) -> None:
    store = make_store(store_root)
    for number in range(2):
        make_run(store, created=1.7e9 + 100 * number, name="baseline")
    with pytest.raises(HeatsError, match="`baseline` could be any of 2 runs"):
        find_run(store, "baseline")


def test_a_word_that_names_nothing_says_where_to_look(store_root: Path) -> None:
    store = make_store(store_root)
    make_run(store)
    with pytest.raises(HeatsError, match="no run is called `xyzzy`; `heats list` shows what there is"):
        find_run(store, "xyzzy")


def test_no_word_names_no_run_even_if_there_is_only_one(store_root: Path) -> None:
    # `heats stop "$RUN"` with an empty variable must not stop anything.
    store = make_store(store_root)
    make_run(store)
    with pytest.raises(HeatsError):
        find_run(store, "")


def test_an_empty_store_says_how_to_make_a_run(tmp_path: Path) -> None:
    for wanted in ("last", "anything"):
        with pytest.raises(HeatsError, match="there are no runs yet; `heats launch TASK` makes one"):
            find_run(open_store(tmp_path), wanted)


def test_the_last_of_runs_made_within_one_second_is_the_one_made_last(store_root: Path) -> None:
    store = make_store(store_root)
    made = [make_run(store, created=1.7e9 + number / 100) for number in range(12)]
    assert len({run.id[:15] for run in made}) == 1
    assert find_run(store, "last") == made[-1]


def test_a_run_with_a_damaged_record_is_still_found_by_its_id(store_root: Path) -> None:
    store = make_store(store_root)
    run = make_run(store)
    run.record.write_text("{")
    assert find_run(store, run.id[-4:]) == run
    assert find_run(store, "last") == run
    with pytest.raises(HeatsError, match="no run is called"):
        find_run(store, "mine")


def test_a_run_called_so_is_meant_even_if_the_word_is_part_of_another_id(tmp_path: Path) -> None:
    store = create_store(tmp_path / "runs")
    made = [
        create_run(store, task="multiplication", slug=slug, config_yaml="", config_hash="", name=name)
        for slug, name in (("latent-d8", "one"), ("simple-d8", "latent"))
    ]
    assert find_run(store, "latent").id == made[1].id
    assert find_run(store, "latent-d8").id == made[0].id
    assert find_run(store, made[0].id[-4:]).id == made[0].id
