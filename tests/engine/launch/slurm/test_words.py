"""What SLURM's programs say, understood without a cluster: answers, silence, ends of jobs, and the folding of lists."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from engine.launch.slurm.commands import cause_of_end, parse_fields
from engine.launch.slurm.overview import cluster_words, fold
from engine.launch.slurm.profiles import Profile
from engine.launch.slurm.script import Job as ScriptJob
from engine.launch.slurm.script import script
from engine.store import slurm_poll
from engine.store.paths import RunPaths
from engine.store.records import LaunchRecord
from engine.store.slurm_poll import Job, Poll, failed, interval, merge, parse
from engine.store.status import State
from engine.store.submission import SubmissionPaths
from engine.store.summary import RunSummary


def line(array: str, index: str, state: str, reason: str = "None", restarts: str = "0", name: str = "heats-a") -> str:
    return f"{array}|{index}|{array}|{state}|{restarts}|the-cluster|n1|{name}|{reason}|"


def test_an_answer_is_read_and_lines_of_other_shapes_are_not() -> None:
    text = "\n".join(
        [line("7", "N/A", "RUNNING"), line("9", "3", "PENDING", "(ReqNodeNotAvail, or|down)", "2"), "garbage", ""]
    )
    jobs, cluster = parse(text)
    assert cluster == "the-cluster"
    assert jobs["heats-a"] == Job("7", "RUNNING", "", 0, "n1")
    assert jobs["heats-a/3"] == Job("9_3", "PENDING", "ReqNodeNotAvail, or|down", 2, "n1")


def test_absence_counts_from_the_first_answer_without_the_job_and_ends_when_it_is_back() -> None:
    poll = merge(Poll(), {"a": Job("1", "RUNNING")}, 100.0)
    gone = merge(merge(poll, {}, 200.0), {}, 260.0)
    assert (gone.jobs["a"].absent_since, gone.jobs["a"].state) == (200.0, "RUNNING")
    assert merge(gone, {"a": Job("1", "PENDING")}, 300.0).jobs["a"].absent_since is None
    assert "a" not in merge(gone, {}, 200.0 + 31 * 86400).jobs, "nobody will ask any more"


def test_silence_keeps_what_was_said_and_is_asked_about_ever_more_seldom() -> None:
    poll = merge(Poll(), {"a": Job("1", "RUNNING")}, 100.0)
    silent = failed(failed(poll, "no", 110.0), "no", 130.0)
    assert (silent.failing_since, silent.failures, silent.answered) == (110.0, 2, 100.0)
    assert silent.jobs["a"].absent_since is None, "silence is no absence"
    waits = [interval(count) for count in range(12)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (5.0, 300.0)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("JobState=RUNNING Restarts=0", "running"),
        ("JobState=COMPLETING Restarts=1", "requeued"),
        ("JobState=PENDING Restarts=1", "requeued"),
        ("JobState=COMPLETING Restarts=0 PreemptTime=None RunTime=00:00:09 TimeLimit=1-00:00:00", "cancelled"),
        ("JobState=COMPLETING Restarts=0 PreemptTime=2026-01-01T00:00:00", "preempted"),
        ("JobState=COMPLETING Restarts=0 PreemptTime=None RunTime=00:01:02 TimeLimit=00:01:00", "time limit"),
        ("JobState=COMPLETING Reason=TimeLimit Restarts=0 RunTime=00:00:59 TimeLimit=00:01:00", "time limit"),
        ("JobState=CANCELLED Restarts=0", "cancelled"),
        ("", "unknown"),
    ],
)
def test_why_a_job_is_being_ended(said: str, cause: str) -> None:
    assert cause_of_end(parse_fields(said), 0) == cause


def test_the_script_of_an_array_says_all_that_its_profile_does(tmp_path: Path) -> None:
    profile = Profile("p", partition="gpu", modules=("cuda",), setup=("export A=1",), options={"exclusive": ""})
    job = ScriptJob("heats-x", profile, SubmissionPaths(tmp_path / "a b"), tmp_path, 9, True, 4)
    text = script(job)
    for wanted in (
        "#SBATCH --array=0-8%4", "#SBATCH --requeue\n", "#SBATCH --open-mode=append", "#SBATCH --signal=B:USR2@180",
        f'#SBATCH --output="{tmp_path}/a b/slurm-%A_%a.out"', "#SBATCH --partition=gpu", "#SBATCH --exclusive\n",
        "\nmodule load cuda\nexport A=1\nexec ", f"engine.launch.slurm.job '{tmp_path}/a b'\n",
    ):  # fmt: skip
        assert wanted in text


def summary(run_id: str, job: str | None, status: State = State.QUEUED, backend: str = "slurm") -> RunSummary:
    facts: dict[str, Any] = dict.fromkeys(RunSummary.__dataclass_fields__)
    return RunSummary(**facts | {"id": run_id, "job": job, "status": status, "backend": backend})


def test_the_waiting_jobs_of_an_array_are_one_line_and_others_keep_theirs() -> None:
    runs = [summary(f"r{index}", f"12_{index}") for index in (0, 1, 2, 5)]
    runs.insert(2, summary("runs", "12_7", State.RUNNING))
    runs += [summary("alone", "13"), summary("pair0", "14_0"), summary("pair1", "14_1"), summary("here", None)]
    lines = fold(runs)
    assert [item.job for item in lines] == ["12_[0-2,5]", "12_7", "13", "14_0", "14_1", None]
    assert [run.id for run in lines[0].runs] == ["r0", "r1", "r2", "r5"]
    here = summary("local", None, State.RUNNING, "local")
    assert (
        cluster_words([*runs[:-1], summary("cut", "15", State.SILENT), here]) == "cluster: 1 train, 7 wait, 1 unknown"
    )
    assert cluster_words([here, summary("over", "16", State.FINISHED)]) == ""


def test_where_the_queue_has_forgotten_a_job_accounting_is_asked_once_for_all_where_there_is_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program(tmp_path / "squeue", f"echo >> {tmp_path}/asked; echo '{line('1', 'N/A', 'RUNNING', name='other')}'")
    program(tmp_path / "sacct", f"echo $@ >> {tmp_path}/accounts; echo '5|CANCELLED by 7'; echo '6|COMPLETED'")
    run = RunPaths(tmp_path)
    first, second = (LaunchRecord(1, time.time(), "n", backend="slurm", job_name=f"heats-{n}", job=n) for n in "56")
    for launch in (first, second):
        said = slurm_poll.word_of(run, launch)
        assert said is not None
        assert said.state is None
    slurm_poll.forget()
    words = [slurm_poll.word_of(run, launch) for launch in (first, second)]
    assert [said.state for said in words if said] == ["CANCELLED by 7", "COMPLETED"]
    (asked,) = (tmp_path / "accounts").read_text().splitlines()
    assert "5,6" in asked
    program(tmp_path / "sacct", "echo disabled >&2; exit 1")
    elsewhere = LaunchRecord(1, time.time(), "n", backend="slurm", job_name="heats-5", cluster="another")
    assert slurm_poll.word_of(run, elsewhere) is None, "that cluster can't be asked from here"


def test_jobs_of_an_array_that_never_began_are_cancelled_with_it_and_one_that_is_gone_says_no_more_that_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program(tmp_path / "sacct", "exit 1")
    launches = [
        LaunchRecord(1, time.time(), "n", backend="slurm", job_name=f"heats-{name}", array_index=0, job="7_0")
        for name in "ab"
    ]
    said = [line("7", "0", "PENDING"), line("8", "0", "PENDING", name="heats-b")]
    program(tmp_path / "squeue", f"cat <<'END'\n{said[0]}\n{said[1]}\nEND")
    assert [slurm_poll.word_of(RunPaths(tmp_path), launch).state for launch in launches] == ["PENDING"] * 2  # type: ignore[union-attr]
    program(tmp_path / "squeue", f"echo '{line('7', 'N/A', 'CANCELLED')}'")
    slurm_poll.forget()
    words = [slurm_poll.word_of(RunPaths(tmp_path), launch) for launch in launches]
    assert [word.state for word in words if word] == ["CANCELLED", None]


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
