"""Submitting runs to a cluster: all is written down before sbatch is called, so that no job is ever an orphan."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace

from engine.errors import HeatsError, MachineError
from engine.launch.slurm import commands
from engine.launch.slurm.profiles import Profile, find_profile
from engine.launch.slurm.script import MOST_IN_ARRAY, Job, new_name, script
from engine.launch.starting import LET_GO_SECONDS, Started, code_to_go_on_with, launch_record, notify_command
from engine.launch.torchrun import of_config
from engine.store import host, slurm_poll
from engine.store.files import write_atomic
from engine.store.hold import refuse_if_live, take_lock
from engine.store.paths import AttemptPaths, RunPaths, Store
from engine.store.records import LaunchRecord, read_run, write_launch
from engine.store.submission import Submission, submission_paths, write_submission

Prepared = tuple[AttemptPaths, LaunchRecord]


def check(profile: str | None) -> Profile:
    """The profile of a name, where jobs can be submitted at all.

    Raises:
        HeatsError: there is no SLURM here, no such profile, or a mistake in the file of profiles.
    """
    found = find_profile(profile)
    commands.need()
    return found


def planned_script(store: Store, what: str, profile: str | None, *, count: int = 1, most: int | None = None) -> str:
    """The script that would be submitted for so many runs, for a dry run: only the job's name will be another.

    Raises:
        HeatsError: there is no such profile, or a mistake in the file of profiles.
    """
    return script(_job(store, new_name(what), find_profile(profile), count, most))


def submit_runs(
    store: Store,
    runs: Sequence[RunPaths],
    profile: str | None,
    *,
    what: str,
    most: int | None = None,
    notify: str | None = None,
    prune_at_evaluations: bool = False,
) -> list[Started]:
    """Submit a new attempt of each run: one job for one run, arrays for several, whose jobs are all alike.

    A run that has checkpoints goes on from the newest.

    Args:
        store, runs: which.
        profile: what each job asks for; see `find_profile`.
        what: what the runs have in common, for the job's name.
        most: so many at once at most.
        notify: the command to tell of alerts and of ends; HEATS_NOTIFY where it is None.
        prune_at_evaluations: whether their search wants to look at each evaluation.

    Raises:
        HeatsError: there is no such profile, a run lives, or SLURM refuses; no attempt is left behind then.
        MachineError: the store can't be written.
    """
    found = check(profile)
    done: list[Started] = []
    for begin in range(0, len(runs), MOST_IN_ARRAY):
        prepared: list[Prepared] = []
        started: list[Started] = []
        try:
            for run in runs[begin : begin + MOST_IN_ARRAY]:
                attempt, record, note = _prepare(store, run, notify, prune_at_evaluations)
                prepared.append((attempt, record))
                started.append(note)
        except BaseException:  # an interrupt, too, must leave no attempt behind that no job will begin
            _withdraw(prepared)
            raise
        warnings = submit_attempts(store, prepared, found, what=what, most=most)
        done += [replace(note, warnings=(*note.warnings, *warnings)) for note in started]
    return done


def submit_attempts(
    store: Store, prepared: Sequence[Prepared], profile: Profile, *, what: str, most: int | None = None
) -> tuple[str, ...]:
    """Submit attempts that were claimed, with the records that are to become their launch.json; warnings.

    Raises:
        HeatsError: SLURM refuses; the attempts are gone then.
        MachineError: the store can't be written.
    """
    job = _job(store, new_name(what), profile, len(prepared), most)
    submission = Submission(
        job.name, time.time(), tuple(attempt.folder.parent.parent.name for attempt, _ in prepared), job.is_array,
        host.host_name(), slurm_poll.cluster_name(), profile.name,
    )  # fmt: skip
    try:
        job.paths.folder.mkdir(parents=True, exist_ok=True)
        write_submission(job.paths, submission)
        write_atomic(job.paths.script, script(job).encode())
        for index, (attempt, record) in enumerate(prepared):
            of_job = replace(
                record, backend="slurm", profile=profile.name, job_name=job.name, cluster=submission.cluster,
                array_index=index if job.is_array else None,
            )  # fmt: skip
            write_launch(attempt, of_job)
        number = commands.sbatch(job.paths.script)
    except commands.Unclear as error:
        slurm_poll.forget()
        return (f"{error.message}; `heats list` tells in a moment whether the cluster has it",)
    except BaseException as error:  # an interrupt, too, must leave no attempt behind that no job will begin
        if not isinstance(error, HeatsError):
            with contextlib.suppress(MachineError):  # interrupted, sbatch may have submitted it
                commands.cancel([], [job.name])
        _withdraw(prepared)
        shutil.rmtree(job.paths.folder, ignore_errors=True)
        raise
    write_submission(job.paths, replace(submission, job=number))
    slurm_poll.forget()
    return ()


def _job(store: Store, name: str, profile: Profile, count: int, most: int | None) -> Job:
    from pathlib import Path

    paths = submission_paths(store.root, name)
    return Job(name, profile, paths, Path(os.getcwd()), count, count > 1, most if most and most < count else None)


def _prepare(
    store: Store, run: RunPaths, notify: str | None, prune_at_evaluations: bool
) -> tuple[AttemptPaths, LaunchRecord, Started]:
    """Claim the next attempt of a run, with the record of a start from its newest checkpoint."""
    from engine.config.tasks import package_folder
    from engine.store.checkpoints import choose
    from engine.store.create import claim_attempt
    from engine.store.provenance import record_attempt
    from engine.store.requests import clear
    from engine.store.stored_config import effective_config

    config = effective_config(run)
    processes = of_config(config)
    if processes.nodes > 1:
        raise HeatsError(
            "one job of SLURM trains on one machine", place=f"{run.id}: parallel.nodes",
            remedy="set parallel.nodes=1, and parallel.procs to the processes there",
        )  # fmt: skip
    made = read_run(run.record)
    refuse_if_live(run)
    descriptor = take_lock(store, run, patience_seconds=LET_GO_SECONDS)
    try:
        again = bool(run.attempts())
        choice = choose(run, "latest", config.best_mode)
        step = choice.checkpoint.step if choice.checkpoint else 0
        clear(run)
        code, warnings = code_to_go_on_with(run)
        attempt = claim_attempt(run)
        commit = made.git_commit if made else None
        if again:
            folder = code or (package_folder(made.task) if made else None)
            state, changes = record_attempt(run, attempt, folder)
            commit, warnings = state.commit, (*warnings, *changes)
        record = launch_record(
            store,
            run,
            attempt,
            processes,
            total_steps=config.total_steps,
            resumed_from_step=step if again else None,
            resumed_from_checkpoint=choice.checkpoint.folder.name if choice.checkpoint else None,
            git_commit=commit,
            code=str(code) if code else None,
            prune_at_evaluations=prune_at_evaluations,
            notify=notify_command(notify),
        )
    finally:
        os.close(descriptor)
    return (
        attempt,
        record,
        Started(run, attempt, step if again else None, choice.passed_over, warnings, on_cluster=True),
    )


def _withdraw(prepared: Sequence[Prepared]) -> None:
    """Take back attempts that no job will begin."""
    for attempt, _ in prepared:
        shutil.rmtree(attempt.folder, ignore_errors=True)


def launch_new(
    store: Store, runs: Sequence[RunPaths], profile: str | None, *, what: str, notify: str | None = None
) -> list[Started]:
    """Submit runs that were just made; they are gone again where SLURM refuses them.

    Raises:
        HeatsError: SLURM refuses, and says why.
        MachineError: the store can't be written.
    """
    try:
        return submit_runs(store, runs, profile, what=what, notify=notify)
    except HeatsError:
        for run in runs:
            if not run.attempts():
                shutil.rmtree(run.folder, ignore_errors=True)
        raise
