"""`python -m engine.launch.slurm.job SUBMISSION`: what a job of the cluster runs, which becomes a run's supervisor.

Each start of the job is an attempt of its own, for SLURM may start it again: after we asked it to, or after it took
the job away from its node. Whoever comes later waits until what is left of the earlier attempt has ended, on whatever
node that is; and whoever finds a later attempt than its own ends at once. So no run is trained twice at a time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from engine.errors import HeatsError, MachineError
from engine.launch.ladder import Rung
from engine.launch.slurm import commands
from engine.launch.supervisor import BEAT_SECONDS, Supervisor
from engine.store import host, lock
from engine.store.checkpoints import choose
from engine.store.create import claim_attempt
from engine.store.hold import take_lock
from engine.store.paths import AttemptPaths, RunPaths, Store, open_store, program
from engine.store.records import (
    Event,
    ExitRecord,
    LaunchRecord,
    read_beat,
    read_events,
    read_exit,
    read_launch,
    write_exit,
    write_launch,
)
from engine.store.requests import read_stop
from engine.store.submission import SubmissionPaths, read_submission

RESTARTS_IN_VAIN = 3
"""So many attempts that began at one step are enough: a further one would get no further."""
_TIDY_SECONDS = 60.0
_ADVANCE_SECONDS = 600.0


class NothingToDo(Exception):
    """The job has come too late, or once too often: why, in a sentence."""


def main() -> NoReturn:
    """Take the run that this job is for, train an attempt of it, and see to what follows."""
    paths = SubmissionPaths(Path(sys.argv[1]))
    try:
        attempt, descriptor = take(paths, os.environ)
    except NothingToDo as reason:
        print(f"heats: {reason}", flush=True)
        sys.exit(0)
    except HeatsError as error:
        print(f"heats: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    supervisor = JobSupervisor(attempt, descriptor)
    try:
        note_kill_wait(attempt)
        supervisor.start()
    except (HeatsError, OSError) as error:
        print(f"heats: the trainer can't be started: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    print(f"heats: attempt {attempt.number} of {supervisor.run.id} trains", flush=True)
    supervisor.watch()


def take(paths: SubmissionPaths, environment: Mapping[str, str]) -> tuple[AttemptPaths, int]:
    """The attempt that this job is to train, ready to start, and the run's lock.

    Raises:
        NothingToDo: it is stopped, finished, taken over by another job, or began too often in vain.
        HeatsError: what is left of an earlier attempt doesn't end.
        MachineError: the store can't be written.
    """
    submission = read_submission(paths)
    if submission is None:
        raise HeatsError("is missing or damaged", place=str(paths.record))
    index = int(environment.get("SLURM_ARRAY_TASK_ID", "0")) if submission.is_array else None
    store = open_store(paths.store_root)
    run = store.run(submission.runs[index or 0])
    newest = _newest(run, submission.name, index)
    launch = read_launch(newest.launch)
    assert launch is not None
    facts = _facts_of_job(environment, launch)
    events, _ = read_events(newest.events)
    stop = read_stop(run)
    if stop is not None and stop.attempt == newest.number:
        raise NothingToDo(f"{run.id} was stopped")
    if launch.started is None and not events and read_exit(newest.exit) is None:
        attempt, record = newest, replace(launch, **facts, lock=str(lock.lock_path(store.id, run.id)))
    else:
        attempt, record = _again(store, run, launch, facts, events)
    write_launch(attempt, record)
    earlier = run.attempts()[:-1]
    if earlier:
        _wait_for_end_of(earlier[-1])
    descriptor = take_lock(store, run, patience_seconds=_TIDY_SECONDS)
    if earlier and record.resumed_from_step is None:  # else whoever submitted it has said where it goes on from
        choice = choose(run)
        step = choice.checkpoint.step if choice.checkpoint else 0
        folder = choice.checkpoint.folder.name if choice.checkpoint else None
        record = replace(record, resumed_from_step=step, resumed_from_checkpoint=folder)
        for passed in choice.passed_over:
            print(f"heats: passed over a checkpoint: {passed}", flush=True)
    write_launch(attempt, record)
    return attempt, descriptor


def note_kill_wait(attempt: AttemptPaths) -> None:
    """Write down how long the cluster waits before it kills, so that training can tell whether its saves are in time.

    Raises:
        MachineError: the store can't be written.
    """
    launch = read_launch(attempt.launch)
    if launch is not None:
        write_launch(attempt, replace(launch, kill_wait=commands.kill_wait()))


def _newest(run: RunPaths, name: str, index: int | None) -> AttemptPaths:
    attempts = run.attempts()
    if not attempts:
        raise NothingToDo(f"{run.id} is gone")
    launch = read_launch(attempts[-1].launch)
    if launch is None or (launch.job_name, launch.array_index) != (name, index):
        raise NothingToDo(f"{run.id} has another attempt by now, which is none of this job's")
    return attempts[-1]


def _facts_of_job(environment: Mapping[str, str], launch: LaunchRecord) -> dict[str, Any]:
    """What launch.json says of the job and of the node, once it is known."""
    array, index = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    number = environment.get("SLURM_JOB_ID")
    restarts = environment.get("SLURM_RESTART_COUNT", "0")
    return {
        "host": host.host_name(),
        "boot_id": host.boot_id(),
        "pid_namespace": host.pid_namespace(),
        "job": f"{array}_{index}" if array and index and launch.array_index is not None else number,
        "restarts": int(restarts) if restarts.isdigit() else 0,
        "launcher_pid": None,
    }


def _again(
    store: Store, run: RunPaths, launch: LaunchRecord, facts: dict[str, Any], events: list[Event]
) -> tuple[AttemptPaths, LaunchRecord]:
    """A further attempt: SLURM has started the job again. By its claim the earlier one sees that its time is over."""
    final = next((event.name for event in reversed(events) if event.is_final), None)
    if final is not None and final != "preempted":
        raise NothingToDo(f"{run.id} has {final} already")
    if in_vain(run):
        often = RESTARTS_IN_VAIN + 1
        raise HeatsError(f"{often} attempts began at the same step", place=run.id, remedy="`heats resume` tries again")
    attempt = claim_attempt(run)
    record = replace(
        launch, **facts, attempt=attempt.number, created=time.time(), command=_numbered(launch, attempt.number),
        lock=str(lock.lock_path(store.id, run.id)), overrides={}, reset_scaler=False, supervisor_pid=None,
        supervisor_ticks=None, trainer_pid=None, trainer_ticks=None, started=None,
        # Chosen later: a step here would shadow what lies past it.
        resumed_from_step=None, resumed_from_checkpoint=None,
    )  # fmt: skip
    return attempt, record


def in_vain(run: RunPaths) -> bool:
    """Whether the last attempts, one more than enough of them, all began at the same step."""
    launches = [read_launch(attempt.launch) for attempt in run.attempts()[-RESTARTS_IN_VAIN - 1 :]]
    steps = {(launch.resumed_from_step or 0) if launch is not None else 0 for launch in launches}
    return len(launches) > RESTARTS_IN_VAIN and len(steps) == 1


def _numbered(launch: LaunchRecord, number: int) -> tuple[str, ...]:
    """The trainer's command with another attempt's number."""
    words = list(launch.command)
    for place, word in enumerate(words[:-1]):
        if word == "--attempt":
            words[place + 1] = str(number)
    return tuple(words)


def _wait_for_end_of(earlier: AttemptPaths) -> None:
    """Wait until nothing of an earlier attempt trains any more, wherever it was: by its word, or by its silence.

    On this node the run's lock tells, and is waited for later.
    """
    launch = read_launch(earlier.launch)
    if launch is None or launch.started is None or launch.host == host.host_name():
        return
    while read_exit(earlier.exit) is None:
        beat = read_beat(earlier.beat)
        last = beat.time if beat is not None else launch.started
        # It looks for a later attempt at each beat, so one that is this late doesn't beat any more.
        if time.time() > last + 4 * BEAT_SECONDS:
            return
        time.sleep(1.0)


class JobSupervisor(Supervisor):
    """Keeps an attempt that is a cluster's job: what SIGTERM means is up to the cluster, and the job may come back."""

    requeue = False
    superseded = False
    memory_kills = 0

    def start(self) -> None:
        """Note how often the kernel has ended a process of this job for want of memory, and start the trainer."""
        self.memory_kills = memory_kills()
        super().start()

    def on_signal(self, number: int) -> None:
        """SLURM's SIGTERM is no wish of a person: save, and let the job come back. SIGINT is; see `heats stop`."""
        request = read_stop(self.run)
        asked = request is not None and request.attempt == self.attempt.number
        super().on_signal(signal.SIGUSR2 if number == signal.SIGTERM and not asked else number)

    def beat(self) -> None:
        """A sign of life, unless another attempt has begun: then this one must end before it does harm."""
        super().beat()
        numbers = self.run.attempt_numbers()
        if numbers and numbers[-1] > self.attempt.number:
            self.superseded = True
            self.act(Rung.KILL)

    def exit_record(self, code: int) -> ExitRecord:
        """How the trainer ended, and whether the job will come back."""
        record = super().exit_record(code)
        if self.superseded:
            return replace(record, rung=None, error="another attempt has taken over, so this one was ended")
        final = self._last_word()
        if final not in (None, "preempted"):
            return record
        if final is None and code == -signal.SIGKILL and record.rung is None and memory_kills() > self.memory_kills:
            return replace(record, job_cause="out of memory")
        launch = self.launch
        fields = commands.show(self._job())
        cause = commands.cause_of_end(fields, launch.restarts if launch is not None else 0)
        record = replace(record, job_cause=cause)
        if cause == "requeued":
            return replace(record, requeued=True)
        stop = read_stop(self.run)
        asked = stop is not None and stop.attempt == self.attempt.number
        if final != "preempted" or asked or cause == "cancelled":
            return record
        if in_vain(self.run):
            return replace(record, error=f"not requeued: {RESTARTS_IN_VAIN + 1} attempts began at the same step")
        self.requeue = True
        return replace(record, requeued=True)

    def leave(self, record: ExitRecord) -> NoReturn:
        """Put the job back into the queue, or let the study that it belongs to go on."""
        if self.requeue:
            print(f"heats: preempted ({record.job_cause}); the job goes back into the queue", flush=True)
            try:
                commands.requeue(self._job())
            except MachineError as error:
                print(f"heats: {error}", file=sys.stderr, flush=True)
                with contextlib.suppress(HeatsError, OSError):
                    write_exit(self.attempt.exit, replace(record, requeued=False, error=str(error)))
        elif not (record.requeued or self.superseded or record.job_cause == "cancelled"):
            advance(self.run.folder.parent)
        well = record.requeued or self._last_word() in ("finished", "stopped")
        os._exit(0 if well else 1)

    def _job(self) -> str:
        """The job's number; within an array never its own, which for one of them is that of the whole array."""
        return (self.launch.job if self.launch is not None else None) or ""

    def _last_word(self) -> str | None:
        events, _ = read_events(self.attempt.events)
        return next((event.name for event in reversed(events) if event.is_final), None)


