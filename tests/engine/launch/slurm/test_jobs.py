"""Runs as jobs of a real SLURM: submitted, preempted, cut off, cancelled, and as many as a queue holds."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.launch.actions import LaunchRequest, resume, stop
from engine.launch.slurm.commands import kill_wait
from engine.launch.submit import submit as submit_all
from engine.store import slurm_poll
from engine.store.checkpoints import FILES, choose
from engine.store.metrics import RunHistory
from engine.store.paths import RunPaths, open_store
from engine.store.records import read_exit, read_launch, write_launch
from engine.store.status import State
from engine.study.begun import Where, where_of
from engine.study.cells import counts, find_cells
from engine.study.run import advance, begin, stop_study
from engine.study.spec import Study
from tests.engine.study.studies import write_study
from tests.slurm_cluster import Cluster
from tests.support import ENDLESS, TINY, exists, launched, look, start, wait_for_state, wait_for_step, wait_until
from tests.tui.cli.stores import heats, log_event


def submit(root: Path, values: dict[str, object] | None = None, **request: object) -> RunPaths:
    """Submit a run of the task multiplication."""
    return start(root, values, backend="slurm", **({"profile": "small"} | request)).run


def weights(run: RunPaths) -> bytes:
    """The bytes of the last checkpoint's model."""
    chosen = choose(run).checkpoint
    assert chosen is not None
    return (chosen.folder / FILES[0]).read_bytes()


@pytest.mark.slow
def test_a_job_trains_and_is_preempted_and_comes_back_and_ends_with_the_bits_of_an_undisturbed_run(
    cluster: Cluster, store_root: Path, tmp_path: Path
) -> None:
    values = TINY | {"train.max_steps": 400, "train.save_every": 100, "evaluation.every": 200}
    run = submit(store_root, values)
    wait_for_step(run, 20)
    job = launched(run).job
    assert job is not None
    assert "trainer is alive" in look(run).reason
    cluster.do("scancel", "--batch", "--signal=USR2", job)  # as SLURM does ahead of the time limit
    waiting = wait_for_state(run, State.QUEUED)
    assert "requeued" in waiting.reason
    wait_until(lambda: f"requeued: job {job} waits: BeginTime" in look(run).reason)
    ended = read_exit(run.attempt(1).exit)
    assert ended is not None
    assert (ended.code, ended.requeued, ended.job_cause) == (75, True, "running")
    cluster.release(job)
    summary = wait_for_state(run, State.FINISHED)
    assert (summary.step, summary.attempts) == (400, 2)
    step = launched(run).resumed_from_step
    assert step is not None
    assert 20 <= step < 400
    history = RunHistory(run)
    history.refresh()
    steps = list(history.series["train/loss"].steps)
    assert steps == sorted(set(steps))
    undisturbed = start(tmp_path / "local", values).run
    wait_for_state(undisturbed, State.FINISHED)
    assert weights(run) == weights(undisturbed)


@pytest.mark.slow
def test_a_job_of_an_array_that_goes_back_into_the_queue_leaves_the_others_training(
    cluster: Cluster, store_root: Path
) -> None:
    requests = [LaunchRequest("multiplication", ENDLESS, seed=seed, backend="slurm") for seed in range(2)]
    runs = [started.run for started in submit_all(store_root, requests).started]
    for run in runs:
        wait_for_step(run, 3)
    array = (launched(runs[0]).job or "").partition("_")[0]
    # The last of an array to begin has the number of the array itself.
    ids = dict(line.split() for line in cluster.do("squeue", "--noheader", "--array", "--format=%i %A").splitlines())
    (of_array,) = [job for job, number in ids.items() if number == array]
    (back,), (other,) = ([run for run in runs if (launched(run).job == of_array) is is_it] for is_it in (True, False))
    cluster.do("scancel", "--batch", "--signal=USR2", of_array)
    wait_until(lambda: f"requeued: job {of_array} waits" in look(back).reason)
    assert (look(other).status, look(other).attempts) == (State.RUNNING, 1)
    for run in runs:
        stop(run)
    wait_for_state(back, State.STOPPED)
    wait_for_state(other, State.STOPPED)


@pytest.mark.slow
def test_a_job_that_slurm_preempts_saves_at_its_sigterm_and_comes_back_by_slurms_own_requeue(
    cluster: Cluster, store_root: Path
) -> None:
    run = submit(store_root, ENDLESS)
    wait_for_step(run, 3)
    job = launched(run).job or ""
    urgent = cluster.fill()
    saved = wait_for_state(run, State.QUEUED)
    assert "preempted at step" in saved.reason
    ended = wait_until(lambda: read_exit(run.attempt(1).exit))
    assert (ended.requeued, ended.job_cause) == (True, "requeued")
    cluster.do("scancel", urgent)
    cluster.release(job)
    wait_until(lambda: look(run).attempts == 2)
    wait_for_state(run, State.RUNNING)
    assert launched(run).resumed_from_step == saved.step
    stop(run)
    assert wait_for_state(run, State.STOPPED).step >= saved.step
    wait_until(lambda: cluster.jobs()[job] == "COMPLETED")


