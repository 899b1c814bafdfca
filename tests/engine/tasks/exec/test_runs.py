"""Commands of the user's own, really launched: watched, stopped, killed, failing, started again."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.launch import queue as launch_queue
from engine.launch.actions import LaunchRequest, resume, stop
from engine.launch.reproduce import plan_reproduction, reproduce
from engine.launch.submit import submit
from engine.store.files import read_json
from engine.store.metrics import RunHistory
from engine.store.paths import RunPaths, open_store
from engine.store.records import read_events, read_run
from engine.store.status import State
from tests.engine.store.repositories import make_repository
from tests.engine.tasks.exec.scripts import COUNTING, start, write
from tests.support import end, exists, kill, launched, look, wait_for_state, wait_for_step, wait_until


def curve(run: RunPaths, metric: str = "train/loss") -> dict[int, float]:
    history = RunHistory(run)
    history.refresh()
    series = history.series.get(metric)
    return dict(zip(series.steps, series.values, strict=True)) if series else {}


def test_a_script_that_knows_nothing_of_heats_runs_to_its_end(store_root: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "work")
    run = start(store_root, folder, "python train.py --lr {lr} --seed {seed}", {"flags.lr": 0.5, "seed": 3}).run
    found = wait_for_state(run, State.FINISHED)
    assert (found.task, found.step, found.total_steps, found.seed) == ("exec", 20, 20, 3)
    assert found.metrics == {"train/loss": 0.02575, "val/loss": 0.025}
    assert found.best == {"step": 20.0, "val/loss": 0.025}
    assert curve(run) == pytest.approx({step: round(0.515 / step, 6) for step in range(1, 21)})
    assert "train-lr0.5" in run.id
    assert "step 20/20" in run.attempt(1).output.read_text()
    with pytest.raises(HeatsError, match="its command has finished"):
        resume(run)


def test_a_failing_script_says_why(store_root: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "work", "print('step 1 loss: 1')\nraise ValueError('no such data')\n")
    run = start(store_root, folder, "python train.py").run
    found = wait_for_state(run, State.FAILED)
    assert found.reason == "failed at step 1: exit code 1: ValueError: no such data"
    (event,) = [event for event in read_events(run.attempt(1).events)[0] if event.name == "failed"]
    assert "Traceback" in event.facts["traceback"]


def test_stop_ends_a_script_and_resume_starts_it_again(store_root: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "work")
    run = start(store_root, folder, "python train.py --steps 1000000 --pause 0.01").run
    wait_for_step(run, 5)
    assert look(run).status is State.RUNNING
    script = next(event for event in read_events(run.attempt(1).events)[0] if event.name == "training")
    stop(run)
    found = wait_for_state(run, State.STOPPED)
    assert "SIGTERM" in found.reason
    assert not exists(script.facts["script_pid"])
    again = resume(run)
    assert again.attempt.number == 2
    assert launched(run).folder == str(folder)
    assert launched(run).resumed_from_step is None
    wait_until(lambda: again.attempt.metrics.is_file() and again.attempt.metrics.read_text().count("\n") > 2)
    assert look(run).status is State.RUNNING
    end(run)
    assert json.loads(again.attempt.metrics.read_text().partition("\n")[0])["step"] <= 1
    assert sorted(curve(run)) == list(range(1, max(curve(run)) + 1))  # one curve, from the script's new start


def test_a_stop_reaches_what_a_shell_has_started_and_waits_for_it(store_root: Path, tmp_path: Path) -> None:
    careful = """
import signal, sys, time
def save(*_):
    time.sleep(1)
    open("saved", "w").close()
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("step 1 loss: 1", flush=True)
time.sleep(1000)
"""
    folder = write(tmp_path / "work", careful)
    (folder / "run.sh").write_text("python train.py\ntrue\n")
    run = start(store_root, folder, "bash run.sh").run
    wait_for_step(run, 1)
    stop(run)
    wait_for_state(run, State.STOPPED)
    assert (folder / "saved").exists()


def test_a_script_that_ignores_the_stop_is_killed(
    store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("step 1 loss: 1", flush=True)
time.sleep(1000)
"""
    monkeypatch.setenv("HEATS_GRACE_SECONDS", "0.5")
    run = start(store_root, write(tmp_path / "work", stubborn), "python train.py").run
    wait_for_step(run, 1)
    stop(run)
    found = wait_for_state(run, State.KILLED)
    assert "SIGKILL" in found.reason


def test_a_script_that_is_killed_is_told_as_killed(store_root: Path, tmp_path: Path) -> None:
    run = start(store_root, write(tmp_path / "work"), "python train.py --steps 1000000 --pause 0.01").run
    wait_for_step(run, 2)
    (event,) = [
        event
        for event in read_events(run.attempt(1).events)[0]
        if event.name == "training" and event.facts.get("script_pid")
    ]
    kill(event.facts["script_pid"])
    found = wait_for_state(run, State.KILLED)
    assert found.reason == "killed by SIGKILL"
    assert found.step >= 2


