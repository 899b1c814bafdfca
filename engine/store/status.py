"""The status of a run: one pure function over evidence. Every answer carries its reason and since when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from engine.store.records import Beat, Event, ExitRecord, LaunchRecord


class State(StrEnum):
    """What a run is doing, or how it ended."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    KILLED = "killed"
    PREEMPTED = "preempted"
    STALLED = "stalled"
    SILENT = "silent"
    LOST = "lost"

    @property
    def is_live(self) -> bool:
        """Whether processes of the run are known or believed to exist."""
        return self in _LIVE

    @property
    def is_final(self) -> bool:
        """Whether only a new attempt can change it (so that nobody needs to look again)."""
        return self in _FINAL

    @property
    def glyph(self) -> str:
        """One character, so that colour never carries the meaning alone."""
        return _GLYPHS[self]

    @property
    def ascii_glyph(self) -> str:
        """The same for terminals without Unicode."""
        return _ASCII_GLYPHS[self]


_LIVE = frozenset({State.STARTING, State.RUNNING, State.STOPPING, State.STALLED})
_FINAL = frozenset({State.FINISHED, State.STOPPED, State.FAILED, State.KILLED, State.PREEMPTED, State.LOST})
_GLYPHS = {
    State.QUEUED: "◌", State.STARTING: "◔", State.RUNNING: "●", State.STOPPING: "◑", State.FINISHED: "✔",
    State.STOPPED: "■", State.FAILED: "✘", State.KILLED: "☠", State.PREEMPTED: "↺", State.STALLED: "▲",
    State.SILENT: "?", State.LOST: "∅",
}  # fmt: skip
_ASCII_GLYPHS = {
    State.QUEUED: ".", State.STARTING: "o", State.RUNNING: "*", State.STOPPING: "/", State.FINISHED: "+",
    State.STOPPED: "#", State.FAILED: "x", State.KILLED: "!", State.PREEMPTED: "~", State.STALLED: "^",
    State.SILENT: "?", State.LOST: "-",
}  # fmt: skip

# A supervisor that hasn't even written its pid after this long never started.
START_PATIENCE_SECONDS = 60.0
# Another host's clock, and its shared folder's cache, may lag.
BEAT_SLACK_SECONDS = 100.0
# Loading may download and tokenise; but a day of "starting" is a hang that nobody is told of.
LOADING_PATIENCE_SECONDS = 3600.0
# Before two steps have shown how long one takes: the first may compile the model and tune its kernels.
FIRST_STEPS_PATIENCE_SECONDS = 900.0
_LOADING_FACTOR = 10.0
# Clusters lose sight of a job for a while when it is requeued or the controller restarts.
ABSENCE_SECONDS = 300.0
# An answer is kept for seconds, and a node's clock may lag.
ANSWER_SLACK = 60.0

ProcessEvidence = Literal["alive", "zombie", "gone", "unknown"]


@dataclass(frozen=True)
class SchedulerWord:
    """What a cluster's scheduler says of an attempt's job: its state's name, or None where it knows the job no more.

    `absent_seconds` is for how long, without a break, the job has not been in the queue; 0 while it is there.
    It was said at `answered`, which may be a while ago. `unanswered_since`: the scheduler has given no answer since
    then, and the rest is what it said last; `trouble` is why. Times are seconds since 1970.
    """

    state: str | None
    absent_seconds: float = 0.0
    reason: str = ""
    job: str | None = None
    restarts: int = 0
    node: str = ""
    answered: float | None = None
    unanswered_since: float | None = None
    trouble: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that is known of a run's newest attempt. Times are seconds since 1970 by the viewer's clock."""

    now: float
    launch: LaunchRecord | None = None
    final_event: Event | None = None
    last_event: Event | None = None
    exit: ExitRecord | None = None
    same_host: bool = True
    same_boot: bool = True
    same_namespace: bool = True
    supervisor: ProcessEvidence = "unknown"
    trainer: ProcessEvidence = "unknown"
    lock_held: bool = False
    lock_missing: bool = False
    """The lock's file was deleted, so that only pids and open files tell who is left."""
    leftovers: tuple[int, ...] = ()
    beat: Beat | None = None
    scheduler: SchedulerWord | None = None
    stop_requested: float | None = None
    stop_now: bool = False
    training_since: float | None = None
    """When the newest attempt had loaded everything and began to train."""
    last_progress: float | None = None
    expected_gap_seconds: float | None = None
    booted: float | None = None
    created: float | None = None
    queued: float | None = None
    """Since when it waits in this machine's queue, with no attempt begun since."""


@dataclass(frozen=True)
class Status:
    """The answer: the state, why, and since when (seconds since 1970)."""

    state: State
    reason: str
    since: float | None = None
    job: str | None = None
    """The cluster's job that will train it, where it waits for that."""

    def age(self, now: float) -> float | None:
        """Seconds for which the state has held."""
        return None if self.since is None else max(0.0, now - self.since)