def memory_kills(groups: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")) -> int:
    """How often the kernel has ended a process of this job for want of memory, by its cgroup; 0 where that isn't told.

    The groups above count too: SLURM bounds the memory of the job, of which this is a step.
    """
    count = 0
    with contextlib.suppress(OSError, ValueError):
        for line in groups.read_text().splitlines():
            number, _, rest = line.partition(":")
            kinds, _, path = rest.partition(":")
            root, name = mounted, "memory.events"
            if "memory" in kinds.split(","):
                root, name = mounted / "memory", "memory.oom_control"
            elif number != "0":
                continue
            place = root / path.lstrip("/")
            while place != root and place.is_relative_to(root):
                with contextlib.suppress(OSError):
                    for entry in (place / name).read_text().splitlines():
                        word, _, value = entry.partition(" ")
                        count = max(count, int(value)) if word == "oom_kill" else count
                if place.name.startswith("job_"):
                    break
                place = place.parent
    return count


def advance(root: Path) -> None:
    """Let the store's studies go on, within this job: what it would leave behind is ended with it."""
    if not (root / ".studies").is_dir():
        return
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            [*program("engine.study.advance"), str(root)], stdin=subprocess.DEVNULL, check=False,
            timeout=_ADVANCE_SECONDS, env=os.environ | {"HEATS_INSIDE_JOB": "1"},
        )  # fmt: skip


if __name__ == "__main__":
    main()
