"""Records read back as written; what doesn't fit is None, never an error and never a wrong type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.store.files import write_json
from engine.store.paths import AttemptPaths
from engine.store.records import (
    Beat,
    ExitRecord,
    LaunchRecord,
    Notes,
    RunRecord,
    from_fields,
    read_beat,
    read_events,
    read_exit,
    read_launch,
    read_notes,
    read_run,
    write_beat,
    write_exit,
    write_launch,
    write_run,
)
from tests.engine.store.made import fields, launch_record

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def test_every_record_reads_back_as_written(tmp_path: Path) -> None:
    run = RunRecord("id", "mine", "multiplication", 1.5, seed=3, study="s", arm="a", parent="p", command=("a", "b"))
    write_run(tmp_path / "run.json", run)
    assert read_run(tmp_path / "run.json") == run
    launch = launch_record(2, overrides={"seed": {"from": 0, "to": 1}}, resumed_from_step=7, command=("python",))
    write_launch(AttemptPaths(tmp_path), launch)
    assert read_launch(tmp_path / "launch.json") == launch
    for exit_record in (ExitRecord(1.0, code=0), ExitRecord(2.0, signal=9, rung="kill"), ExitRecord(3.0, error="no")):
        write_exit(tmp_path / "exit.json", exit_record)
        assert read_exit(tmp_path / "exit.json") == exit_record
    write_beat(tmp_path / "beat.json", Beat(5.0, 10.0))
    assert read_beat(tmp_path / "beat.json") == Beat(5.0, 10.0)


def test_missing_files_are_no_records(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    assert (read_run(path), read_launch(path), read_exit(path), read_beat(path)) == (None, None, None, None)
    assert read_notes(path) == Notes()
    assert read_events(path) == ([], 0)


def test_fields_of_a_later_version_are_left_out() -> None:
    content = fields(ExitRecord(1.0, code=3)) | {"mood": "grim"}
    assert from_fields(ExitRecord, content) == ExitRecord(1.0, code=3)


def test_a_field_that_has_a_default_may_be_missing_and_others_may_not() -> None:
    assert from_fields(ExitRecord, {"ended": 1}) == ExitRecord(1.0)
    assert from_fields(ExitRecord, {"code": 1}) is None
    assert from_fields(RunRecord, {"id": "a", "name": "b"}) is None


@pytest.mark.parametrize(
    ("record_class", "content"),
    [
        (ExitRecord, {"ended": "now"}),
        (ExitRecord, {"ended": True}),
        (ExitRecord, {"ended": 1.0, "code": "0"}),
        (ExitRecord, {"ended": 1.0, "code": True}),
        (ExitRecord, {"ended": 1.0, "code": 0.5}),
        (ExitRecord, {"ended": None}),
        (ExitRecord, {"ended": 10**400}),
        (Beat, {"time": float("nan"), "next_within_seconds": 1}),
        (Beat, {"time": float("inf"), "next_within_seconds": 1}),
        (RunRecord, {"id": "a", "name": None, "task": "t", "created": 1}),
        (RunRecord, {"id": "a", "name": "n", "task": "t", "created": 1, "command": "ls"}),
        (RunRecord, {"id": "a", "name": "n", "task": "t", "created": 1, "command": [1]}),
        (RunRecord, {"id": "a", "name": "n", "task": "t", "created": 1, "seed": 10**30}),
        (LaunchRecord, {"attempt": 1, "created": 1, "host": "h", "overrides": []}),
        (LaunchRecord, {"attempt": 1, "created": 1, "host": "h", "accept_settings": 1}),
    ],
)
def test_a_value_that_does_not_fit_makes_no_record(record_class: type[Any], content: dict[str, Any]) -> None:
    assert from_fields(record_class, content) is None


@given(
    name=st.sampled_from([RunRecord, LaunchRecord, ExitRecord, Beat, Notes]),
    content=st.dictionaries(
        st.sampled_from(sorted({*RunRecord.__dataclass_fields__, *LaunchRecord.__dataclass_fields__, "ended", "tags"})),
        JSON,
        max_size=8,
    ),
)
@settings(max_examples=100)
def test_no_json_object_whatever_makes_a_record_raise(name: type[Any], content: dict[str, Any]) -> None:
    record = from_fields(name, content)
    assert record is None or isinstance(record, name)
    if record is not None:
        json.dumps(fields(record), allow_nan=False)


def test_events_keep_their_facts_and_bad_ones_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(
        '{"event": "started", "time": 1, "step": 0, "pid": 7}\n'
        '{"event": 3, "time": 1}\n'
        '{"event": "alert", "time": "later"}\n'
        '{"event": "alert", "time": true}\n'
        '{"event": "alert", "time": NaN}\n'
        f'{{"event": "alert", "time": 1{"0" * 400}}}\n'
        "half\n"
        f'{{"event": "evaluated", "time": 2.5, "step": 1{"0" * 30}}}\n'
        '{"event": "finished", "time": 3.5, "step": "x"}\n'
    )
    events, damaged = read_events(path)
    assert [(event.name, event.time, event.step) for event in events] == [
        ("started", 1.0, 0),
        ("evaluated", 2.5, None),
        ("finished", 3.5, None),
    ]
    assert events[0].facts == {"pid": 7}
    assert [event.is_final for event in events] == [False, False, True]
    assert damaged == 6


@given(
    lines=st.lists(st.dictionaries(st.sampled_from(["event", "time", "step", "x"]), JSON, max_size=4), max_size=4),
    cut=st.integers(0, 50),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_event_file_whatever_raises(tmp_path: Path, lines: list[dict[str, Any]], cut: int) -> None:
    path = tmp_path / "events.jsonl"
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    path.write_bytes(content[: max(0, len(content) - cut)])
    events, damaged = read_events(path)
    assert len(events) + damaged <= len(lines)


def test_damaged_notes_are_no_notes(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    write_json(path, {"tags": ["a", "b"], "note": "good", "star": True, "archived": False})
    assert read_notes(path) == Notes(("a", "b"), "good", True, False)
    write_json(path, {"tags": "a"})
    assert read_notes(path) == Notes()