@pytest.mark.slow
def test_a_node_that_dies_loses_the_job_to_another_and_what_it_left_there_is_ended_before_that_trains(
    cluster: Cluster, store_root: Path
) -> None:
    run = submit(store_root, ENDLESS)
    wait_for_step(run, 60)
    before = launched(run)
    node = cluster.do("squeue", "--noheader", f"--jobs={before.job}", "--format=%N").strip()
    cluster.kill_node(node)
    waiting = wait_for_state(run, State.QUEUED)
    assert f"SLURM took job {before.job} away" in waiting.reason
    assert exists(before.trainer_pid), "the node is cut off, and trains on"
    cluster.release(before.job or "")
    wait_until(lambda: read_launch(run.attempt(2).launch))
    wait_until(lambda: launched(run).started)
    assert not exists(before.trainer_pid)
    ended = read_exit(run.attempt(1).exit)
    assert ended is not None
    assert "taken over" in (ended.error or "")
    wait_for_state(run, State.RUNNING)
    assert (launched(run).resumed_from_step or 0) >= 50
    stop(run, now=True)
    wait_for_state(run, State.STOPPED)


@pytest.mark.slow
def test_scancel_from_outside_is_told_and_neither_requeued_nor_called_a_failure(
    cluster: Cluster, store_root: Path
) -> None:
    run = submit(store_root, ENDLESS)
    wait_for_step(run, 3)
    job = launched(run).job or ""
    cluster.do("scancel", job)
    ended = wait_for_state(run, State.STOPPED)
    assert "cancelled with scancel; it saved a checkpoint at step" in ended.reason
    assert ended.settled
    wait_until(lambda: cluster.jobs()[job] == "CANCELLED")
    resumed = resume(run)
    assert (resumed.on_cluster, resumed.resumed_from_step) == (True, ended.step)
    wait_for_step(run, ended.step + 3)
    assert (launched(run).backend, launched(run).profile, launched(run).attempt) == ("slurm", "small", 2)
    stop(run)
    assert "asked" in wait_for_state(run, State.STOPPED).reason or look(run).step > ended.step


