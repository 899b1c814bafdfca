"""Status as a table: evidence in, state with reason and since out, in the order of trust."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.store.records import Beat, Event, ExitRecord, LaunchRecord
from engine.store.status import (
    BEAT_SLACK_SECONDS,
    START_PATIENCE_SECONDS,
    Evidence,
    SchedulerWord,
    State,
    Status,
    decide,
    signal_name,
)

NOW = 1_000_000.0
LAUNCHED = NOW - 3600
STARTED = NOW - 3590
LAUNCH = LaunchRecord(
    attempt=1, created=LAUNCHED, host="here", boot_id="boot", supervisor_pid=10, supervisor_ticks=1, trainer_pid=11,
    trainer_ticks=2, started=STARTED,
)  # fmt: skip
WEAKER = replace(LAUNCH, weaker_evidence=True)
CLUSTER = replace(LAUNCH, backend="slurm", job_name="heats-a")
PENDING = LaunchRecord(1, LAUNCHED, "here", backend="slurm", job_name="heats-a")
NO_PIDS = replace(LAUNCH, supervisor_pid=None, supervisor_ticks=None, trainer_pid=None, trainer_ticks=None)
NO_TRAINER = replace(LAUNCH, trainer_pid=None, trainer_ticks=None, started=None)


def event(name: str, step: int | None = 70, **facts: Any) -> Event:
    return Event(name, NOW - 50, step, facts)


def beat(age: float, within: float = 10.0) -> Beat:
    return Beat(NOW - age, within)


ALIVE: dict[str, Any] = {
    "supervisor": "alive", "trainer": "alive", "lock_held": True, "last_event": event("training"),
    "last_progress": NOW - 2, "expected_gap_seconds": 120.0,
}  # fmt: skip
DEAD: dict[str, Any] = {"supervisor": "gone", "trainer": "gone", "last_progress": NOW - 300}
ASKED: dict[str, Any] = ALIVE | {"stop_requested": NOW - 7}
ELSEWHERE: dict[str, Any] = {"same_host": False, "same_boot": False, "same_namespace": False}


@dataclass(frozen=True)
class Row:
    claim: str
    facts: dict[str, Any]
    state: State
    words: tuple[str, ...]
    since: float | None
    absent: tuple[str, ...] = ()
    launch: LaunchRecord | None = field(default=LAUNCH)


JOBS = [
    Row(
        "submitted, and waiting with a reason",
        {"scheduler": SchedulerWord("PENDING", reason="Resources", job="7")},
        State.QUEUED,
        ("job 7 waits: Resources",),
        LAUNCHED,
        launch=PENDING,
    ),
    Row(
        "its job starts, and hasn't said a word",
        {"scheduler": SchedulerWord("RUNNING", job="7", node="n3")},
        State.STARTING,
        ("job 7 starts on n3",),
        LAUNCHED,
        launch=PENDING,
    ),
    Row(
        "submitted, where the store is seen from elsewhere",
        {},
        State.SILENT,
        ("can't be asked from here",),
        LAUNCHED,
        launch=PENDING,
    ),
    Row(
        "a scheduler that gives no answer makes nothing dead",
        {"scheduler": SchedulerWord("PENDING", unanswered_since=NOW - 9, trouble="timed out")},
        State.SILENT,
        ("unknown", "no answer (timed out)", "last said PENDING"),
        NOW - 9,
        launch=PENDING,
    ),
    Row(
        "nor does it where beats tell more",
        ELSEWHERE | {"scheduler": SchedulerWord("RUNNING", unanswered_since=NOW - 9), "beat": beat(5)},
        State.RUNNING,
        ("on here",),
        STARTED,
        launch=CLUSTER,
    ),
    Row(
        "whoever submitted it died, or sbatch is at it",
        {"scheduler": SchedulerWord(None, 20.0)},
        State.STARTING,
        ("being submitted",),
        LAUNCHED,
        launch=PENDING,
    ),
    Row(
        "it never reached the queue",
        {"scheduler": SchedulerWord(None, 400.0)},
        State.LOST,
        ("never began", "7 min"),
        NOW - 400,
        launch=PENDING,
    ),
    Row(
        "cancelled by heats stop before it began",
        {"scheduler": SchedulerWord("CANCELLED", job="7"), "stop_requested": NOW - 4},
        State.STOPPED,
        ("before it began",),
        NOW - 4,
        launch=PENDING,
    ),
    Row(
        "its set-up lines failed",
        {"scheduler": SchedulerWord("FAILED", job="7")},
        State.FAILED,
        ("before training began", ".slurm/heats-a"),
        LAUNCHED,
        launch=PENDING,
    ),
    Row(
        "preempted, and its supervisor hasn't said what becomes of it",
        {"final_event": event("preempted"), "scheduler": SchedulerWord("RUNNING", job="7")},
        State.STOPPING,
        ("with a checkpoint",),
        NOW - 50,
        launch=CLUSTER,
    ),
    Row(
        "preempted and requeued",
        {
            "final_event": event("preempted"),
            "exit": ExitRecord(NOW - 40, 75, job_cause="running", requeued=True),
            "scheduler": SchedulerWord("PENDING", reason="BeginTime", job="7", restarts=1),
        },
        State.QUEUED,
        ("requeued", "job 7 waits: BeginTime"),
        NOW - 40,
        launch=CLUSTER,
    ),
    Row(
        "requeued, and gone for good",
        {
            "final_event": event("preempted"),
            "exit": ExitRecord(NOW - 4000, 75, requeued=True),
            "scheduler": SchedulerWord("COMPLETING", 900.0, job="7"),
        },
        State.QUEUED,
        ("on its way back",),
        NOW - 4000,
        launch=CLUSTER,
    ),
    Row(
        "requeued, and not in the queue for minutes",
        {
            "final_event": event("preempted"),
            "exit": ExitRecord(NOW - 4000, 75, requeued=True),
            "scheduler": SchedulerWord(None, 900.0, job="7"),
        },
        State.PREEMPTED,
        ("15 min",),
        NOW - 4000,
        launch=CLUSTER,
    ),
    Row(
        "preempted, and not to come back",
        {"final_event": event("preempted"), "exit": ExitRecord(NOW - 40, 75, job_cause="running")},
        State.PREEMPTED,
        ("preempted",),
        NOW - 50,
        launch=CLUSTER,
    ),
    Row(
        "preempted, and SLURM wouldn't have it back",
        {"final_event": event("preempted"), "exit": ExitRecord(NOW - 40, 75, job_cause="running", error="no requeue")},
        State.PREEMPTED,
        ("preempted at step 70; no requeue",),
        NOW - 50,
        launch=CLUSTER,
    ),
    Row(
        "scancel from outside, after which it saved",
        {"final_event": event("preempted"), "exit": ExitRecord(NOW - 40, 75, job_cause="cancelled")},
        State.STOPPED,
        ("cancelled with scancel", "saved a checkpoint"),
        NOW - 40,
        launch=CLUSTER,
    ),
    Row(
        "its node failed, and it begins again elsewhere",
        ELSEWHERE | {"beat": beat(5), "scheduler": SchedulerWord("RUNNING", job="7", restarts=1, node="n4")},
        State.STARTING,
        ("took job 7 away from here", "begins again on n4"),
        STARTED,
        launch=CLUSTER,
    ),
    Row(
        "SLURM takes it away, and it has its grace to save",
        ELSEWHERE | {"beat": beat(5), "scheduler": SchedulerWord("COMPLETING", job="7", restarts=1)},
        State.STOPPING,
        ("takes job 7 away from here",),
        STARTED,
        launch=CLUSTER,
    ),
    Row(
        "an answer from before it began is none",
        ELSEWHERE | {"beat": beat(5), "scheduler": SchedulerWord("PENDING", job="7", answered=STARTED - 2)},
        State.RUNNING,
        ("on here",),
        STARTED,
        launch=CLUSTER,
    ),
    Row(
        "more memory than it asked for",
        ELSEWHERE | {"scheduler": SchedulerWord("OUT_OF_MEMORY")},
        State.FAILED,
        ("OUT_OF_MEMORY",),
        LAUNCHED,
        launch=CLUSTER,
    ),
]

TABLE = [
    # 1. the engine's own last word beats everything
    Row("finished", {"final_event": event("finished")}, State.FINISHED, ("finished at step 70",), NOW - 50),
    Row("stopped", {"final_event": event("stopped")}, State.STOPPED, ("stopped at step 70",), NOW - 50),
    Row("preempted", {"final_event": event("preempted")}, State.PREEMPTED, ("preempted at step 70",), NOW - 50),
    Row(
        "failed says why",
        {"final_event": event("failed", error="out of memory")},
        State.FAILED, ("failed at step 70", "out of memory"), NOW - 50,
    ),
    Row(
        "stopped before the first step",
        {"final_event": event("stopped", None, reason="left before the first step")},
        State.STOPPED, ("left before the first step",), NOW - 50, ("at step",),
    ),
    Row(
        "torchrun's exit code 1 after the engine's own stopped",
        {"final_event": event("stopped"), "exit": ExitRecord(NOW - 40, code=1)},
        State.STOPPED, ("stopped",), NOW - 50, ("exit code",),
    ),
    Row(
        "exit code 75 after preempted",
        {"final_event": event("preempted"), "exit": ExitRecord(NOW - 40, code=75)},
        State.PREEMPTED, ("preempted",), NOW - 50,
    ),
    Row(
        "killed while leaving after finished",
        {"final_event": event("finished"), "exit": ExitRecord(NOW - 40, signal=9)},
        State.FINISHED, ("finished",), NOW - 50,
    ),
    Row(
        "finished, then the machine rebooted",
        {"final_event": event("finished"), "same_boot": False, "booted": NOW - 10},
        State.FINISHED, ("finished",), NOW - 50,
    ),
    Row(
        "finished on another host whose beats ended",
        {"final_event": event("finished"), **ELSEWHERE, "beat": beat(9999)},
        State.FINISHED, ("finished",), NOW - 50,
    ),
    Row(
        "finished although launch.json is damaged",
        {"final_event": event("finished"), "created": NOW - 9999},
        State.FINISHED, ("finished",), NOW - 50, launch=None,
    ),
    # 2. the supervisor's word
    Row("exit code 0", {"exit": ExitRecord(NOW - 40, code=0)}, State.FINISHED, ("exit code 0",), NOW - 40),
    Row("exit code 3", {"exit": ExitRecord(NOW - 40, code=3)}, State.FAILED, ("exit code 3",), NOW - 40),
    Row("signal", {"exit": ExitRecord(NOW - 40, signal=9)}, State.KILLED, ("SIGKILL",), NOW - 40, ("ladder",)),
    Row("segfault", {"exit": ExitRecord(NOW - 40, signal=11)}, State.KILLED, ("SIGSEGV",), NOW - 40),
    Row(
        "killed by the stop ladder",
        {"exit": ExitRecord(NOW - 40, signal=9, rung="kill"), "stop_requested": NOW - 100},
        State.KILLED, ("SIGKILL", "stop ladder"), NOW - 40,
    ),
    Row(
        "the trainer's program is missing",
        {"exit": ExitRecord(NOW - 40, error="the trainer can't be started: no such file")},
        State.FAILED, ("can't be started",), NOW - 40,
    ),
    Row(
        "exit code although launch.json is damaged",
        {"exit": ExitRecord(NOW - 40, code=0), "created": NOW - 9999},
        State.FINISHED, ("exit code 0",), NOW - 40, launch=None,
    ),
    # 3. the processes
    Row("alive and stepping", ALIVE, State.RUNNING, ("alive", "pid 11"), STARTED, ("supervisor",)),
    Row(
        "alive without its supervisor",
        ALIVE | {"supervisor": "gone"}, State.RUNNING, ("without its supervisor",), STARTED,
    ),
    Row(
        "alive beneath a zombie of a supervisor",
        ALIVE | {"supervisor": "zombie"}, State.RUNNING, ("without its supervisor",), STARTED,
    ),
    Row(
        "loading",
        ALIVE | {"last_event": event("started"), "last_progress": None}, State.STARTING, ("loading",), STARTED,
    ),
    Row("up but silent so far", ALIVE | {"last_event": None, "last_progress": None}, State.STARTING, (), STARTED),
    Row("asked to stop", ASKED, State.STOPPING, ("asked to stop", "113 s left"), NOW - 7),
    Row(
        "asked to stop, the grace is over",
        ASKED | {"stop_requested": NOW - 121}, State.STOPPING, ("grace is over", "killed"), NOW - 121, ("left for",),
    ),
    Row(
        "asked to leave at once",
        ASKED | {"stop_now": True}, State.STOPPING, ("without a last checkpoint",), NOW - 7, ("s left",),
    ),
    Row(
        "asked to stop while hanging",
        ALIVE | {"stop_requested": NOW - 7, "last_progress": NOW - 900}, State.STOPPING, ("asked to stop",), NOW - 7,
    ),
    Row(
        "asked to stop without a supervisor",
        ALIVE | {"stop_requested": NOW - 7, "supervisor": "gone"},
        State.STOPPING, ("asked to stop", "without its supervisor"), NOW - 7, ("s left",),
    ),
    Row("no step for long", ALIVE | {"last_progress": NOW - 121}, State.STALLED, ("120 s", "no step"), NOW - 121),
    Row("a step just within the gap", ALIVE | {"last_progress": NOW - 119}, State.RUNNING, ("alive",), STARTED),
    Row(
        "no second step yet, and the first may take its time",
        ALIVE | {"last_progress": NOW - 890, "expected_gap_seconds": None}, State.RUNNING, ("alive",), STARTED,
    ),
    Row(
        "it hangs before its second step",
        ALIVE | {"last_progress": NOW - 901, "expected_gap_seconds": None, "training_since": STARTED + 20},
        State.STALLED, ("hardly a step", "900 s"), NOW - 901,
    ),
    Row(
        "what loaded for minutes may take long over its first step too",
        ALIVE | {"last_progress": NOW - 1900, "expected_gap_seconds": None, "training_since": STARTED + 200},
        State.RUNNING, ("alive",), STARTED,
    ),
    Row(
        "it hangs while it loads",
        ALIVE | {"last_event": event("started"), "last_progress": None}, State.STALLED, ("still loading",), NOW - 3700,
        launch=replace(LAUNCH, started=NOW - 3700),
    ),
    Row(
        "a system without /proc says so",
        ALIVE, State.RUNNING, ("alive", "weaker evidence"), STARTED, launch=WEAKER,
    ),
    Row(
        "lost on a system without /proc",
        DEAD, State.LOST, ("the trainer is gone", "weaker evidence"), NOW - 300, launch=WEAKER,
    ),
    Row(
        "the engine's own word needs no /proc",
        {"final_event": event("finished")}, State.FINISHED, (), NOW - 50, ("weaker",), launch=WEAKER,
    ),
    Row(
        "gone, without a word",
        DEAD, State.LOST, ("the trainer is gone", "nor did its supervisor"), NOW - 300, ("processes",),
    ),
    Row("a reused pid is gone too", DEAD | {"last_progress": None}, State.LOST, ("gone",), STARTED),
    Row("a zombie nobody reaps", DEAD | {"trainer": "zombie"}, State.LOST, ("zombie",), NOW - 300),
    Row(
        "gone, but workers are left",
        DEAD | {"lock_held": True, "leftovers": (21, 22)},
        State.LOST, ("processes of it are left", "21, 22", "heats stop"), NOW - 300,
    ),
    Row(
        "gone, but somebody unknown holds the lock",
        DEAD | {"lock_held": True}, State.LOST, ("processes of it are left", "unknown"), NOW - 300,
    ),
    Row(
        "gone, its supervisor about to say how",
        DEAD | {"supervisor": "alive", "lock_held": True}, State.STOPPING, ("tidying up",), NOW - 300,
    ),
    Row(
        "a zombie, its supervisor about to reap it",
        DEAD | {"trainer": "zombie", "supervisor": "alive", "lock_held": True},
        State.STOPPING, ("tidying up",), NOW - 300,
    ),
    Row(
        "the supervisor is starting the trainer",
        {"supervisor": "alive", "lock_held": True}, State.STARTING, ("supervisor",), LAUNCHED, launch=NO_TRAINER,
    ),
    Row(
        "the supervisor died before the trainer",
        {"supervisor": "gone"}, State.LOST, ("before the trainer started",), LAUNCHED, launch=NO_TRAINER,
    ),
    Row(
        "the supervisor died before it noted the trainer, which runs",
        {"supervisor": "gone", "lock_held": True, "last_event": event("training"), "last_progress": NOW - 2},
        State.RUNNING, ("pid unknown", "without its supervisor"), LAUNCHED, launch=NO_TRAINER,
    ),
    Row(
        "somebody of it is starting",
        {"supervisor": "gone", "lock_held": True}, State.STARTING, ("starting",), LAUNCHED, launch=NO_TRAINER,
    ),
    Row(
        "launched a moment ago, no supervisor yet",
        {}, State.STARTING, ("supervisor is starting",), NOW - 5,
        launch=replace(NO_PIDS, created=NOW - 5, started=None),
    ),
    Row(
        "launched a moment ago, but nobody holds its lock: its launcher's child was killed",
        {}, State.LOST, ("before the trainer started",), NOW - 5,
        launch=replace(NO_PIDS, created=NOW - 5, started=None, lock="/tmp/its.lock"),
    ),
    Row(
        "launched long ago, no supervisor ever",
        {}, State.LOST, ("before the trainer started",), LAUNCHED, launch=replace(NO_PIDS, started=None),
    ),
    Row(
        "the supervisor died before it noted the trainer, which has died since",
        DEAD, State.LOST, ("the trainer is gone",), NOW - 300, launch=NO_TRAINER,
    ),
    # 4. another boot
    Row(
        "rebooted",
        {"same_boot": False, "booted": NOW - 100}, State.LOST, ("the machine rebooted",), NOW - 100,
    ),
    Row(
        "rebooted, and the pid lives again",
        ALIVE | {"same_boot": False, "booted": NOW - 100}, State.LOST, ("rebooted",), NOW - 100,
    ),
    # 5. the scheduler of a cluster
    Row(
        "waiting to run again",
        ELSEWHERE | {"scheduler": SchedulerWord("PENDING"), "beat": beat(9999)},
        State.QUEUED, ("waits in the queue again", "PENDING"), STARTED, launch=CLUSTER,
    ),
    Row(
        "requeued",
        ELSEWHERE | {"scheduler": SchedulerWord("REQUEUED")}, State.QUEUED, ("REQUEUED",), STARTED, launch=CLUSTER,
    ),
    *[
        Row(
            f"{word} is not final while the job may come back",
            ELSEWHERE | {"scheduler": SchedulerWord(word, 299.0)},
            State.SILENT, (word, "may be requeued"), LAUNCHED, launch=CLUSTER,
        )
        for word in ("PREEMPTED", "NODE_FAIL")
    ],
    Row(
        "preempted, and absent for five minutes",
        ELSEWHERE | {"scheduler": SchedulerWord("PREEMPTED", 300.0)},
        State.PREEMPTED, ("PREEMPTED",), NOW - 300, launch=CLUSTER,
    ),
    Row(
        "the node failed, and the job never came back",
        ELSEWHERE | {"scheduler": SchedulerWord("NODE_FAIL", 3000.0)},
        State.LOST, ("NODE_FAIL",), NOW - 3000, launch=CLUSTER,
    ),
    Row(
        "cancelled by somebody",
        ELSEWHERE | {"scheduler": SchedulerWord("CANCELLED by 1000")},
        State.STOPPED, ("CANCELLED",), LAUNCHED, launch=CLUSTER,
    ),
    Row(
        "over its time",
        ELSEWHERE | {"scheduler": SchedulerWord("TIMEOUT")}, State.KILLED, ("TIMEOUT",), LAUNCHED, launch=CLUSTER,
    ),
    Row(
        "running, says the scheduler, so the beats tell more",
        ELSEWHERE | {"scheduler": SchedulerWord("RUNNING"), "beat": beat(5)},
        State.RUNNING, ("on here",), STARTED, launch=CLUSTER,
    ),
    Row(
        "gone from the queue a moment ago",
        ELSEWHERE | {"scheduler": SchedulerWord(None, 10.0), "beat": beat(5)},
        State.RUNNING, ("on here",), STARTED, launch=CLUSTER,
    ),
    Row(
        "gone from the queue for good, without a word",
        ELSEWHERE | {"scheduler": SchedulerWord(None, 600.0), "beat": beat(600)},
        State.LOST, ("10 min", "left no word"), NOW - 600, launch=CLUSTER,
    ),
    Row(
        "the engine's word beats the scheduler's",
        ELSEWHERE | {"scheduler": SchedulerWord("FAILED", 900.0), "final_event": event("stopped")},
        State.STOPPED, ("stopped",), NOW - 50, launch=CLUSTER,
    ),
    Row(
        "a living trainer beats the scheduler's word",
        ALIVE | {"scheduler": SchedulerWord("NODE_FAIL", 900.0)}, State.RUNNING, ("alive",), STARTED, launch=CLUSTER,
    ),
    *JOBS,
    # 6. another host, or another container
    Row("elsewhere, beat in time", ELSEWHERE | {"beat": beat(5)}, State.RUNNING, ("on here",), STARTED),
    Row(
        "elsewhere, beat late but within the slack",
        ELSEWHERE | {"beat": beat(39 + BEAT_SLACK_SECONDS)}, State.RUNNING, ("on here",), STARTED,
    ),
    Row(
        "elsewhere, beat overdue",
        ELSEWHERE | {"beat": beat(41 + BEAT_SLACK_SECONDS)},
        State.SILENT, ("on here", "overdue"), NOW - 41 - BEAT_SLACK_SECONDS,
    ),
    Row(
        "elsewhere, silent for a month",
        ELSEWHERE | {"beat": beat(30 * 86400)}, State.SILENT, ("overdue",), NOW - 30 * 86400,
    ),
    Row(
        "elsewhere, with a clock ahead of ours",
        ELSEWHERE | {"beat": beat(-500)}, State.RUNNING, ("on here",), STARTED,
    ),
    Row(
        "elsewhere, asked to stop",
        ELSEWHERE | {"beat": beat(5), "stop_requested": NOW - 7}, State.STOPPING, ("on here",), NOW - 7,
    ),
    Row(
        "elsewhere, no beat yet",
        ELSEWHERE, State.STARTING, ("on here",), NOW - 5, launch=replace(LAUNCH, created=NOW - 5),
    ),
    Row("elsewhere, never a beat", ELSEWHERE, State.SILENT, ("no sign of life",), LAUNCHED),
    Row(
        "another container of this host, beat in time",
        {"same_namespace": False, "beat": beat(5), "trainer": "gone"},
        State.RUNNING, ("in another container on here",), STARTED,
    ),
    Row(
        "another container of this host, beat overdue",
        {"same_namespace": False, "beat": beat(500)}, State.SILENT, ("container", "overdue"), NOW - 500,
    ),
    # nothing launched
    Row("just made", {"created": NOW - 1}, State.STARTING, ("no attempt",), NOW - 1, launch=None),
    Row(
        "never launched",
        {"created": NOW - START_PATIENCE_SECONDS - 1}, State.LOST, ("never launched",),
        NOW - START_PATIENCE_SECONDS - 1, launch=None,
    ),
]  # fmt: skip


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
