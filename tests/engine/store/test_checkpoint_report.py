"""What `check` says of checkpoints: what each is and holds, and everything that is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from engine.store.checkpoint_report import RunReport, inspect
from engine.store.checkpoints import MANIFEST, MODEL, OPTIMIZER, STATE, folder_name
from engine.store.files import write_json
from engine.store.paths import RunPaths
from tests.engine.store.made import add_attempt, flip_bit, log_steps, make_run, make_store, write_checkpoint


@pytest.fixture
def run(store_root: Path) -> RunPaths:
    run = make_run(make_store(store_root))
    log_steps(add_attempt(run), range(1, 101))
    return run


def problems(report: RunReport) -> list[str]:
    return [text for item in report.checkpoints for text in item.problems] + list(report.problems)


def kinds(report: RunReport) -> dict[str, tuple[str, ...]]:
    return {item.checkpoint.folder.name: item.kinds for item in report.checkpoints}


def test_a_sound_run_is_sound_and_says_what_each_checkpoint_is(run: RunPaths) -> None:
    write_checkpoint(run, 10, metric=0.5)
    write_checkpoint(run, 20, metric=0.9)
    write_checkpoint(run, 15, emergency=True)
    report = inspect(run, deep=True)
    assert report.is_sound
    assert not report.live
    assert report.resumes_from == 20
    assert kinds(report) == {
        folder_name(10): ("scheduled",),
        folder_name(15, emergency=True): ("emergency",),
        folder_name(20): ("latest", "best", "scheduled"),
    }
    assert json.loads(json.dumps(report.to_json()))["sound"] is True


def test_it_says_what_a_resume_would_find_inside(run: RunPaths) -> None:
    write_checkpoint(run, 10, state={"step": 10, "scaler": {"scale": "0x1p16"}, "random": {"torch": "x"}})
    write_checkpoint(run, 20, state={"step": 20, "scaler": None})
    first, second = (item.contents for item in inspect(run).checkpoints)
    assert (first.optimizer, first.scaler, first.random) == (True, True, True)
    assert (second.optimizer, second.scaler, second.random) == (True, False, False)


def test_each_kind_of_damage_is_named(run: RunPaths) -> None:
    (write_checkpoint(run, 10) / MANIFEST).unlink()
    os.truncate(write_checkpoint(run, 20) / MODEL, 5)
    write_checkpoint(run, 30).rename(run.checkpoints / folder_name(31))
    write_checkpoint(run, 40, state={"step": 41})
    write_checkpoint(run, 500)
    (run.checkpoints / ".step-00000060.host.1").mkdir()
    write_json(run.resume, {"schema": 1, "latest": "step-00000099", "best": "../../etc", "resume_from": 77})
    said = "\n".join(problems(inspect(run)))
    for expected in (
        "it has no manifest (incomplete)",
        "model.safetensors has 5 bytes",
        "its name says step 31 but its manifest 30",
        "its name says step 40 but its state.json 41",
        "the metrics of its attempt end before it, at step 100",
        ".step-00000060.host.1 was left behind",
        "latest points nowhere",
        "best points nowhere ('../../etc')",
        "resume_from points nowhere (step 77)",
    ):
        assert expected in said


def test_only_deep_reads_every_byte(run: RunPaths) -> None:
    flip_bit(write_checkpoint(run, 10) / OPTIMIZER, -1)
    assert inspect(run).is_sound
    read: list[int] = []
    report = inspect(run, deep=True, advance=read.append)
    assert problems(report) == [f"{OPTIMIZER} was changed after it was written (its hash differs)"]
    assert sum(read) == report.checkpoints[0].checkpoint.bytes


@pytest.mark.parametrize("content", ["{", "[]", '{"resume_from": "x"}', '{"resume_from": -1}', '{"latest": 3}'])
def test_damaged_pointers_are_named_and_never_raise(run: RunPaths, content: str) -> None:
    write_checkpoint(run, 10)
    run.resume.write_text(content)
    assert len(problems(inspect(run))) == 1


def test_a_live_runs_saves_under_way_are_no_problem(run: RunPaths) -> None:
    me = os.getpid()
    add_attempt(run, supervisor_pid=me, supervisor_ticks=None, trainer_pid=me, trainer_ticks=None)
    write_checkpoint(run, 10)
    write_checkpoint(run, 200, attempt=2)  # its figures are about to be written
    (run.checkpoints / ".step-00000300.host.1").mkdir()
    report = inspect(run)
    assert report.live
    assert problems(report) == []
    (run.checkpoints / folder_name(200) / MANIFEST).write_text("")
    assert problems(inspect(run)) == ["its manifest is damaged"], "what stays wrong is said"


def test_a_pickle_by_another_name_is_named_without_deep(run: RunPaths) -> None:
    write_checkpoint(run, 10, model=b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    (said,) = problems(inspect(run))
    assert said.startswith("model.safetensors is no readable safetensors file")
    folder = write_checkpoint(run, 20)
    (folder / STATE).unlink()
    os.mkfifo(folder / STATE)  # nothing waits for its other end
    assert not inspect(run).is_sound