@pytest.mark.parametrize("listens", ["SIGTERM", "SIGUSR2"])
def test_a_preempted_script_saves_at_the_signal_that_it_listens_to(
    store_root: Path, tmp_path: Path, listens: str
) -> None:
    saving = f"""
import pathlib, signal, sys, time
def save(number, frame):
    pathlib.Path("saved").write_text(signal.Signals(number).name)
    sys.exit(0)
signal.signal(signal.{listens}, save)
print("step 1 loss: 1", flush=True)
time.sleep(600)
"""
    folder = write(tmp_path / "work", saving)
    run = start(store_root, folder, "python train.py").run
    wait_for_step(run, 1)
    kill(launched(run).supervisor_pid, signal.SIGUSR2)
    wait_for_state(run, State.PREEMPTED)
    assert (folder / "saved").read_text() == listens


def test_a_preempted_script_asks_to_be_queued_again(store_root: Path, tmp_path: Path) -> None:
    run = start(store_root, write(tmp_path / "work"), "python train.py --steps 1000000 --pause 0.01").run
    wait_for_step(run, 2)
    kill(launched(run).supervisor_pid, signal.SIGUSR2)
    wait_for_state(run, State.PREEMPTED)
    exit_record = wait_until(lambda: read_json(run.attempt(1).exit))
    assert exit_record["code"] == 75


def test_files_are_followed_while_the_script_writes_them(store_root: Path, tmp_path: Path) -> None:
    text = """
import json, os, time
log = open(os.path.join(os.environ["HEATS_SCRIPT_DIR"], "log.jsonl"), "w")
for step in range(1, 6):
    log.write(json.dumps({"step": step * 10, "loss": 1 / step}) + "\\n"); log.flush()
    print(f"batch {step} speed: {step}", flush=True)
open("done", "w").close()
while not os.path.exists("leave"):
    time.sleep(0.05)
"""
    folder = write(tmp_path / "work", text)
    run = start(store_root, folder, "python train.py").run
    wait_for_step(run, 50)
    (folder / "leave").touch()
    found = wait_for_state(run, State.FINISHED)
    assert found.metrics["train/loss"] == 0.2
    assert curve(run, "train/loss") == {step * 10: 1 / step for step in range(1, 6)}
    assert set(curve(run, "speed")) <= {10, 20, 30, 40, 50}  # lines are set at the file's steps
    kinds = [item["kind"] for item in (read_json(run.attempt(1).sources) or {})["sources"]]
    assert kinds == ["jsonl", "lines"]


def test_a_run_waits_in_the_queue_and_works_in_its_own_folder(
    store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEATS_SLOTS", "1")
    folder = write(tmp_path / "work")
    requests = [
        LaunchRequest("exec", {"exec.command": f"python train.py --lr {rate}"}, folder=folder) for rate in (1, 2)
    ]
    done = submit(store_root, requests, queue=True)
    runs = [*(item.run for item in done.started), *done.waiting]
    assert len(runs) == 2
    wait_for_state(runs[0], State.FINISHED)
    wait_until(lambda: launch_queue.advance(open_store(store_root)) or look(runs[1]).status is not State.QUEUED)
    wait_for_state(runs[1], State.FINISHED)
    assert launched(runs[1]).folder == str(folder)


def test_what_cant_run_is_refused_before_a_run_is_made(store_root: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "work")
    for command, said in [
        ("", "exec.command` is empty"), ("nosuchprogram x", "no program"), ("./nothing", "isn't there"),
        ("python nothing.py", "no such script"), ("python train.py {lr}", "`flags.lr` has no value"),
    ]:  # fmt: skip
        with pytest.raises(HeatsError, match=said):
            start(store_root, folder, command)
    assert not list(store_root.glob("*_exec-*"))


def test_a_run_is_reproduced_with_the_code_that_it_had(store_root: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    make_repository(repository, {"scripts/train.py": COUNTING})
    run = start(store_root, repository / "scripts", "python train.py --lr 0.5").run
    wait_for_state(run, State.FINISHED)
    record = read_run(run.record)
    assert record is not None
    assert record.git_commit
    write(repository / "scripts", "print('step 1 loss: 99')")
    started, tree = reproduce(plan_reproduction(run))
    wait_for_state(started.run, State.FINISHED)
    assert tree is not None
    assert launched(started.run).folder == str(tree / "scripts")
    assert curve(started.run) == curve(run)


def test_the_supervisor_dead_the_script_goes_on_and_its_end_is_known(store_root: Path, tmp_path: Path) -> None:
    run = start(store_root, write(tmp_path / "work"), "python train.py --steps 100 --pause 0.02").run
    wait_for_step(run, 2)
    kill(launched(run).supervisor_pid)
    found = wait_for_state(run, State.FINISHED)
    assert found.step == 100
    assert os.path.exists(run.attempt(1).metrics)
