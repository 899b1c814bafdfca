"""The metric log: read once, by offset; one continuous curve over all attempts; damage costs its own lines only."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.store import metrics
from engine.store.metrics import JsonLinesTail, RunHistory
from engine.store.paths import RunPaths
from tests.engine.store.made import add_attempt, flip_bit, log_steps, make_run, make_store

FAST = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture
def run(store_root: Path) -> RunPaths:
    return make_run(make_store(store_root))


def history(run: RunPaths) -> RunHistory:
    made = RunHistory(run)
    made.refresh()
    return made


def steps_of(found: RunHistory, name: str = "train/loss") -> list[int]:
    return list(found.series[name].steps) if name in found.series else []


def owners(found: RunHistory) -> list[int]:
    """Which attempt each point comes from (the loss is the attempt's number and a fraction)."""
    return [int(value) for value in found.series["train/loss"].values]


# The tail of one file


def test_each_record_is_read_once_however_often_one_looks(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tail = JsonLinesTail(path)
    assert list(tail.read()) == [], "not there yet"
    seen = []
    for first in (0, 10, 20):
        with path.open("a") as file:
            file.writelines(json.dumps({"step": step}) + "\n" for step in range(first, first + 10))
        seen += [record["step"] for record in tail.read()]
        assert tail.offset == path.stat().st_size
        assert list(tail.read()) == []
    assert seen == list(range(30))


def test_what_was_read_is_never_read_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n')
    tail = JsonLinesTail(path)
    assert len(list(tail.read())) == 2
    # Were the start parsed again, this damage to it would be seen.
    with path.open("r+b") as file:
        file.write(b"XXXXXXXXXXX")
        file.seek(0, os.SEEK_END)
        file.write(b'{"step": 3}\n')
    assert [record["step"] for record in tail.read()] == [3]
    assert tail.damaged == 0


def test_a_half_written_line_waits_for_its_rest(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tail = JsonLinesTail(path)
    line = b'{"step": 12, "train/loss": 0.5}\n'
    for end in range(len(line)):
        path.write_bytes(line[:end])
        assert list(tail.read()) == []
    path.write_bytes(line)
    assert list(tail.read()) == [{"step": 12, "train/loss": 0.5}]
    assert tail.damaged == 0


def test_a_file_that_shrank_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n')
    tail = JsonLinesTail(path)
    list(tail.read())
    path.write_text('{"step": 7}\n')
    assert [record["step"] for record in tail.read()] == [7]
    assert tail.restarted


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n')
    tail = JsonLinesTail(path)
    list(tail.read())
    (tmp_path / "other").write_text('{"step": 5}\n{"step": 6}\n{"step": 7}\n')
    os.replace(tmp_path / "other", path)
    assert [record["step"] for record in tail.read()] == [5, 6, 7]
    assert tail.restarted


def test_damaged_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    bad = [b"{", b"[]", b"null", b"\xff\xfe", b'{"time": 1}', b'{"step": "1"}', b'{"step": 1.5}', b'{"step": true}']
    bad += [b'{"step": -1}', b'{"step": 18446744073709551615}', b'{"step": 99999999999999999999999}']
    bad += [b'{"step": 1, "a": NaN}', b"[" * 5000]
    path.write_bytes(b'{"step": 1}\n' + b"\n".join(bad) + b'\n{"step": 2}\n')
    tail = JsonLinesTail(path)
    assert [record["step"] for record in tail.read()] == [1, 2]
    assert tail.damaged == len(bad)


def test_lines_across_chunk_borders_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_CHUNK_BYTES", 64)
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step, "x": "y" * (step % 20)}) + "\n" for step in range(200)))
    assert [record["step"] for record in JsonLinesTail(path).read()] == list(range(200))


