"""Rows of the table of status: what a cluster's scheduler says."""

from __future__ import annotations

from functools import partial

from engine.store.records import ExitRecord
from engine.store.status import SchedulerWord, State
from tests.engine.store.status_evidence import (
    ALIVE,
    CLUSTER,
    ELSEWHERE,
    LAUNCHED,
    NOW,
    PENDING,
    STARTED,
    Row,
    beat,
    event,
)

# fmt: off
waiting = partial(Row, launch=PENDING)
"""A job that was submitted, and of which nobody has heard since."""
begun = partial(Row, launch=CLUSTER)
"""One whose supervisor has written down that it began."""
JOBS = [
    waiting(
        "submitted, and waiting with a reason",
        {"scheduler": SchedulerWord("PENDING", reason="Resources", job="7")},
        State.QUEUED, ("job 7 waits: Resources",), LAUNCHED,
    ),
    waiting(
        "its job starts, and hasn't said a word",
        {"scheduler": SchedulerWord("RUNNING", job="7", node="n3")}, State.STARTING, ("job 7 starts on n3",), LAUNCHED,
    ),
    waiting(
        "submitted, where the store is seen from elsewhere",
        {}, State.SILENT, ("can't be asked from here",), LAUNCHED,
    ),
    waiting(
        "a scheduler that gives no answer makes nothing dead",
        {"scheduler": SchedulerWord("PENDING", unanswered_since=NOW - 9, trouble="timed out")},
        State.SILENT, ("unknown", "no answer (timed out)", "last said PENDING"), NOW - 9,
    ),
    begun(
        "nor does it where beats tell more",
        ELSEWHERE | {"scheduler": SchedulerWord("RUNNING", unanswered_since=NOW - 9), "beat": beat(5)},
        State.RUNNING, ("on here",), STARTED,
    ),
    waiting(
        "whoever submitted it died, or sbatch is at it",
        {"scheduler": SchedulerWord(None, 20.0)}, State.STARTING, ("being submitted",), LAUNCHED,
    ),
    waiting(
        "it never reached the queue",
        {"scheduler": SchedulerWord(None, 400.0)}, State.LOST, ("never began", "7 min"), NOW - 400,
    ),
    waiting(
        "cancelled by heats stop before it began",
        {"scheduler": SchedulerWord("CANCELLED", job="7"), "stop_requested": NOW - 4},
        State.STOPPED, ("before it began",), NOW - 4,
    ),
    waiting(
        "its set-up lines failed",
        {"scheduler": SchedulerWord("FAILED", job="7")},
        State.FAILED, ("before training began", ".slurm/heats-a"), LAUNCHED,
    ),
    begun(
        "preempted, and its supervisor hasn't said what becomes of it",
        {"final_event": event("preempted"), "scheduler": SchedulerWord("RUNNING", job="7")},
        State.STOPPING, ("with a checkpoint",), NOW - 50,
    ),
    begun(
        "preempted and requeued",
        {
            "final_event": event("preempted"),
            "exit": ExitRecord(NOW - 40, 75, job_cause="running", requeued=True),
            "scheduler": SchedulerWord("PENDING", reason="BeginTime", job="7", restarts=1),
        },
        State.QUEUED, ("requeued", "job 7 waits: BeginTime"), NOW - 40,
    ),
    begun(
        "requeued, and gone for good",
        {
            "final_event": event("preempted"),
            "exit": ExitRecord(NOW - 4000, 75, requeued=True),
            "scheduler": SchedulerWord("COMPLETING", 900.0, job="7"),
        },
        State.QUEUED, ("on its way back",), NOW - 4000,
    ),
    begun(
        "requeued, and not in the queue for minutes",
        {
            "final_event": event("preempted"),
            "exit": ExitRecord(NOW - 4000, 75, requeued=True),
            "scheduler": SchedulerWord(None, 900.0, job="7"),
        },
        State.PREEMPTED, ("15 min",), NOW - 4000,
    ),
    begun(
        "preempted, and not to come back",
        {"final_event": event("preempted"), "exit": ExitRecord(NOW - 40, 75, job_cause="running")},
        State.PREEMPTED, ("preempted",), NOW - 50,
    ),
    begun(
        "preempted, and SLURM wouldn't have it back",
        {"final_event": event("preempted"), "exit": ExitRecord(NOW - 40, 75, job_cause="running", error="no requeue")},
        State.PREEMPTED, ("preempted at step 70; no requeue",), NOW - 50,
    ),
    begun(
        "scancel from outside, after which it saved",
        {"final_event": event("preempted"), "exit": ExitRecord(NOW - 40, 75, job_cause="cancelled")},
        State.STOPPED, ("cancelled with scancel", "saved a checkpoint"), NOW - 40,
    ),
    begun(
        "its node failed, and it begins again elsewhere",
        ELSEWHERE | {"beat": beat(5), "scheduler": SchedulerWord("RUNNING", job="7", restarts=1, node="n4")},
        State.STARTING, ("took job 7 away from here", "begins again on n4"), STARTED,
    ),
    begun(
        "SLURM takes it away, and it has its grace to save",
        ELSEWHERE | {"beat": beat(5), "scheduler": SchedulerWord("COMPLETING", job="7", restarts=1)},
        State.STOPPING, ("takes job 7 away from here",), STARTED,
    ),
    begun(
        "an answer from before it began is none",
        ELSEWHERE | {"beat": beat(5), "scheduler": SchedulerWord("PENDING", job="7", answered=STARTED - 2)},
        State.RUNNING, ("on here",), STARTED,
    ),
    begun(
        "more memory than it asked for",
        ELSEWHERE | {"scheduler": SchedulerWord("OUT_OF_MEMORY")}, State.FAILED, ("OUT_OF_MEMORY",), LAUNCHED,
    ),
    begun(
        "waiting to run again",
        ELSEWHERE | {"scheduler": SchedulerWord("PENDING"), "beat": beat(9999)},
        State.QUEUED, ("waits in the queue again", "PENDING"), STARTED,
    ),
    begun("requeued", ELSEWHERE | {"scheduler": SchedulerWord("REQUEUED")}, State.QUEUED, ("REQUEUED",), STARTED),
    *[
        begun(
            f"{word} is not final while the job may come back",
            ELSEWHERE | {"scheduler": SchedulerWord(word, 299.0)}, State.SILENT, (word, "may be requeued"), LAUNCHED,
        )
        for word in ("PREEMPTED", "NODE_FAIL")
    ],
    begun(
        "preempted, and absent for five minutes",
        ELSEWHERE | {"scheduler": SchedulerWord("PREEMPTED", 300.0)}, State.PREEMPTED, ("PREEMPTED",), NOW - 300,
    ),
    begun(
        "the node failed, and the job never came back",
        ELSEWHERE | {"scheduler": SchedulerWord("NODE_FAIL", 3000.0)}, State.LOST, ("NODE_FAIL",), NOW - 3000,
    ),
    begun(
        "cancelled by somebody",
        ELSEWHERE | {"scheduler": SchedulerWord("CANCELLED by 1000")}, State.STOPPED, ("CANCELLED",), LAUNCHED,
    ),
    begun("over its time", ELSEWHERE | {"scheduler": SchedulerWord("TIMEOUT")}, State.KILLED, ("TIMEOUT",), LAUNCHED),
    begun(
        "running, says the scheduler, so the beats tell more",
        ELSEWHERE | {"scheduler": SchedulerWord("RUNNING"), "beat": beat(5)}, State.RUNNING, ("on here",), STARTED,
    ),
    begun(
        "gone from the queue a moment ago",
        ELSEWHERE | {"scheduler": SchedulerWord(None, 10.0), "beat": beat(5)}, State.RUNNING, ("on here",), STARTED,
    ),
    begun(
        "gone from the queue for good, without a word",
        ELSEWHERE | {"scheduler": SchedulerWord(None, 600.0), "beat": beat(600)},
        State.LOST, ("10 min", "left no word"), NOW - 600,
    ),
    begun(
        "the engine's word beats the scheduler's",
        ELSEWHERE | {"scheduler": SchedulerWord("FAILED", 900.0), "final_event": event("stopped")},
        State.STOPPED, ("stopped",), NOW - 50,
    ),
    begun(
        "a living trainer beats the scheduler's word",
        ALIVE | {"scheduler": SchedulerWord("NODE_FAIL", 900.0)}, State.RUNNING, ("alive",), STARTED,
    ),
]
# fmt: on
