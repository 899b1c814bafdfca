"""Which attempt a job trains, and from where: told from the store alone, whatever made SLURM start the job."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.launch.slurm.job import NothingToDo, memory_kills, take
from engine.store.create import claim_attempt
from engine.store.paths import AttemptPaths, RunPaths, Store
from engine.store.records import Beat, ExitRecord, LaunchRecord, read_launch, write_beat, write_exit, write_launch
from engine.store.requests import request_stop
from engine.store.submission import Submission, SubmissionPaths, alone_on_all_hosts, submission_paths, write_submission
from tests.engine.store.made import write_checkpoint
from tests.tui.cli.stores import add_attempt, log_event, log_steps, make_run, make_store

NAME = "heats-a"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path)


def submitted(store: Store, run: RunPaths) -> SubmissionPaths:
    """A submission of a run whose first attempt hasn't begun."""
    paths = submission_paths(store.root, NAME)
    paths.folder.mkdir(parents=True)
    write_submission(paths, Submission(NAME, 1.0, (run.id,), job="7"))
    attempt = add_attempt(run)
    command = ("python", "--attempt", "1")
    write_launch(attempt, LaunchRecord(1, 1.0, "login", backend="slurm", job_name=NAME, command=command, profile="p"))
    return paths


def begun(attempt: AttemptPaths, steps: int, last: str | None = None) -> None:
    """An attempt that trained up to a step, and left with a word or without."""
    launch = read_launch(attempt.launch)
    assert launch is not None
    write_launch(attempt, replace(launch, started=2.0))
    log_event(attempt, "started")
    log_steps(attempt, 1, steps)
    if last:
        log_event(attempt, last, steps)


def taken(paths: SubmissionPaths, restarts: int = 0) -> LaunchRecord:
    """What the job says of the attempt that it took."""
    attempt, descriptor = take(paths, {"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": str(restarts)})
    os.close(descriptor)
    launch = read_launch(attempt.launch)
    assert launch is not None
    return launch


def test_the_first_start_takes_the_attempt_that_was_submitted(store: Store) -> None:
    run = make_run(store)
    launch = taken(submitted(store, run))
    assert (launch.attempt, launch.job, launch.restarts, launch.resumed_from_step) == (1, "7", 0, None)
    assert (launch.host, launch.profile, launch.backend) == (os.uname().nodename, "p", "slurm")


def test_each_further_start_is_an_attempt_from_the_newest_checkpoint(store: Store) -> None:
    run = make_run(store)
    paths = submitted(store, run)
    for restarts, step in ((1, 50), (2, 90), (3, 120)):
        begun(run.attempts()[-1], step, "preempted")
        write_checkpoint(run, step, attempt=restarts)
        launch = taken(paths, restarts)
        assert (launch.attempt, launch.resumed_from_step) == (restarts + 1, step)
        assert launch.command == ("python", "--attempt", str(restarts + 1))
        assert launch.started is None


def test_an_attempt_that_was_claimed_and_never_begun_is_begun_by_the_next_start(store: Store) -> None:
    run = make_run(store)
    paths = submitted(store, run)
    begun(run.attempts()[-1], 50)
    write_checkpoint(run, 50)
    assert taken(paths, 1).attempt == 2
    assert (taken(paths, 2).attempt, taken(paths, 3).restarts) == (2, 3)


def test_a_resume_from_a_chosen_step_begins_there_however_often_its_job_is_started_before(store: Store) -> None:
    run = make_run(store)
    add_attempt(run)
    for step in (50, 90):
        write_checkpoint(run, step)
    paths = submitted(store, run)
    attempt = run.attempts()[-1]
    launch = read_launch(attempt.launch)
    assert launch is not None
    write_launch(attempt, replace(launch, resumed_from_step=50))
    assert taken(paths, 2).resumed_from_step == 50


def test_an_earlier_attempt_on_another_node_is_over_by_its_word_or_by_its_silence(store: Store) -> None:
    run = make_run(store)
    paths = submitted(store, run)
    begun(run.attempts()[-1], 50)
    for number in (1, 2):
        attempt = run.attempt(number)
        launch = read_launch(attempt.launch)
        assert launch is not None
        write_launch(attempt, replace(launch, host="another-node", started=2.0))
        if number == 1:
            write_beat(attempt.beat, Beat(3.0, 10.0))
        else:
            write_beat(attempt.beat, Beat(time.time() + 1e6, 10.0))
            write_exit(attempt.exit, ExitRecord(4.0, signal=9))
        assert taken(paths, number).attempt == number + 1


def test_a_job_that_comes_too_late_or_too_often_trains_nothing(store: Store) -> None:
    run = make_run(store)
    paths = submitted(store, run)
    request_stop(run, 1)
    with pytest.raises(NothingToDo, match="was stopped"):
        take(paths, {})
    (run.requests / "stop.json").unlink()
    begun(run.attempts()[-1], 50, "finished")
    with pytest.raises(NothingToDo, match="has finished already"):
        take(paths, {})
    run.attempts()[-1].events.unlink()
    for _ in range(3):
        begun(run.attempts()[-1], 50)
        taken(paths, 1)
    begun(run.attempts()[-1], 50)
    with pytest.raises(HeatsError, match="4 attempts began at the same step"):
        take(paths, {})
    write_launch(claim_attempt(run), LaunchRecord(5, 1.0, "login"))
    with pytest.raises(NothingToDo, match="another attempt by now"):
        take(paths, {})


@pytest.mark.parametrize(
    ("line", "folder", "content"),
    [
        ("0::/slurm/job_7/step_batch/task_0", "slurm/job_7", "max 3\noom 1\noom_kill 2\n"),
        ("5:cpu,memory:/slurm/job_7/step_batch", "memory/slurm/job_7/step_batch", "under_oom 0\noom_kill 2\n"),
    ],
)
def test_the_kernel_tells_when_a_job_wanted_more_memory_than_it_had(
    tmp_path: Path, line: str, folder: str, content: str
) -> None:
    (tmp_path / "self").write_text(f"1:name=systemd:/elsewhere\n{line}\n")
    assert memory_kills(tmp_path / "self", tmp_path / "mounted") == 0
    place = tmp_path / "mounted" / folder
    place.mkdir(parents=True)
    (place / ("memory.oom_control" if "memory" in folder else "memory.events")).write_text(content)
    assert memory_kills(tmp_path / "self", tmp_path / "mounted") == 2


def test_a_claim_on_all_hosts_is_one_processes_and_that_of_a_killed_one_ends(store: Store) -> None:
    with alone_on_all_hosts(store, 0) as held, alone_on_all_hosts(store, 0) as too:
        assert (held, too) == (True, False)
    with alone_on_all_hosts(store, 0) as held:
        assert held
        (claim,) = store.root.glob(".slurm/.*")
        os.utime(claim, (1.0, 1.0))
        with alone_on_all_hosts(store, 0.5) as too:
            assert too