def test_a_line_longer_than_a_chunk_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_CHUNK_BYTES", 64)
    path = tmp_path / "metrics.jsonl"
    figures = {f"metric_{number}": 0.5 for number in range(50)}
    path.write_text("".join(json.dumps({"step": step, **figures}) + "\n" for step in range(3)))
    tail = JsonLinesTail(path)
    assert list(tail.read()) == [{"step": step, **figures} for step in range(3)]
    assert tail.damaged == 0


def test_a_line_longer_than_any_of_ours_is_damage_and_what_follows_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "_CHUNK_BYTES", 64)
    monkeypatch.setattr(metrics, "_LONGEST_LINE", 128)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + b"x" * 300 + b'\n{"step": 2}\n')
    tail = JsonLinesTail(path)
    assert [record["step"] for record in tail.read()] == [1, 2]
    assert tail.damaged >= 1


def test_a_folder_in_place_of_the_file_is_no_records(tmp_path: Path) -> None:
    assert list(JsonLinesTail(tmp_path).read()) == []


def test_a_reader_may_start_at_an_offset(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n')
    assert [record["step"] for record in JsonLinesTail(path, 12).read()] == [2]


# The effective history of a run


def test_one_attempt_is_its_own_history(run: RunPaths) -> None:
    attempt = add_attempt(run)
    log_steps(attempt, range(1, 6), loss=0.5, **{"train/lr": 1e-3})
    found = history(run)
    assert steps_of(found) == [1, 2, 3, 4, 5]
    assert found.last_values() == {"train/loss": 0.5, "train/lr": 1e-3}
    assert (found.last_step, found.last_time) == (5, 1.7e9 + 5)
    assert list(found.series["train/loss"].times) == [1.7e9 + step for step in range(1, 6)]


def test_nan_and_infinity_stay_in_the_curve(run: RunPaths) -> None:
    attempt = add_attempt(run)
    for step, value in enumerate((math.nan, math.inf, -math.inf, 1.0), start=1):
        log_steps(attempt, [step], value)
    values = list(history(run).series["train/loss"].values)
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf, 1.0]


def test_every_bit_of_a_float_survives(run: RunPaths) -> None:
    attempt = add_attempt(run)
    exact = [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, 1 / 3]
    for step, value in enumerate(exact, start=1):
        log_steps(attempt, [step], value)
    assert [value.hex() for value in history(run).series["train/loss"].values] == [value.hex() for value in exact]


def test_what_was_logged_past_the_resume_point_is_shadowed(run: RunPaths) -> None:
    log_steps(add_attempt(run), range(1, 11))
    log_steps(add_attempt(run, resumed_from_step=6), range(7, 13))
    found = history(run)
    assert steps_of(found) == list(range(1, 13))
    assert owners(found) == [1] * 6 + [2] * 6


def test_three_attempts_make_one_curve(run: RunPaths) -> None:
    log_steps(add_attempt(run), range(1, 11))
    log_steps(add_attempt(run, resumed_from_step=8), range(9, 21))
    log_steps(add_attempt(run, resumed_from_step=4), range(5, 8))
    found = history(run)
    assert steps_of(found) == list(range(1, 8))
    assert owners(found) == [1] * 4 + [3] * 3
    assert found.last_step == 7, "what the second attempt reached is shadowed"


def test_a_resume_from_the_start_shadows_everything(run: RunPaths) -> None:
    log_steps(add_attempt(run), range(1, 11), **{"train/only_before": 1.0})
    log_steps(add_attempt(run, resumed_from_step=0), range(1, 4))
    found = history(run)
    assert owners(found) == [2, 2, 2]
    assert "train/only_before" not in found.series, "a metric with no point left is none"
    assert found.last_step == 3


def test_a_resumed_attempt_that_has_logged_nothing_yet_already_shadows(run: RunPaths) -> None:
    log_steps(add_attempt(run), range(1, 11))
    add_attempt(run, resumed_from_step=5)
    found = history(run)
    assert steps_of(found) == [1, 2, 3, 4, 5]
    assert found.last_step == 5


