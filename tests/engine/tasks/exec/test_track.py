"""Scripts that talk to heats through `engine.track`; and that those which nobody launched don't notice it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from engine.launch.actions import resume, stop
from engine.store.files import read_json
from engine.store.requests import request_checkpoint
from engine.store.status import State
from tests.engine.tasks.exec.scripts import start, write
from tests.engine.tasks.exec.test_runs import curve
from tests.support import look, wait_for_state, wait_for_step, wait_until

SCRIPT = """
import os, time
from engine import track

STEPS, LAST = int(os.environ.get("STEPS", "60")), float("nan")
run = track.start(total_steps=STEPS)
first = int(open(run.checkpoint).read()) if run.checkpoint else 0
print("from", first, run.checkpoint_step, flush=True)
for step in range(first + 1, STEPS + 1):
    track.log(step, {"val/accuracy": step / STEPS}, loss=1 / step, note="text", bad=LAST if step == 2 else 0)
    if track.should_save() or track.should_stop():
        path = os.path.join(str(run.folder), f"{step}.txt")
        open(path, "w").write(str(step))
        track.saved(step, path)
        if track.should_stop():
            break
    time.sleep(float(os.environ.get("PAUSE", "0")))
track.finish()
"""


def test_a_script_logs_is_stopped_and_goes_on_from_its_own_checkpoint(store_root: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "work", SCRIPT)
    run = start(store_root, folder, f"env PAUSE=0.1 STEPS=100000 {sys.executable} train.py").run
    wait_for_step(run, 3)
    wait_until(lambda: look(run).total_steps == 100000)
    request_checkpoint(run)
    wait_until(lambda: list(run.script.glob("*.txt")), what="a checkpoint on request")
    stop(run)
    found = wait_for_state(run, State.STOPPED)
    assert found.reason.endswith("its command ended by exit code 0")
    stopped_at = max(int(path.stem) for path in run.script.glob("*.txt"))
    resume(run)
    wait_for_step(run, stopped_at + 3)
    stop(run)
    wait_for_state(run, State.STOPPED)
    assert f"from {stopped_at} {stopped_at}" in run.attempt(2).output.read_text()
    steps = sorted(curve(run))
    assert steps == list(range(1, steps[-1] + 1))
    assert curve(run, "val/accuracy")[3] == 3 / 100000
    assert [item["kind"] for item in (read_json(run.attempt(1).sources) or {})["sources"]] == ["track"]


def test_a_script_that_says_it_has_finished_has(store_root: Path, tmp_path: Path) -> None:
    run = start(store_root, write(tmp_path / "work", SCRIPT), "python train.py").run
    found = wait_for_state(run, State.FINISHED)
    assert (found.step, found.metrics["train/loss"]) == (60, 1 / 60)
    assert curve(run, "bad")[2] != curve(run, "bad")[2]  # a NaN stays one


def test_a_script_that_nobody_launched_runs_as_before(tmp_path: Path) -> None:
    folder = write(tmp_path / "work", SCRIPT)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEATS_")}
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=folder, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "from 0 None\n"
    assert os.listdir(folder) == ["train.py"]


def test_a_request_seen_before_its_signal_is_no_second_one(tmp_path: Path) -> None:
    """A script that looks at each step sees the request first: its signal then ended it without a checkpoint."""
    (tmp_path / "attempts/001").mkdir(parents=True)
    (tmp_path / "requests").mkdir()
    (tmp_path / "requests/stop.json").write_text('{"attempt": 1}')
    code = (
        "import os, signal\nfrom engine import track\ntrack.start()\nassert track.should_stop()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\nprint('saved', flush=True)\nos.kill(os.getpid(), signal.SIGTERM)"
    )
    told = os.environ | {"HEATS_ATTEMPT_DIR": str(tmp_path / "attempts/001")}
    done = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("saved\n", -signal.SIGTERM), done.stderr


def test_it_loads_the_standard_library_alone() -> None:
    code = (
        "import sys; from engine import track; track.log(1, loss=1.0)\n"
        "print([name for name in sys.modules if name.split('.')[0] in"
        " ('torch', 'numpy', 'pydantic', 'yaml', 'orjson') or name.startswith('engine.store')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


TOGETHER = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
import torch.distributed as dist
from engine.callbacks.transformers import HeatsCallback

rank, meeting = int(os.environ["RANK"]), sys.argv[1]
dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
callback, state = HeatsCallback(), SimpleNamespace(global_step=0, max_steps=50)
control, saved = SimpleNamespace(should_save=False, should_training_stop=False), []
callback.on_train_begin(None, state, control)
while not control.should_training_stop and state.global_step < 50:
    dist.barrier()  # a step, which one process alone would never end
    state.global_step += 1
    if state.global_step == 3 and rank == 0:
        (Path(os.environ["HEATS_ATTEMPT_DIR"]).parents[1] / "requests" / "checkpoint-now.json").write_text("{}")
    if state.global_step == 5 and rank == 1:
        os.kill(os.getpid(), signal.SIGUSR1)
    callback.on_step_end(None, state, control)
    if control.should_save:
        saved.append(state.global_step)
        control.should_save = False
print(state.global_step, saved)
"""


def test_processes_of_one_script_save_and_stop_at_the_same_step_whoever_was_asked(tmp_path: Path) -> None:
    folder = write(tmp_path / "work", TOGETHER)
    attempt = tmp_path / "run" / "attempts" / "001"
    attempt.mkdir(parents=True)
    (tmp_path / "run" / "requests").mkdir()
    told = dict(os.environ) | {"HEATS_ATTEMPT_DIR": str(attempt)}
    command = [sys.executable, "train.py", str(tmp_path / "meeting")]
    both = [
        subprocess.Popen(command, cwd=folder, env=told | {"RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    try:
        assert [process.communicate(timeout=120)[0] for process in both] == ["5 [3, 5]\n"] * 2
    finally:
        for process in both:
            process.kill()
