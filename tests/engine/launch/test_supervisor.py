"""Real trainers under real supervisors, really killed."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.launch.actions import kill_unsupervised, resume, stop
from engine.store import host, lock
from engine.store.metrics import RunHistory
from engine.store.paths import open_store
from engine.store.records import read_events, read_exit
from engine.store.status import State
from tests.support import (
    ENDLESS,
    TINY,
    end,
    exists,
    kill,
    launched,
    look,
    start,
    wait_for_checkpoint,
    wait_for_state,
    wait_for_step,
    wait_until,
)


def test_a_run_finishes_and_says_so_and_imports_no_compiler(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # each import becomes a line of its output
    started = start(store_root)
    summary = wait_for_state(started.run, State.FINISHED)
    assert summary.step == 40
    assert summary.metrics["val/exact_match"] >= 0
    exit_record = wait_until(lambda: read_exit(started.attempt.exit))
    assert exit_record.code == 0
    record = launched(started.run)
    assert record.lock is not None
    wait_until(lambda: not lock.is_held(Path(record.lock or "")), what="the lock comes free")
    wait_until(lambda: not exists(record.supervisor_pid), what="the supervisor leaves")
    imported = started.attempt.output.read_text()
    assert "torch.optim.optimizer" in imported
    for compiler in ("torch._dynamo", "torch._inductor"):
        assert compiler not in imported, "it takes seconds, and nothing is compiled"


def test_code_that_lies_in_the_working_folder_is_not_what_trains(
    store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("engine", "torch"):
        (tmp_path / "elsewhere" / package).mkdir(parents=True)
        (tmp_path / "elsewhere" / package / "__init__.py").write_text("raise SystemExit('the wrong code')\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = start(store_root).run
    wait_for_state(run, State.FINISHED)
    assert launched(run).folder == str(tmp_path / "elsewhere"), "options may name files by relative paths"


def test_a_checkout_that_is_not_installed_trains_its_own_code(store_root: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for package in ("engine", "tui"):
        shutil.copytree(Path(__file__).parents[3] / package, checkout / package)
    (checkout / "engine/train/__main__.py").write_text("raise SystemExit('the code of the checkout')\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    line = [sys.executable, "-m", "tui.cli", "launch", "multiplication", "--detach", "--runs-dir", str(store_root)]
    subprocess.run(line, cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)
    run = open_store(store_root).run(open_store(store_root).run_ids()[0])
    wait_for_state(run, State.FAILED)
    assert run.attempts()[0].output.read_text() == "the code of the checkout\n"


def test_stop_saves_a_checkpoint_and_resume_goes_on_from_it(store_root: Path) -> None:
    run = start(store_root, ENDLESS).run
    wait_for_step(run, 5)
    stop(run)
    summary = wait_for_state(run, State.STOPPED)
    assert (run.checkpoints / f"step-{summary.step:08d}" / "MANIFEST.json").exists()
    resumed = resume(run)
    assert resumed.resumed_from_step == summary.step
    wait_for_step(run, summary.step + 5)
    history = RunHistory(run)
    history.refresh()
    steps = list(history.series["train/loss"].steps)
    assert steps == list(range(1, len(steps) + 1))  # no gap, no doubled step
    stop(run, now=True)
    wait_for_state(run, State.STOPPED)


def test_a_killed_trainer_is_reported_killed(store_root: Path) -> None:
    run = start(store_root, ENDLESS).run
    wait_for_step(run, 3)
    kill(launched(run).trainer_pid)
    summary = wait_for_state(run, State.KILLED)
    assert "SIGKILL" in summary.reason


def test_training_outlives_its_supervisor_and_can_still_be_stopped(store_root: Path) -> None:
    run = start(store_root, ENDLESS).run
    wait_for_step(run, 3)
    record = launched(run)
    kill(record.supervisor_pid)
    wait_until(lambda: not exists(record.supervisor_pid))
    summary = look(run)
    assert summary.status is State.RUNNING
    assert "without its supervisor" in summary.reason
    wait_for_step(run, summary.step + 5)
    stop(run)
    assert wait_for_state(run, State.STOPPED).step > summary.step


def test_a_run_whose_supervisor_and_trainer_are_killed_is_lost_and_resumes(store_root: Path) -> None:
    run = start(store_root, ENDLESS | {"train.save_every": 5}).run
    wait_for_step(run, 12)
    record = launched(run)
    wait_for_checkpoint(run)
    kill(record.supervisor_pid)
    kill(record.trainer_pid)
    wait_until(lambda: "left no word" in look(run).reason, what="the last of its threads has ended")
    assert look(run).status is State.LOST
    resumed = resume(run)
    assert resumed.resumed_from_step is not None
    assert resumed.resumed_from_step % 5 == 0
    wait_for_step(run, resumed.resumed_from_step + 5)
    end(run)


def test_what_a_killed_trainer_leaves_behind_is_named_kept_from_a_resume_and_ended_by_stop(store_root: Path) -> None:
    run = start(store_root, ENDLESS | {"data.num_workers": 2, "train.save_every": 5}).run
    wait_for_step(run, 6)
    record = launched(run)
    workers = wait_until(lambda: host.descendants(record.trainer_pid or 0))
    for worker in workers:
        kill(worker, signal.SIGSTOP)  # or it would leave by itself
    kill(record.supervisor_pid)
    kill(record.trainer_pid)
    named = ", ".join(map(str, sorted(workers)))
    wait_until(lambda: f"processes of it are left (pid {named})" in look(run).reason)
    assert (look(run).status, look(run).settled) == (State.LOST, False)
    assert record.lock is not None
    Path(record.lock).unlink()  # a cleaner of temporary files has been here
    assert f"processes of it are left (pid {named})" in look(run).reason
    with pytest.raises(HeatsError, match="processes of it are left"):
        resume(run)
    stop(run)
    wait_until(lambda: not any(exists(pid) for pid in workers), what="they heard the stop although they were halted")
    wait_until(lambda: "left no word" in look(run).reason)


def test_a_run_whose_lock_file_was_deleted_is_no_less_alive_and_starts_no_second_trainer(store_root: Path) -> None:
    run = start(store_root, ENDLESS).run
    wait_for_step(run, 3)
    record = launched(run)
    path = Path(record.lock or "")
    path.unlink()
    assert look(run).status is State.RUNNING
    with pytest.raises(HeatsError, match="still running"):
        resume(run)
    wait_until(path.exists, what="the supervisor makes it anew at its next beat")
    assert lock.is_held(path)
    kill(record.supervisor_pid)
    wait_until(lambda: not lock.is_held(path))
    assert look(run).status is State.RUNNING
    with pytest.raises(HeatsError, match="still running"):
        resume(run)
    end(run)


def test_a_stop_in_progress_counts_down_its_grace(store_root: Path) -> None:
    run = start(store_root, ENDLESS).run
    wait_for_step(run, 3)
    record = launched(run)
    kill(record.trainer_pid, signal.SIGSTOP)  # so that it can't end before we look
    stop(run)
    reason = wait_for_state(run, State.STOPPING).reason
    seconds = int(reason.partition(", ")[2].split(" s left")[0])
    assert 0 < seconds <= record.grace_seconds
    kill(record.trainer_pid, signal.SIGCONT)
    wait_for_state(run, State.STOPPED)


def test_a_trainer_that_hangs_before_its_second_step_is_found_stalled(
    store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(store_root, ENDLESS).run
    wait_until(lambda: launched(run).trainer_pid)
    trainer = launched(run).trainer_pid
    kill(trainer, signal.SIGSTOP)
    monkeypatch.setattr("engine.store.status.LOADING_PATIENCE_SECONDS", 0.5)
    assert "loading" in wait_for_state(run, State.STALLED).reason
    kill(trainer, signal.SIGCONT)
    wait_for_step(run, 3)
    end(run)


def test_a_stopped_trainer_is_found_stalled(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.store.metric_tail._STALL_FLOOR_SECONDS", 1.0)
    run = start(store_root, ENDLESS).run
    wait_for_step(run, 20)
    record = launched(run)
    kill(record.trainer_pid, signal.SIGSTOP)
    try:
        assert "no step for longer" in wait_for_state(run, State.STALLED).reason
    finally:
        kill(record.trainer_pid, signal.SIGCONT)
        end(run)


def test_a_closed_terminal_leaves_the_run_training(store_root: Path, tmp_path: Path) -> None:
    script = tmp_path / "launch.py"
    script.write_text(
        "import json, sys, time\n"
        "from pathlib import Path\n"
        "from tests.support import ENDLESS, start\n"
        "started = start(Path(sys.argv[1]), ENDLESS)\n"
        "Path(sys.argv[2]).touch()\n"
        "time.sleep(600)\n"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        repository = str(Path(__file__).parents[3])
        os.execve(
            sys.executable,
            [sys.executable, str(script), str(store_root), str(tmp_path / "launched")],
            os.environ | {"PYTHONPATH": repository},
        )
    wait_until(lambda: store_root.exists() and any(store_root.glob("*/attempts/001/launch.json")))
    store = open_store(store_root)
    run = store.run(store.run_ids()[0])
    wait_for_step(run, 3)
    wait_until((tmp_path / "launched").exists)
    os.close(terminal)  # hang-up: the kernel sends SIGHUP to the session
    wait_until(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid, what="the launching program dies of the hang-up")
    step = look(run).step
    wait_for_step(run, step + 10)
    assert look(run).status is State.RUNNING
    end(run)


def test_a_trainer_that_ignores_the_stop_is_killed_by_the_ladder(
    store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEATS_GRACE_SECONDS", "1")
    run = start(store_root, ENDLESS).run
    wait_for_step(run, 3)
    trainer = launched(run).trainer_pid
    kill(trainer, signal.SIGSTOP)  # it can't answer
    stop(run)
    summary = wait_for_state(run, State.KILLED)
    assert "ladder" in summary.reason
    assert not exists(trainer)


def test_loader_workers_of_a_killed_trainer_are_ended(store_root: Path) -> None:
    run = start(store_root, ENDLESS | {"data.num_workers": 2}).run
    wait_for_step(run, 3)
    record = launched(run)
    assert record.trainer_pid is not None
    workers = wait_until(lambda: host.descendants(record.trainer_pid or 0))
    kill(record.trainer_pid)
    wait_for_state(run, State.KILLED)
    wait_until(lambda: not any(exists(pid) for pid in workers), what="no process of the tree is left")
    wait_until(lambda: not lock.is_held(Path(record.lock or "")), what="the supervisor lets go of it last")


def test_a_run_stopped_while_torch_is_imported_says_stopped(store_root: Path) -> None:
    for _ in range(5):
        run = start(store_root, ENDLESS).run
        wait_until(run.attempt(1).events.exists)
        trainer = launched(run).trainer_pid
        kill(trainer, signal.SIGSTOP)
        if [event.name for event in read_events(run.attempt(1).events)[0]] == ["started"]:
            break
        kill(trainer, signal.SIGCONT)  # we were late: it trains already
        end(run)
    stop(run)
    wait_for_state(run, State.STOPPING)
    kill(trainer, signal.SIGCONT)
    assert wait_for_state(run, State.STOPPED).step <= 1


def test_preemption_leaves_with_code_75_and_says_preempted(store_root: Path) -> None:
    run = start(store_root, ENDLESS).run
    wait_for_step(run, 3)
    kill(launched(run).supervisor_pid, signal.SIGUSR2)
    summary = wait_for_state(run, State.PREEMPTED)
    exit_record = wait_until(lambda: read_exit(run.attempt(1).exit))
    assert exit_record.code == 75
    assert (run.checkpoints / f"step-{summary.step:08d}").is_dir()


def test_a_running_run_is_not_resumed_and_a_finished_one_not_stopped(store_root: Path) -> None:
    run = start(store_root, ENDLESS).run
    wait_for_step(run, 2)
    with pytest.raises(HeatsError, match="still running"):
        resume(run)
    stop(run, now=True)
    wait_for_state(run, State.STOPPED)
    with pytest.raises(HeatsError, match="it is stopped"):
        stop(run)


def test_two_resumes_at_once_start_one_attempt(store_root: Path) -> None:
    run = start(store_root, TINY | {"train.max_steps": 10}).run
    wait_for_state(run, State.FINISHED)
    code = (
        "import sys; from pathlib import Path; from engine.store.paths import RunPaths; "
        "from engine.launch.actions import resume; "
        "resume(RunPaths(Path(sys.argv[1])), overrides={'train.max_steps': '1000000'})"
    )
    command = [sys.executable, "-c", code, str(run.folder)]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate()[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    assert any("still" in error or "left" in error for error in errors)
    wait_for_state(run, State.RUNNING)
    end(run)


def test_the_trainer_that_cannot_start_is_reported_at_once(store_root: Path) -> None:
    started = start(store_root, TINY | {"train.device": "mps"})
    summary = wait_for_state(started.run, State.FAILED)
    assert "train.device is mps" in summary.reason


def test_beats_and_host_figures_are_written(store_root: Path) -> None:
    run = start(store_root, ENDLESS).run
    wait_for_step(run, 2)
    wait_until(run.attempt(1).beat.exists)
    line = wait_until(lambda: run.attempt(1).system.exists() and run.attempt(1).system.read_text().splitlines())[0]
    assert json.loads(line)["memory_total"] > 0
    kill_unsupervised(run)  # does nothing while the supervisor lives
    time.sleep(0.2)
    assert look(run).status is State.RUNNING
    end(run)