def test_an_attempt_without_metrics_between_others_changes_nothing_more(run: RunPaths) -> None:
    log_steps(add_attempt(run), range(1, 11))
    add_attempt(run, resumed_from_step=10)
    log_steps(add_attempt(run, resumed_from_step=10), range(11, 13))
    assert owners(history(run)) == [1] * 10 + [3] * 2


def test_an_attempt_that_is_just_being_made_waits_for_its_resume_point(run: RunPaths) -> None:
    log_steps(add_attempt(run), range(1, 11))
    found = history(run)
    run.attempt(2).folder.mkdir()
    assert not found.refresh()
    assert steps_of(found) == list(range(1, 11))
    run.attempt(2).folder.rmdir()
    log_steps(add_attempt(run, resumed_from_step=5), range(6, 8))
    assert found.refresh()
    assert owners(found) == [1] * 5 + [2] * 2


def test_an_attempt_whose_launch_file_is_damaged_still_shows_its_curve(run: RunPaths) -> None:
    log_steps(add_attempt(run), range(1, 11))
    second = add_attempt(run, resumed_from_step=5)
    log_steps(second, range(6, 9))
    second.launch.write_text("{")
    found = history(run)
    assert steps_of(found) == sorted(set(steps_of(found))), "no step is doubled"
    assert owners(found)[5:] == [2, 2, 2]


def test_looking_again_takes_in_only_what_is_new(run: RunPaths) -> None:
    attempt = add_attempt(run)
    log_steps(attempt, range(1, 4))
    found = history(run)
    assert not found.refresh()
    log_steps(attempt, range(4, 6))
    assert found.refresh()
    assert steps_of(found) == [1, 2, 3, 4, 5]
    assert found.generation == 0


def test_the_generation_grows_exactly_when_points_are_taken_back(run: RunPaths) -> None:
    log_steps(add_attempt(run), range(1, 11))
    found = history(run)
    generation = found.generation
    second = add_attempt(run, resumed_from_step=10)
    log_steps(second, range(11, 13))
    found.refresh()
    assert found.generation == generation, "nothing was past step 10"
    third = add_attempt(run, resumed_from_step=11)
    found.refresh()
    assert found.generation > generation
    generation = found.generation
    log_steps(third, range(12, 14))
    found.refresh()
    assert found.generation == generation


def test_a_live_view_and_a_fresh_one_agree(run: RunPaths) -> None:
    live = RunHistory(run)
    for start, steps in ((None, range(1, 21)), (12, range(13, 31)), (0, range(1, 3)), (2, range(3, 9))):
        attempt = add_attempt(run, resumed_from_step=start)
        live.refresh()
        for step in steps:
            log_steps(attempt, [step])
            if step % 3 == 0:
                live.refresh()
    live.refresh()
    fresh = history(run)
    assert live.series == fresh.series
    assert (live.last_step, live.last_time is not None) == (fresh.last_step, True)


def test_two_records_of_one_step_with_different_metrics_are_both_kept(run: RunPaths) -> None:
    attempt = add_attempt(run)
    with attempt.metrics.open("w") as file:
        file.write('{"step": 5, "time": 1, "train/loss": 1}\n{"step": 5, "time": 2, "val/loss": 2}\n')
    found = history(run)
    assert found.last_values() == {"train/loss": 1.0, "val/loss": 2.0}
    assert found.generation == 0


def test_damaged_lines_are_counted_over_all_attempts(run: RunPaths) -> None:
    for start in (None, 1):
        attempt = add_attempt(run, resumed_from_step=start)
        log_steps(attempt, [1 if start is None else 2])
        with attempt.metrics.open("a") as file:
            file.write("damage\n")
    found = history(run)
    assert found.damaged == 2
    assert steps_of(found) == [1, 2]


def test_values_that_are_no_numbers_are_left_out(run: RunPaths) -> None:
    attempt = add_attempt(run)
    attempt.metrics.write_text('{"step": 1, "time": null, "a": "x", "b": [1], "c": true, "d": 2}\n')
    assert history(run).last_values() == {"d": 2.0}


