"""The table of status: evidence in, state with reason and since out, in the order of trust."""

from __future__ import annotations

from dataclasses import replace

from engine.store.records import ExitRecord
from engine.store.status import BEAT_SLACK_SECONDS, START_PATIENCE_SECONDS, State
from tests.engine.store.status_evidence import (
    ALIVE,
    ASKED,
    DEAD,
    ELSEWHERE,
    LAUNCH,
    LAUNCHED,
    NO_PIDS,
    NO_TRAINER,
    NOW,
    STARTED,
    WEAKER,
    Row,
    beat,
    event,
)
from tests.engine.store.status_jobs import JOBS

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
