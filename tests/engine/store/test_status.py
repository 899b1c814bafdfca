"""Status as a table: evidence in, state with reason and since out, in the order of trust."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.store.records import Beat, Event, ExitRecord, LaunchRecord
from engine.store.status import Evidence, SchedulerWord, State, Status, decide, signal_name
from tests.engine.store.status_evidence import DEAD, ELSEWHERE, LAUNCH, NOW, Row, beat
from tests.engine.store.status_rows import TABLE


@pytest.mark.parametrize("row", TABLE, ids=[row.claim for row in TABLE])
def test_status_by_the_table(row: Row) -> None:
    status = decide(Evidence(now=NOW, launch=row.launch, **row.facts))
    assert status.state is row.state, status.reason
    for word in row.words:
        assert word in status.reason
    for word in row.absent:
        assert word not in status.reason
    assert status.reason
    assert status.since == row.since


def test_the_table_reaches_every_state() -> None:
    assert {row.state for row in TABLE} == set(State)


def test_nothing_of_another_host_is_ever_called_failed_lost_or_killed() -> None:
    for row in TABLE:
        for age in (0, 50, 1e4, 1e9):
            facts = row.facts | ELSEWHERE | {"final_event": None, "exit": None, "scheduler": None, "beat": beat(age)}
            status = decide(Evidence(now=NOW, launch=row.launch or LAUNCH, **facts))
            assert status.state in (State.RUNNING, State.STOPPING, State.SILENT), row.claim


def test_the_reason_of_leftovers_is_the_one_that_keeps_a_run_from_being_settled() -> None:
    # summary.py looks for these words.
    status = decide(Evidence(now=NOW, launch=LAUNCH, **(DEAD | {"lock_held": True, "leftovers": (5,)})))
    assert "processes of it are left" in status.reason


def test_every_state_has_a_glyph_of_its_own_in_both_alphabets() -> None:
    assert len({state.glyph for state in State}) == len(State)
    assert len({state.ascii_glyph for state in State}) == len(State)
    assert all(len(state.glyph) == 1 and state.ascii_glyph.isascii() for state in State)


def test_no_state_is_both_live_and_final_and_only_queued_and_silent_are_neither() -> None:
    assert not [state for state in State if state.is_live and state.is_final]
    assert {state for state in State if not state.is_live and not state.is_final} == {State.QUEUED, State.SILENT}


def test_an_age_is_never_negative_and_unknown_without_since() -> None:
    assert Status(State.LOST, "x", 90.0).age(100.0) == 10.0
    assert Status(State.LOST, "x", 110.0).age(100.0) == 0.0, "another host's clock may be ahead"
    assert Status(State.LOST, "x").age(100.0) is None


def test_signals_are_named_and_unknown_ones_numbered() -> None:
    assert (signal_name(9), signal_name(15), signal_name(250)) == ("SIGKILL", "SIGTERM", "signal 250")


_TIMES = st.none() | st.floats(allow_nan=True, allow_infinity=True)
_FACTS = st.dictionaries(st.sampled_from(["reason", "error"]), st.none() | st.text(max_size=4) | st.integers())
_WORDS = st.none() | st.text(max_size=4)
_LAUNCHES = st.builds(
    LaunchRecord, attempt=st.integers(), created=st.floats(), host=st.text(max_size=4), lock=_WORDS,
    trainer_pid=st.none() | st.integers(), supervisor_pid=st.none() | st.integers(), started=_TIMES,
    backend=st.sampled_from(["local", "slurm"]),
)  # fmt: skip
_FINAL = st.sampled_from(["finished", "stopped", "preempted", "failed"])
_EVENTS = st.builds(Event, _FINAL, st.floats(), st.none() | st.integers(), _FACTS)
_OTHERS = st.builds(Event, st.text(max_size=4), st.floats(), st.none() | st.integers(), _FACTS)
_EXITS = st.builds(ExitRecord, st.floats(), st.none() | st.integers(), st.none() | st.integers(), _WORDS, _WORDS)
_JOB_STATES = st.sampled_from(
    ["PENDING", "RUNNING", "COMPLETING", "CANCELLED by 7", "NODE_FAIL", "COMPLETED", "TIMEOUT"]
)
_SAID = st.builds(
    SchedulerWord, _WORDS | _JOB_STATES, st.floats(), job=_WORDS, restarts=st.integers(), unanswered_since=_TIMES
)
_PROCESS = st.sampled_from(["alive", "zombie", "gone", "unknown"])
_EVIDENCE = st.builds(
    Evidence, now=st.floats(), launch=st.none() | _LAUNCHES, final_event=st.none() | _EVENTS,
    last_event=st.none() | _OTHERS, exit=st.none() | _EXITS, same_host=st.booleans(), same_boot=st.booleans(),
    same_namespace=st.booleans(), supervisor=_PROCESS, trainer=_PROCESS, lock_held=st.booleans(),
    leftovers=st.lists(st.integers(), max_size=3).map(tuple),
    beat=st.none() | st.builds(Beat, st.floats(), st.floats()),
    scheduler=st.none() | _SAID, stop_now=st.booleans(), training_since=_TIMES,
    stop_requested=_TIMES, last_progress=_TIMES, expected_gap_seconds=_TIMES, booted=_TIMES, created=_TIMES,
)  # fmt: skip


@given(evidence=_EVIDENCE)
@settings(max_examples=150)
def test_any_evidence_whatever_gives_a_state_and_a_reason(evidence: Evidence) -> None:
    status = decide(evidence)
    assert isinstance(status.state, State)
    assert status.reason.strip()
    if evidence.final_event is not None and evidence.final_event.name != "preempted":
        assert status.state == evidence.final_event.name
