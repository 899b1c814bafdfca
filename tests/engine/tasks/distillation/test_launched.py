"""Runs in processes of their own: killed in each phase, evaluated by the command, and taught within a study."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.launch.actions import LaunchRequest, launch, resume
from engine.store.checkpoints import scan
from engine.store.compare import checkpoint_differences
from engine.store.paths import RunPaths, open_store
from engine.store.status import State
from engine.study.cells import find_cells
from engine.study.run import begin
from engine.study.spec import read_study
from tests.engine.tasks.distillation.made import TINY
from tests.support import kill, launched, wait_for_state, wait_for_step, wait_until

pytestmark = pytest.mark.slow


def test_a_kill_in_each_phase_changes_no_bit(store_root: Path, teacher: RunPaths) -> None:
    values: dict[str, Any] = TINY | {
        "loss.method": "factor_transfer", "teacher.from_run": str(teacher.folder), "train.save_every": 5,
        "train.max_steps": 160, "factor.steps": 60, "checkpoint.keep_last": 3, "evaluation.every_epochs": 20,
    }  # fmt: skip
    straight = launch(store_root, LaunchRequest("distillation", values)).run
    wait_for_state(straight, State.FINISHED)
    run = launch(store_root, LaunchRequest("distillation", values)).run
    for step in (8, 68):
        wait_for_step(run, step)
        kill(launched(run).trainer_pid)
        wait_for_state(run, State.KILLED)
        resume(run)
    wait_for_state(run, State.FINISHED)
    assert len(run.attempts()) == 3
    assert checkpoint_differences(scan(straight)[-1].folder, scan(run)[-1].folder) == []


def test_the_command_evaluates_a_student(teacher: RunPaths) -> None:
    words = ["-m", "tui.cli", "evaluate", teacher.id, "--split", "test", "--json"]
    command = [sys.executable, *words, "--runs-dir", str(teacher.folder.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout)["metrics"]
    lines = (teacher.folder / "attempts/001/events.jsonl").read_text().splitlines()
    tested = next(found for found in map(json.loads, lines) if found["event"] == "tested")
    assert figures["test/accuracy"] == tested["metrics"]["test/accuracy"]


def test_students_wait_for_their_teacher(store_root: Path, tmp_path: Path) -> None:
    shared: dict[str, Any] = {"task": "distillation", "metric": "test/accuracy", "mode": "max", "seeds": [0]}
    teachers = {"question": "Who teaches?", "base": TINY, "arms": {"teacher": {"model.network": "resnet14"}}}
    students = {
        "question": "Who learns?", "base": TINY, "arms": {"logit": {"loss.method": "logit"}},
        "needs": {"teacher.from_run": "teachers#run"},
    }  # fmt: skip
    for name, content in (("teachers", teachers), ("students", students)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(shared | content))
    study = read_study(tmp_path / "students.yaml")
    begun = begin(store_root, study)
    assert [state.standing for state in begun.waiting] == ["waiting"]
    store = open_store(store_root)
    wait_until(lambda: all(state.standing == "finished" for state in find_cells(store, study)))
    state = find_cells(store, study)[0]
    assert state.value("test/accuracy") is not None
