"""Two runs beside each other: what differs is named, to the last bit, and nothing damaged raises."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store.diff import RunDiff, compare_code, compare_runs
from engine.store.files import write_json
from engine.store.paths import RunPaths, Store
from engine.store.provenance import Provenance
from engine.store.records import read_run, write_run
from engine.store.series_diff import agree, compare_histories
from tests.engine.store.made import (
    add_attempt,
    finished_run,
    log_steps,
    make_run,
    make_store,
    safetensors,
    write_checkpoint,
)
from tests.engine.store.repositories import commit_all, make_repository, write_files


@pytest.fixture
def store(store_root: Path) -> Store:
    return make_store(store_root)


def logged(store: Store, losses: list[float], *, first: int = 1, name: str = "mine") -> RunPaths:
    run = make_run(store, name=name)
    attempt = add_attempt(run)
    for number, loss in enumerate(losses):
        log_steps(attempt, [first + number], loss)
    return run


def test_equal_runs_are_identical(store: Store) -> None:
    found = compare_runs(finished_run(store), finished_run(store))
    assert found.identical
    assert (found.config, found.environment, found.code.same, found.parted) == ((), (), True, None)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [(math.nan, math.nan, True), (0.0, -0.0, False), (1.0, 1.0 + 2**-52, False), (math.inf, -math.inf, False)],
)
def test_values_are_compared_to_the_last_bit(store: Store, one: float, other: float, same: bool) -> None:
    metric = compare_histories(logged(store, [1.0, one, 3.0]), logged(store, [1.0, other, 4.0 if not same else 3.0]))[0]
    assert metric.identical is same
    assert metric.step == (None if same else 2)


def test_the_metric_that_parts_first_comes_first(store: Store) -> None:
    runs = make_run(store), make_run(store)
    for number, run in enumerate(runs):
        attempt = add_attempt(run)
        for step in range(1, 9):
            a, b, z = step >= 6 and number, step >= 3 and number, 0
            log_steps(attempt, [step], step + 10 * (number and step >= 3), **{"a/a": a, "b/b": b, "z/z": z})
    found = compare_runs(*runs)
    assert [(metric.name, metric.step) for metric in found.metrics] == [
        ("train/loss", 3), ("b/b", 3), ("a/a", 6), ("z/z", None)
    ]  # fmt: skip
    assert not found.identical
    assert found.parted is not None
    assert (found.parted.first, found.parted.second) == (3.0, 13.0)


def test_runs_of_different_length_agree_but_are_not_identical(store: Store) -> None:
    found = compare_runs(logged(store, [1, 2, 3]), logged(store, [2, 3, 4], first=2))
    metric = found.metrics[0]
    assert (metric.shared, metric.only_first, metric.only_second, metric.step) == (2, 1, 1, None)
    assert (metric.last_first, metric.last_second) == ((3, 3.0), (4, 4.0))
    assert not found.identical
    assert found.parted is None


def test_shadowed_steps_do_not_count(store: Store) -> None:
    plain = logged(store, [1, 2, 3, 4])
    resumed = logged(store, [1, 2, 99, 98])
    second = add_attempt(resumed, resumed_from_step=2)
    for step in (3, 4):
        log_steps(second, [step], step)
    assert compare_runs(plain, resumed).identical


def test_a_tolerance_forgives_what_is_within_it(store: Store) -> None:
    runs = logged(store, [1000.0, 0.001]), logged(store, [1000.5, 0.0014])
    assert compare_runs(*runs, tolerance=1e-3).identical
    assert compare_runs(*runs, tolerance=1e-4).metrics[0].step == 1


@given(st.floats(), st.floats(), st.floats(0, 1e3))
def test_agreeing_is_symmetric_and_reflexive(one: float, other: float, tolerance: float) -> None:
    assert agree(one, other, tolerance) == agree(other, one, tolerance)
    assert agree(one, one, tolerance)
    assert not agree(math.nan, 1.0, tolerance)
    assert not agree(math.inf, 1.0, tolerance)


def test_final_weights_count(store: Store) -> None:
    runs = finished_run(store), finished_run(store)
    for run in runs:
        write_checkpoint(run, 20)
    assert compare_runs(*runs).weights is True
    write_checkpoint(runs[0], 30)
    assert compare_runs(*runs).weights is None, "of different steps"
    write_checkpoint(runs[1], 30, model=safetensors({"weight": ((1,), b"\1\0\0\0")}))
    found = compare_runs(*runs)
    assert found.weights is False
    assert not found.identical
    assert compare_runs(*runs, tolerance=1e-6).identical, "with a tolerance only metrics count"


def test_options_are_the_ones_in_effect(store: Store) -> None:
    runs = finished_run(store), finished_run(store)
    add_attempt(runs[1], resumed_from_step=20, overrides={"optim.lr": {"from": 0.001, "to": 0.5}})
    assert [(change.key, change.second) for change in compare_runs(*runs).config] == [("optim.lr", 0.5)]


def test_environment_and_settings_differ_by_name(store: Store) -> None:
    runs = finished_run(store), finished_run(store)
    for run, version in zip(runs, ("2.13.0", "2.14.0"), strict=True):
        write_json(run.environment, {"schema": 1, "python": "3.11", "packages": {"torch": version, "numpy": "2"}})
        write_checkpoint(run, 20, settings={"dtype": "fp32", "threads": len(version) if version[3] == "3" else 1})
    changes = {change.key: (change.first, change.second) for change in compare_runs(*runs).environment}
    assert changes == {"package torch": ("2.13.0", "2.14.0"), "setting threads": (6, 1)}


def test_code_differs_by_commit_and_patch(store: Store, tmp_path: Path) -> None:
    code = tmp_path / "code"
    first = make_repository(code, {"a.py": "x = 1\n"})
    write_files(code, {"a.py": "x = 2\n"})
    second = commit_all(code)
    runs = finished_run(store), finished_run(store)
    for run, commit in zip(runs, (first, second), strict=True):
        record = read_run(run.record)
        assert record is not None
        write_run(run.record, replace(record, git_commit=commit))
        write_json(run.environment, {"schema": 1, "code": {"repository": str(code)}})
    runs[1].code_patch.write_bytes(b"+new line\n")
    found = compare_runs(*runs, ask_git=True).code
    assert not found.same
    assert found.commits == (first, second)
    assert "a.py" in found.stat[0]
    assert "++new line" in found.patch
    assert compare_runs(*runs).code.stat == ()


def test_commits_that_look_like_options_reach_git_as_commits() -> None:
    stands = [Provenance(commit, b"", {"code": {"repository": "."}}) for commit in ("--output=x", "--help")]
    assert compare_code(stands[0], stands[1], ask_git=True).stat == ()
    assert not Path("x").exists()


def test_long_patches_are_cut() -> None:
    stands = Provenance("a", b"", {}), Provenance("a", b"".join(b"%d\n" % number for number in range(5000)), {})
    assert len(compare_code(*stands).patch) == 201
    assert not compare_code(Provenance("a", b"\xff\n", {}), Provenance("a", b"\xfe\n", {})).same


def test_damage_is_named_and_never_raises(store: Store) -> None:
    whole, broken = finished_run(store), finished_run(store)
    broken.config.write_text("{{{")
    broken.record.write_text("[")
    broken.environment.write_text("\0")
    (broken.attempt(1).launch).write_text("no")
    found = compare_runs(whole, broken)
    assert found.problems
    assert isinstance(found, RunDiff)
    json.dumps(found.to_json())
    for path in broken.folder.rglob("*"):
        if path.is_file():
            path.unlink()
    empty = compare_runs(broken, broken)
    assert not empty.identical, "nothing is known of it"
    json.dumps(compare_runs(whole, broken).to_json())