def test_how_long_the_cluster_waits_before_it_kills_is_known(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    (said,) = re.findall(r"KillWait\s+= (\d+) sec", cluster.do("scontrol", "show", "config"))
    assert kill_wait() == float(said) > 0
    monkeypatch.setenv("SLURM_CONF", "/nowhere/slurm.conf")
    assert kill_wait() is None


def test_a_full_queue_says_why_a_job_waits_and_stop_takes_it_out(cluster: Cluster, store_root: Path) -> None:
    cluster.fill()
    run = submit(store_root)
    waiting = wait_until(lambda: look(run) if "waits: " in look(run).reason else None)
    assert waiting.status is State.QUEUED
    assert wait_until(lambda: "Resources" in look(run).reason or "Priority" in look(run).reason)
    with pytest.raises(HeatsError, match="still queued"):
        resume(run)
    refused = heats("delete", run.id, "--yes", store=store_root)  # the job would train what is in the trash
    assert refused.returncode == 2
    assert re.search(r"job \d+ of the cluster waits to train it; stop it first", refused.stderr)
    done = heats("stop", run.id, store=store_root)
    assert done.returncode == 0
    assert "was cancelled before it began" in done.stdout
    assert not run.attempt(1).events.exists()
    with pytest.raises(HeatsError, match="it is stopped"):
        stop(run)


@pytest.mark.slow
def test_two_hundred_jobs_that_wait_are_one_array_and_one_question(
    cluster: Cluster, store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.fill()
    requests = [
        LaunchRequest("multiplication", TINY, seed=seed, backend="slurm", profile="small") for seed in range(200)
    ]
    runs = [started.run for started in submit_all(store_root, requests).started]
    asked = count_calls(tmp_path, monkeypatch, "squeue")
    monkeypatch.setenv("HEATS_SLURM_POLL_SECONDS", "60")
    slurm_poll.forget()
    found = [look(run) for run in runs]
    assert {summary.status for summary in found} == {State.QUEUED}
    assert len({summary.job for summary in found}) == 200
    assert len({(summary.job or "").split("_")[0] for summary in found}) == 1, "one array"
    assert asked() == 1
    (row,) = [row for row in heats("list", store=store_root).stdout.splitlines() if "queued" in row]
    assert "200 runs of job" in row
    assert "_[0-199]" in row
    (job,) = json.loads(heats("queue", "list", "--json", store=store_root).stdout)["cluster"]
    assert len(job["runs"]) == 200
    assert asked() == 1, "every process shares the answer"


@pytest.mark.slow
def test_a_controller_that_gives_no_answer_makes_no_run_dead_and_is_asked_ever_more_seldom(
    cluster: Cluster, store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = submit(store_root, ENDLESS)
    wait_for_step(run, 3)
    cluster.fill("--nodelist=two")
    waiting = submit(store_root, TINY, profile="big")
    wait_until(lambda: "waits" in look(waiting).reason)
    cluster.stop_controller()
    asked = count_calls(tmp_path, monkeypatch, "squeue", "echo squeue: error: Unable to contact >&2; exit 1")
    found = wait_for_state(waiting, State.SILENT)
    assert "gives no answer (squeue: error: Unable to contact); it last said PENDING" in found.reason
    assert look(run).status is State.RUNNING
    monkeypatch.setenv("HEATS_SLURM_POLL_SECONDS", "100")
    before = asked()
    assert [look(waiting).status for _ in range(20)] == [State.SILENT] * 20
    assert asked() == before
    (tmp_path / "shims" / "squeue").unlink()
    cluster.start_controller()
    cluster.wait_ready()
    slurm_poll.forget()
    wait_for_state(waiting, State.QUEUED)
    stop(waiting)
    stop(run, now=True)
    wait_for_state(run, State.STOPPED)


def test_whoever_dies_while_submitting_leaves_no_orphan_and_nothing_that_trains_twice(
    cluster: Cluster, store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.fill()
    words = ("launch", "multiplication", "train.max_steps=1000000", "--backend", "slurm", "--profile", "small")
    with monkeypatch.context() as context:
        real = shutil.which("sbatch")
        count_calls(tmp_path, context, "sbatch", f'{real} "$@" > /dev/null; kill -9 $PPID')
        assert heats(*words, store=store_root).returncode == -9
        count_calls(tmp_path, context, "sbatch", "kill -9 $PPID")
        assert heats(*words, store=store_root).returncode == -9
    runs = {run.folder.name: run for run in map(RunPaths, store_root.glob("2*"))}
    found = {look(run).status: run for run in runs.values()}
    assert set(found) == {State.QUEUED, State.STARTING}
    assert (look(found[State.QUEUED]).job or "").isdigit(), "its job was found by its name"
    with pytest.raises(HeatsError, match="still queued"):
        resume(found[State.QUEUED])
    assert "being submitted" in look(found[State.STARTING]).reason
    monkeypatch.setattr("engine.store.job_status.ABSENCE_SECONDS", 0.0)
    assert "never began" in wait_for_state(found[State.STARTING], State.LOST).reason
    stop(found[State.QUEUED])
    wait_for_state(found[State.QUEUED], State.STOPPED)


def test_an_interrupt_while_submitting_leaves_no_job_and_no_attempt(
    cluster: Cluster, store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filler = cluster.fill()
    count_calls(tmp_path, monkeypatch, "sbatch", f'{shutil.which("sbatch")} "$@" > /dev/null; kill -INT $PPID; sleep 9')
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where pytest is in the background
    try:
        with pytest.raises(KeyboardInterrupt):
            submit(store_root)
    finally:
        signal.signal(signal.SIGINT, before)
    wait_until(lambda: cluster.jobs("pending").keys() == {filler} - cluster.jobs("running").keys())
    assert list(store_root.glob("*/attempts/*")) == []
    assert list(store_root.glob(".slurm/heats-*")) == []


def test_what_the_cluster_refuses_is_said_in_a_sentence_and_leaves_nothing_behind(
    cluster: Cluster, store_root: Path
) -> None:
    done = heats("launch", "multiplication", "--backend", "slurm", "--profile", "nowhere", store=store_root)
    assert done.returncode == 2
    assert "SLURM refuses the job: Invalid partition name" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(store_root.glob("2*")) == []
    shown = heats("launch", "multiplication", "--backend", "slurm", "--profile", "small", "--dry-run", store=store_root)
    assert "#SBATCH --partition=main" in shown.stdout
    assert "export HEATS_SET_UP=yes\nexec " in shown.stdout
    assert cluster.jobs("pending,running") == {}
    for words, said in (
        (("--profile", "small"), "add --backend slurm"),
        (("--backend", "slurm", "--queue"), "the cluster has a queue of its own"),
        (("--backend", "slurm", "--profile", "smal"), "did you mean `small`?"),
    ):
        assert said in heats("launch", "multiplication", *words, store=store_root).stderr


@pytest.mark.slow
def test_a_study_is_one_array_and_its_last_job_writes_the_verdict_down(
    cluster: Cluster, store_root: Path, tmp_path: Path
) -> None:
    study = write_study(tmp_path, seeds=[0, 1], base=TINY | {"train.max_steps": 10, "evaluation.every": 10})
    done = heats(
        "study", "run", str(study.file), "--backend", "slurm", "--profile", "small", "--json", store=store_root
    )
    assert done.returncode == 0, done.stderr
    runs = [RunPaths(store_root / run) for run in json.loads(done.stdout)["queued"]]
    assert len(runs) == 4
    (submission,) = store_root.glob(".slurm/*/submission.json")
    assert json.loads(submission.read_text())["runs"] == [run.id for run in runs]
    assert "#SBATCH --array=0-3%2" in submission.with_name("job.sh").read_text()
    for run in runs:
        wait_for_state(run, State.FINISHED)
    folder = next(store_root.glob(".studies/*"))
    wait_until(lambda: list(folder.glob("verdicts/*")) and not (folder / "pending.json").exists())


def test_a_study_that_waits_is_stopped_by_one_scancel_and_goes_on_as_jobs_when_it_is_run_again(
    cluster: Cluster, store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filler = cluster.fill()
    study = write_study(tmp_path, seeds=[0, 1])
    begun = begin(store_root, study, where=Where("slurm", "small"))
    assert standings_of(store_root, study) == {"queued": 4}
    advance(open_store(store_root))
    assert begin(store_root, study).queued == ()
    assert where_of(open_store(store_root), study) == Where("slurm", "small"), "it goes on where it was begun"
    waiting = cluster.jobs("pending").keys() - {filler}
    assert len(waiting) == 4, "nothing is submitted twice"
    cancelled = count_calls(tmp_path, monkeypatch, "scancel")
    dequeued, stopped = stop_study(open_store(store_root), study)
    assert ({run.id for run in dequeued}, stopped) == ({run.id for run in begun.queued}, [])
    assert cancelled() == 1
    wait_until(lambda: standings_of(store_root, study) == {"stopped": 4})
    advance(open_store(store_root))
    assert cluster.jobs("pending").keys() <= {filler}, "what a person stopped stays so"
    again = begin(store_root, study, redo=["stopped"], where=Where("slurm", "small"))
    assert len(again.queued) == 4
    assert standings_of(store_root, study) == {"queued": 4}


def test_a_study_whose_jobs_fail_alike_cancels_those_that_wait_and_says_so(
    cluster: Cluster, store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filler = cluster.fill()
    budget = {"max_parallel": 2, "stop_after_failures": 2}
    study = write_study(tmp_path, seeds=[0, 1], budget=budget)
    store = open_store(begin(store_root, study, where=Where("slurm", "small")).queued[0].folder.parent)
    for state in find_cells(store, study)[:2]:  # as their jobs would have left them
        assert state.run is not None
        attempt = state.run.attempt(1)
        write_launch(attempt, replace(launched(state.run), started=time.time(), host="elsewhere"))
        log_event(attempt, "started")
        log_event(attempt, "failed", error="CUDA error: no kernel image is available")
    cancelled = count_calls(tmp_path, monkeypatch, "scancel")
    advance(store)
    assert cancelled() == 1
    wait_until(lambda: standings_of(store_root, study) == {"failed": 2, "stopped": 2})
    advance(store)
    assert standings_of(store_root, study) == {"failed": 2, "stopped": 2}, "nothing is submitted again"
    (why,) = json.loads(heats("study", "status", str(study.file), "--json", store=store_root).stdout)["held_up"]
    assert "the last 2 runs of study failed early in the same way" in why
    assert "2 jobs that waited were cancelled; `heats study run study --redo failed --redo stopped` goes on" in why
    again = begin(store_root, study, redo=["failed", "stopped"])
    assert len(again.queued) == 4
    advance(store)
    assert standings_of(store_root, study) == {"queued": 4}, "what failed before is forgiven"
    cluster.do("scancel", filler)


def standings_of(root: Path, study: Study) -> dict[str, int]:
    return dict(counts(find_cells(open_store(root), study)))


def count_calls(
    folder: Path, monkeypatch: pytest.MonkeyPatch, program: str, instead: str | None = None
) -> Callable[[], int]:
    """Put a program before the real one that counts its calls and then is the real one, or does something else."""
    real = shutil.which(program)
    shims = folder / "shims"
    shims.mkdir(exist_ok=True)
    counted = folder / f"{program}.calls"
    instead = instead or f'exec {real} "$@"'
    (shims / program).write_text(f"#!/bin/sh\necho >> {counted}\n{instead}\n")
    (shims / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{shims}:{os.environ['PATH']}")
    return lambda: len(counted.read_text().splitlines()) if counted.exists() else 0