def decide(evidence: Evidence) -> Status:
    """The state of a run, in the order of trust: the engine's word, the supervisor's, the processes, the scheduler's,
    the beats."""
    launch = evidence.launch
    if evidence.queued is not None:  # put there by a person or a study after all that was said of earlier attempts
        return Status(State.QUEUED, "it waits in the queue", evidence.queued)
    if launch is not None and launch.on_cluster:
        from engine.store.job_status import decide_job  # it stands on what is said here

        of_job = decide_job(evidence, launch)
        if of_job is not None:
            return of_job
    if evidence.final_event is not None:
        return by_own_word(evidence.final_event)
    if evidence.exit is not None:
        return _by_exit(evidence.exit)
    if launch is None:
        if evidence.created is not None and evidence.now - evidence.created > START_PATIENCE_SECONDS:
            return Status(State.LOST, "it was made but never launched", evidence.created)
        return Status(State.STARTING, "no attempt has begun yet", evidence.created)
    if evidence.scheduler is not None and evidence.trainer != "alive":
        said = _by_scheduler(evidence, launch, evidence.scheduler)
        if said is not None:
            return said
    if not evidence.same_host or not evidence.same_namespace:
        return _by_beat(evidence, launch)
    if not evidence.same_boot:
        return Status(State.LOST, "the machine rebooted", evidence.booted)
    status = _by_processes(evidence, launch)
    if launch.weaker_evidence:
        return replace(status, reason=f"{status.reason}; weaker evidence: this system has no /proc")
    return status


def by_own_word(event: Event) -> Status:
    """The status that the engine's last event tells."""
    at = f" at step {event.step}" if event.step is not None else ""
    why = event.facts.get("reason") or event.facts.get("error")
    reason = f"{event.name}{at}" + (f": {why}" if why else "")
    return Status(State(event.name), reason, event.time)


def _by_exit(exit_record: ExitRecord) -> Status:
    if exit_record.signal is not None:
        by = f", by the stop ladder's last rung ({exit_record.rung})" if exit_record.rung else ""
        return Status(State.KILLED, f"killed by {signal_name(exit_record.signal)}{by}", exit_record.ended)
    if exit_record.error:
        return Status(State.FAILED, exit_record.error, exit_record.ended)
    if exit_record.code == 0:
        return Status(State.FINISHED, "exit code 0", exit_record.ended)
    return Status(State.FAILED, f"exit code {exit_record.code}", exit_record.ended)


def _by_beat(evidence: Evidence, launch: LaunchRecord) -> Status:
    where = f"on {launch.host}" if not evidence.same_host else f"in another container on {launch.host}"
    beat = evidence.beat
    if beat is None:
        if evidence.now - launch.created > START_PATIENCE_SECONDS + BEAT_SLACK_SECONDS:
            return Status(State.SILENT, f"{where}, no sign of life yet", launch.created)
        return Status(State.STARTING, where, launch.created)
    overdue = evidence.now - (beat.time + 4 * beat.next_within_seconds + BEAT_SLACK_SECONDS)
    if overdue > 0:
        return Status(State.SILENT, f"{where}, its next sign of life is overdue", beat.time)
    if evidence.stop_requested is not None:
        return Status(State.STOPPING, where, evidence.stop_requested)
    return Status(State.RUNNING, where, launch.started or launch.created)


def _by_processes(evidence: Evidence, launch: LaunchRecord) -> Status:
    if evidence.trainer == "alive":
        return _alive(evidence, launch)
    if launch.trainer_pid is None and evidence.trainer == "unknown":
        if evidence.supervisor == "alive":
            return Status(State.STARTING, "the supervisor is starting the trainer", launch.created)
        if evidence.lock_held:
            if evidence.last_event is not None:  # the supervisor died before it could write the trainer's pid
                return _alive(evidence, launch)
            return Status(State.STARTING, "processes of it are starting", launch.created)
        young = evidence.now - launch.created < START_PATIENCE_SECONDS
        # A launcher holds the lock until its supervisor does: where there is one that nobody holds, nobody is starting.
        if evidence.supervisor == "unknown" and launch.lock is None and young:
            return Status(State.STARTING, "the supervisor is starting", launch.created)
        return Status(State.LOST, "the supervisor died before the trainer started", launch.created)
    if evidence.supervisor == "alive":
        # The trainer is gone and its supervisor is about to say how.
        return Status(State.STOPPING, "the trainer has ended, its supervisor is tidying up", evidence.last_progress)
    what = "the trainer is a zombie" if evidence.trainer == "zombie" else "the trainer is gone"
    if evidence.lock_held:
        pids = ", ".join(str(pid) for pid in evidence.leftovers) or "unknown"
        reason = f"{what} but processes of it are left (pid {pids}); `heats stop` ends them"
        return Status(State.LOST, reason, evidence.last_progress or launch.created)
    reason = f"{what} and left no word, nor did its supervisor"
    return Status(State.LOST, reason, evidence.last_progress or launch.started or launch.created)