def _numbered(run: RunPaths, count: int = 30) -> bytes:
    attempt = run.attempts()[0] if run.attempts() else add_attempt(run)
    attempt.metrics.unlink(missing_ok=True)
    log_steps(attempt, range(1, count + 1))
    return attempt.metrics.read_bytes()


@given(position=st.integers(0, 2000))
@FAST
def test_truncation_at_any_byte_leaves_a_prefix(run: RunPaths, position: int) -> None:
    content = _numbered(run)
    whole = content[: position % (len(content) + 1)]
    run.attempts()[0].metrics.write_bytes(whole)
    found = history(run)
    assert steps_of(found) == list(range(1, whole.count(b"\n") + 1))
    assert found.damaged == 0


@given(position=st.integers(0, 2000), bit=st.integers(0, 7))
@FAST
def test_a_flipped_bit_anywhere_leaves_an_ordered_curve(run: RunPaths, position: int, bit: int) -> None:
    _numbered(run)
    path = run.attempts()[0].metrics
    flip_bit(path, position, bit)
    found = history(run)
    true = {step: 1 + step / 1000 for step in range(1, 31)}
    for series in found.series.values():
        steps = list(series.steps)
        assert steps == sorted(set(steps))
        assert len(series.steps) == len(series.values) == len(series.times)
    points = dict(zip(steps_of(found), found.series["train/loss"].values, strict=True))
    wrong = [step for step, value in points.items() if true.get(step) != value]
    assert len(wrong) <= 1, "only the damaged record may differ"


@given(lines=st.lists(st.binary(max_size=40) | st.from_type(type(None)).map(lambda _: b'{"step": 3}'), max_size=6))
@FAST
def test_no_metrics_file_whatever_raises(run: RunPaths, lines: list[bytes]) -> None:
    attempt = run.attempts()[0] if run.attempts() else add_attempt(run)
    attempt.metrics.write_bytes(b"\n".join(lines))
    history(run)


_JSON = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
)


@given(records=st.lists(st.dictionaries(st.sampled_from(["step", "time", "a", "b"]), _JSON), max_size=6))
@FAST
def test_no_records_whatever_raise(run: RunPaths, records: list[dict[str, Any]]) -> None:
    attempt = run.attempts()[0] if run.attempts() else add_attempt(run)
    attempt.metrics.write_bytes(b"".join(json.dumps(record).encode() + b"\n" for record in records))
    for series in history(run).series.values():
        assert list(series.steps) == sorted(set(series.steps))


def test_a_long_log_is_read_whole(run: RunPaths) -> None:
    attempt = add_attempt(run)

    def lines() -> Iterator[str]:
        for step in range(1, 20_001):
            yield f'{{"step":{step},"time":{1.7e9 + step},"a":0.5,"b":0.25,"c":1e-3,"d":2.0,"e":3.0}}\n'

    attempt.metrics.write_text("".join(lines()))
    found = history(run)
    assert found.last_step == 20_000
    assert sum(len(series) for series in found.series.values()) == 100_000


def test_what_lies_past_the_step_of_a_rollback_is_shadowed_at_once_and_for_good(run: RunPaths) -> None:
    attempt = add_attempt(run)
    log_steps(attempt, range(1, 21), **{"val/loss": 1.0})
    live = history(run)
    with attempt.metrics.open("a") as file:
        file.write(json.dumps({"step": 12, "time": 1.0, "rolled_back_from": 20.0}) + "\n")
    assert live.refresh()
    assert (live.last_step, steps_of(live, "val/loss")) == (12, list(range(1, 13)))
    log_steps(attempt, range(13, 16))
    live.refresh()
    for found in (live, history(run)):
        assert steps_of(found) == list(range(1, 16))
        assert steps_of(found, "val/loss") == list(range(1, 13))
        assert "rolled_back_from" not in found.series
