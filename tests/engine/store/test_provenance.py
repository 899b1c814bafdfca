"""What a run stands on is recorded once, what later attempts change with them, and differences are named."""

from __future__ import annotations

import json
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from engine.store.create import claim_attempt, create_run
from engine.store.provenance import (
    Change,
    describe,
    environment,
    environment_changes,
    package_name,
    record_attempt,
    recorded,
)
from engine.store.records import LaunchRecord, write_launch
from tests.engine.store.made import make_store
from tests.engine.store.repositories import commit_all, make_repository, write_files

FACTS: dict[str, Any] = {"task": "multiplication", "slug": "simple-d8", "config_yaml": "seed: 0\n", "config_hash": "0"}


def test_the_packages_are_those_that_python_finds() -> None:
    expected: dict[str, str] = {}
    for found in distributions():
        expected.setdefault(package_name(found.metadata["Name"]), found.version)
    assert environment()["packages"] == dict(sorted(expected.items()))


def test_the_machine_is_described() -> None:
    found = environment()
    assert found["memory_bytes"] > 1 << 28
    assert isinstance(found["gpus"], list)
    json.dumps(found)


def test_changes_are_named_with_what_decides_bits_first() -> None:
    before = {"python": "3.11.7", "gpus": [], "packages": {"PyYAML": "6", "torch": "2.13.0", "aa": "1", "gone": "1"}}
    after = {"python": "3.12.1", "gpus": ["H"], "packages": {"pyyaml": "6", "torch": "2.14.0", "aa": "2"}, "host": "b"}
    changes = environment_changes(before, after)
    assert [change.key for change in changes] == ["python", "gpus", "package torch", "package aa", "package gone"]
    assert changes[-1] == Change("package gone", "1", None)
    assert describe(changes, 3) == "python 3.11.7 -> 3.12.1, gpus none -> H, package torch 2.13.0 -> 2.14.0, and 2 more"
    assert environment_changes(before, {"packages": "damaged"}) == []


def test_a_later_attempt_keeps_only_what_differs(store_root: Path, tmp_path: Path) -> None:
    code = tmp_path / "code"
    first = make_repository(code, {"a.py": "1\n"})
    run = create_run(make_store(store_root), **FACTS, code=code)

    same = claim_attempt(run)
    state, said = record_attempt(run, same, code)
    write_launch(same, LaunchRecord(1, 0.0, "", git_commit=state.commit))
    assert said == ()
    assert sorted(path.name for path in same.folder.iterdir()) == ["launch.json"]
    assert recorded(run, 1).commit == first

    write_files(code, {"a.py": "2\n"})
    second = commit_all(code)
    write_files(code, {"new.py": "3\n"})
    content = json.loads(run.environment.read_text())
    content["packages"]["torch"] = "1.0"
    run.environment.write_text(json.dumps(content))
    other = claim_attempt(run)
    state, said = record_attempt(run, other, code)
    write_launch(other, LaunchRecord(2, 0.0, "", git_commit=state.commit))
    assert first[:10] in said[0]
    assert second[:10] in said[0]
    assert "uncommitted changes" in said[1]
    assert "package torch 1.0 -> " in said[2]
    later = recorded(run, 2)
    assert later.commit == second
    assert b"new.py" in later.patch
    assert later.environment["packages"]["torch"] != "1.0"
    assert (recorded(run).commit, recorded(run).patch) == (first, b"")


def test_an_attempt_whose_changes_were_committed_says_so(store_root: Path, tmp_path: Path) -> None:
    code = tmp_path / "code"
    make_repository(code, {"a.py": "1\n"})
    write_files(code, {"b.py": "1\n"})
    run = create_run(make_store(store_root), **FACTS, code=code)
    assert b"b.py" in recorded(run).patch
    commit_all(code)
    attempt = claim_attempt(run)
    record_attempt(run, attempt, code)
    assert recorded(run, 1).patch == b""


def test_records_of_damaged_runs_are_empty(store_root: Path) -> None:
    run = create_run(make_store(store_root), **FACTS)
    run.environment.write_text("[")
    run.record.write_text("")
    assert recorded(run, 7).environment == {}
    assert recorded(run).code == {}