def _alive(evidence: Evidence, launch: LaunchRecord) -> Status:
    alone = "" if evidence.supervisor == "alive" else " without its supervisor"
    if evidence.stop_requested is not None:
        return Status(State.STOPPING, f"asked to stop{alone}{_grace(evidence, launch)}", evidence.stop_requested)
    started = launch.started or launch.created
    last = evidence.last_progress
    if last is None and (evidence.last_event is None or evidence.last_event.name == "started"):
        if evidence.now - started > LOADING_PATIENCE_SECONDS:
            patience = f"{LOADING_PATIENCE_SECONDS / 60:.0f} min"
            return Status(State.STALLED, f"alive{alone} but still loading after more than {patience}", started)
        return Status(State.STARTING, f"the trainer is loading{alone}", started)
    gap = evidence.expected_gap_seconds
    if gap is not None and last is not None and evidence.now - last > gap:
        return Status(State.STALLED, f"alive{alone} but no step for longer than the expected {gap:.0f} s", last)
    if gap is None and last is not None:
        patience_seconds = _first_steps_patience(evidence, started)
        if evidence.now - last > patience_seconds:
            reason = f"alive{alone} but hardly a step since it began; none for longer than {patience_seconds:.0f} s"
            return Status(State.STALLED, reason, last)
    return Status(State.RUNNING, f"the trainer is alive{alone} (pid {launch.trainer_pid or 'unknown'})", started)


def _first_steps_patience(evidence: Evidence, started: float) -> float:
    """How long the first steps may take: what loaded slowly will compile and read its first batches slowly too."""
    loading = 0.0 if evidence.training_since is None else evidence.training_since - started
    return max(FIRST_STEPS_PATIENCE_SECONDS, _LOADING_FACTOR * loading)


def _grace(evidence: Evidence, launch: LaunchRecord) -> str:
    """What is left of the time in which it may write a last checkpoint. Only a supervisor counts it down."""
    if evidence.stop_now:
        return ", told to leave without a last checkpoint"
    if evidence.supervisor != "alive" or evidence.stop_requested is None:
        return ""
    left = evidence.stop_requested + launch.grace_seconds - evidence.now
    if left > 0:
        return f", {left:.0f} s left for its last checkpoint"
    return ", its grace is over: told to leave now, then killed"


def _by_scheduler(evidence: Evidence, launch: LaunchRecord, said: SchedulerWord) -> Status | None:
    """What the scheduler's word means, where it decides; None where processes or beats must."""
    since = evidence.last_progress or launch.created
    absent = evidence.now - said.absent_seconds
    gone_for_good = said.absent_seconds >= ABSENCE_SECONDS
    # sacct may add who did it: "CANCELLED by 1000".
    state = bare_state(said.state)
    if state is None:
        if not gone_for_good:
            return None
        reason = f"its job has not been in the queue for {said.absent_seconds / 60:.0f} min and left no word"
        return Status(State.LOST, reason, absent)
    if state in WAITING:
        if said_before_start(said, launch):
            return None
        return Status(State.QUEUED, f"its job waits in the queue ({state})", since, said.job)
    if state in ENDED_STATES:
        ended = ENDED_STATES[state]
        if state in _MAY_RETURN and not gone_for_good:
            return Status(State.SILENT, f"its job ended as {state} and may be requeued", since)
        return Status(ended, f"its job ended as {state}", absent if said.absent_seconds else since)
    return None


WAITING = frozenset(
    {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
)
_MAY_RETURN = frozenset({"PREEMPTED", "NODE_FAIL"})
ENDED_STATES = {
    "PREEMPTED": State.PREEMPTED, "NODE_FAIL": State.LOST, "COMPLETED": State.FINISHED, "FAILED": State.FAILED,
    "BOOT_FAIL": State.FAILED, "CANCELLED": State.STOPPED, "TIMEOUT": State.KILLED, "DEADLINE": State.KILLED,
    "OUT_OF_MEMORY": State.FAILED,
}  # fmt: skip
"""Whoever cancels a job means it to stop; one that wanted more memory than it had would want it again."""


def said_before_start(said: SchedulerWord, launch: LaunchRecord) -> bool:
    """Whether an answer may be older than the attempt's start: it still says that the job waits."""
    started = launch.started or launch.created
    return said.restarts <= launch.restarts and said.answered is not None and said.answered < started + ANSWER_SLACK


def bare_state(word: str | None) -> str | None:
    """A job's state without what sacct adds to it, as in `CANCELLED by 1000`; None where there is no word."""
    return word.split()[0].rstrip("+") if word and word.strip() else None


def signal_name(number: int) -> str:
    """SIGKILL for 9; the number where it has no name."""
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
