"""A run in one record: its fields are an interface, and no damage to its files ever raises."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from engine.store.evidence import gather
from engine.store.files import write_json
from engine.store.index import list_runs
from engine.store.paths import RunPaths, Store
from engine.store.records import ExitRecord, write_exit
from engine.store.status import State, decide
from engine.store.summary import RunSummary, summarize
from tests.engine.store.made import (
    add_attempt,
    finished_run,
    log_event,
    log_steps,
    make_run,
    make_store,
)

FIELDS = [
    "id", "name", "task", "status", "reason", "since", "step", "total_steps", "metrics", "best", "study", "arm", "seed",
    "tags", "note", "star", "archived", "created", "attempts", "host", "rate", "left", "alerts", "problems",
    "suspect", "backend", "job",
]  # fmt: skip
"""What `--json` promises. Adding one is fine; renaming or removing one breaks people's scripts."""


@pytest.fixture
def store(store_root: Path) -> Store:
    return make_store(store_root)


def look(run: RunPaths) -> RunSummary:
    found = summarize(run)
    assert found is not None
    return found


def test_the_json_fields_are_stable(store: Store) -> None:
    assert list(look(finished_run(store)).to_json()) == FIELDS


def test_a_finished_run_says_all_that_lists_show(store: Store) -> None:
    run = finished_run(store, steps=20)
    write_json(run.notes, {"tags": ["a"], "note": "good", "star": True, "archived": False})
    content = look(run).to_json()
    assert content["status"] == "finished"
    assert content["reason"] == "finished at step 20"
    assert (content["id"], content["name"], content["task"]) == (run.id, "mine", "multiplication")
    assert (content["step"], content["total_steps"], content["attempts"], content["seed"]) == (20, 1000, 1, 0)
    assert content["metrics"] == {"train/loss": 1.02, "val/loss": 0.25}
    assert content["best"] == {"val/loss": 0.25, "step": 20.0}
    assert (content["tags"], content["note"], content["star"]) == (["a"], "good", True)
    assert (content["alerts"], content["problems"], content["rate"], content["left"]) == ([], [], None, None)
    json.dumps(content, allow_nan=False)


def test_reading_the_json_form_gives_the_summary_back(store: Store) -> None:
    run = finished_run(store)
    log_event(run.attempts()[0], "alert", 3, message="loss is NaN")
    log_steps(run.attempts()[0], [21], math.nan, a=math.inf, b=-math.inf)
    found = look(run)
    again = RunSummary.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    assert again.settled
    assert repr(again) == repr(found), "repr because NaN equals nothing"


def test_a_run_that_is_being_made_is_not_listed(store: Store) -> None:
    run = make_run(store)
    run.record.unlink()
    assert summarize(run) is None
    assert summarize(store.run("20260101-000000_gone_0000")) is None
    (store.root / "20260101-000000_file_0000").write_text("")
    assert summarize(store.run("20260101-000000_file_0000")) is None


def test_the_step_and_total_follow_the_newest_attempt(store: Store) -> None:
    run = make_run(store)
    first = add_attempt(run, total_steps=100)
    log_steps(first, range(1, 51))
    log_event(first, "evaluated", 50, metrics={"val/loss": 9.0}, best={"val/loss": 1.0, "step": 50.0})
    log_event(first, "stopped", 50)
    second = add_attempt(run, resumed_from_step=20, total_steps=500)
    found = look(run)
    assert (found.step, found.total_steps, found.attempts) == (20, 500, 2)
    assert "val/loss" not in found.metrics, "that evaluation is shadowed"
    log_steps(second, range(21, 31))
    found = look(run)
    assert (found.step, found.metrics["train/loss"]) == (30, 2.03)


def test_a_resume_from_the_start_begins_at_step_zero(store: Store) -> None:
    run = make_run(store)
    log_steps(add_attempt(run), range(1, 51))
    add_attempt(run, resumed_from_step=0)
    assert look(run).step == 0


def test_figures_come_from_the_end_of_a_long_log(store: Store) -> None:
    run = make_run(store)
    attempt = add_attempt(run)
    log_steps(attempt, range(1, 5001))
    assert attempt.metrics.stat().st_size > 2 * 65536
    found = look(run)
    assert (found.step, found.metrics) == (5000, {"train/loss": 6.0})


def test_pace_and_time_left_are_of_a_live_run_only(store: Store) -> None:
    run = make_run(store)
    attempt = add_attempt(run, trainer_pid=os.getpid(), trainer_ticks=None, total_steps=100)
    log_event(attempt, "training", 0)
    now = time.time()
    with attempt.metrics.open("w") as file:
        for step in range(1, 51):
            file.write(json.dumps({"step": step, "time": now - 25 + step / 2, "train/loss": 1.0}) + "\n")
    found = look(run)
    assert found.status is State.RUNNING
    assert found.rate == pytest.approx(2.0)
    assert found.left == pytest.approx(25.0)
    log_event(attempt, "finished", 50)
    assert (look(run).rate, look(run).left) == (None, None)


def test_a_run_that_took_no_step_for_long_is_stalled(store: Store) -> None:
    run = make_run(store)
    attempt = add_attempt(run, trainer_pid=os.getpid(), trainer_ticks=None)
    log_event(attempt, "training", 0, time=time.time() - 4000)
    with attempt.metrics.open("w") as file:
        for step in range(1, 11):
            file.write(json.dumps({"step": step, "time": time.time() - 3000 + step, "train/loss": 1.0}) + "\n")
    found = look(run)
    assert found.status is State.STALLED
    assert "no step" in found.reason


def test_an_evaluation_in_the_middle_is_a_sign_of_progress(store: Store) -> None:
    run = make_run(store)
    attempt = add_attempt(run, trainer_pid=os.getpid(), trainer_ticks=None)
    log_event(attempt, "training", 0, time=time.time() - 4000)
    with attempt.metrics.open("w") as file:
        for step in range(1, 11):
            file.write(json.dumps({"step": step, "time": time.time() - 3000 + step, "train/loss": 1.0}) + "\n")
    log_event(attempt, "evaluated", 10, metrics={})
    assert look(run).status is State.RUNNING


def test_alerts_are_listed_in_order(store: Store) -> None:
    run = make_run(store)
    attempt = add_attempt(run)
    log_event(attempt, "alert", 1, cause="disk", message="disk is full")
    log_event(attempt, "alert", 2, cause="non_finite")
    assert look(run).alerts == ("disk is full", "non_finite")


def test_only_what_can_not_change_any_more_is_settled(store: Store) -> None:
    assert look(finished_run(store)).settled
    starting = make_run(store)
    assert not look(starting).settled
    elsewhere = make_run(store)
    add_attempt(elsewhere, host="elsewhere", boot_id="other", created=time.time() - 9999)
    found = look(elsewhere)
    assert (found.status, found.settled) == (State.SILENT, False)
    lost = make_run(store)
    add_attempt(lost)
    assert (look(lost).status, look(lost).settled) == (State.LOST, True)


def test_a_run_whose_launch_file_is_on_the_way_or_damaged_is_never_settled(store: Store) -> None:
    # The launch file may yet come, and it lies too deep for the index to notice.
    run = make_run(store, created=time.time() - 86400)
    folder = run.attempt(1).folder
    folder.mkdir()
    os.utime(folder, (time.time() - 3600, time.time() - 3600))
    assert not look(run).settled
    assert [found.status for found in list_runs(store)] == [State.LOST]
    folder.rmdir()
    log_event(add_attempt(run), "finished", 3)
    assert [found.status for found in list_runs(store)] == [State.FINISHED]


# Damage


def test_damaged_files_are_named_in_problems(store: Store) -> None:
    run = finished_run(store)
    attempt = run.attempts()[0]
    run.record.write_text("{")
    attempt.launch.write_text("{")
    with attempt.events.open("a") as file:
        file.write("half\n")
    found = look(run)
    assert found.problems == (
        "run.json is damaged or of another schema",
        "attempt 1: launch.json is damaged or of another schema",
        "attempt 1: 1 damaged lines in events.jsonl",
    )
    assert (found.id, found.name, found.status) == (run.id, run.id, State.FINISHED)


def test_damage_to_what_people_and_the_supervisor_said_is_named(store: Store) -> None:
    run = finished_run(store)
    attempt = run.attempts()[0]
    for path in (attempt.exit, run.notes, run.resume):
        path.write_text("{")
    attempt.events.unlink()
    attempt.events.mkdir()
    attempt.launch.unlink()
    attempt.launch.symlink_to("launch.json")  # there, but nobody can open it
    problems = " ".join(look(run).problems)
    for name in ("launch.json", "events.jsonl can't be read", "exit.json", "notes.json", "resume.json"):
        assert name in problems


def test_a_run_that_ends_while_it_is_read_is_told_as_it_ended(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    # Between the look at its words and the look at its processes it says its last word and all of it leaves.
    run = make_run(store)
    attempt = add_attempt(run)
    log_event(attempt, "training", 0, total_steps=1000)
    log_steps(attempt, range(1, 11))

    def leave(pid: int, ticks: int | None) -> str:
        if not attempt.exit.exists():
            log_steps(attempt, range(11, 21))
            log_event(attempt, "failed", 20, error="out of memory")
            write_exit(attempt.exit, ExitRecord(time.time(), code=1))
        return "gone"

    monkeypatch.setattr("engine.store.host.process_state", leave)
    status = decide(gather(run, attempt))
    assert (status.state, "out of memory" in status.reason) == (State.FAILED, True)
    attempt.exit.unlink()
    attempt.events.write_text("")
    log_event(attempt, "training", 0, total_steps=1000)
    found = look(run)
    assert (found.status, found.step, "out of memory" in found.reason) == (State.FAILED, 20, True)


@pytest.mark.parametrize(
    "facts",
    [
        {"metrics": 3}, {"metrics": {"a": [1]}}, {"metrics": {"a": 10**400}}, {"best": [1]}, {"best": {"x": None}},
        {"total_steps": 10**400}, {"total_steps": True}, {"total_steps": "many"}, {"reason": {"a": 1}}, {"message": 3},
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["training", "evaluated", "alert", "finished"])
def test_odd_facts_of_events_never_raise(store: Store, name: str, facts: dict[str, Any]) -> None:
    run = make_run(store)
    attempt = add_attempt(run, trainer_pid=os.getpid(), trainer_ticks=None)
    log_event(attempt, name, 5, **facts)
    for step in range(1, 5):
        log_steps(attempt, [step])
    json.dumps(look(run).to_json(), allow_nan=False)
    assert len(list_runs(store)) == 1
    assert len(list_runs(store)) == 1


@pytest.mark.parametrize(
    "value", [10**400, 10**30, -(10**30), "NaN", float("nan"), float("inf"), None, [], {}, "é\ud83d"]
)
def test_odd_values_anywhere_never_raise(store: Store, value: object) -> None:
    run = finished_run(store)
    attempt = run.attempts()[0]
    for path in (run.record, attempt.launch):
        good = json.loads(path.read_text())
        for key in good:
            path.write_text(json.dumps(good | {key: value}))
            json.dumps(look(run).to_json(), allow_nan=False)
        assert len(list_runs(store, rescan=True)) == 1
        assert len(list_runs(store)) == 1
        path.write_text(json.dumps(good))
    record = {"step": 5, "time": 5, "train/loss": 1.0}
    for key in record:
        attempt.metrics.write_text(json.dumps(record) + "\n" + json.dumps(record | {key: value}) + "\n")
        json.dumps(look(run).to_json(), allow_nan=False)


_AS_SOMEBODY_ELSE = """
import json, os, sys
from pathlib import Path
from engine.store.index import list_runs
from engine.store.checkpoints import choose, scan
from engine.store.metrics import RunHistory
from engine.store.paths import open_store
import encodings.idna, orjson, sqlite3
os.setgid(65534); os.setuid(65534)
store = open_store(Path(sys.argv[1]))
for run_id in store.run_ids():
    RunHistory(store.run(run_id)).refresh()
    scan(store.run(run_id))
print(json.dumps([[found.name, str(found.status), list(found.problems)] for found in list_runs(store)]))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_shared_store_lists_although_some_runs_belong_to_others() -> None:
    # pytest's own folders let nobody else in.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        store = make_store(Path(folder) / "runs")
        finished_run(store, name="open", created=1.6e9)
        closed = [finished_run(store, name="closed", created=1.7e9 + 100 * number) for number in range(4)]
        for path in (closed[0].folder, closed[1].record, closed[2].attempts()[0].folder, closed[3].checkpoints):
            path.chmod(0)
        command = [sys.executable, "-c", _AS_SOMEBODY_ELSE, str(store.root)]
        environment = dict(os.environ) | {"XDG_CACHE_HOME": "/nowhere"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    assert len(listed) == 5
    assert ["open", "finished", []] in listed
    problems = [problem for _, _, found in listed for problem in found]
    assert problems.count("run.json can't be read (Permission denied)") == 2
    assert "run.json is damaged" not in problems


def test_a_rollback_takes_back_steps_and_figures_but_not_the_alerts_that_say_why(store: Store) -> None:
    run = make_run(store)
    attempt = add_attempt(run)
    log_event(attempt, "training", 0, total_steps=100)
    log_event(attempt, "evaluated", 10, metrics={"val/loss": 2.0}, best={"step": 10, "val/loss": 2.0})
    log_event(attempt, "evaluated", 20, metrics={"val/loss": 1.0}, best={"step": 20, "val/loss": 1.0})
    log_event(attempt, "alert", 20, cause="explosion", message="the loss is 1e9")
    log_steps(attempt, range(1, 21), **{"val/loss": 1.0})
    with attempt.metrics.open("a") as file:
        file.write(json.dumps({"step": 10, "time": 1.7e9 + 21, "rolled_back_from": 20.0}) + "\n")
    log_event(attempt, "rolled_back", 10, from_step=20)
    found = look(run)
    assert (found.step, found.metrics, found.best["step"]) == (10, {"val/loss": 2.0}, 10)
    assert found.alerts == ("the loss is 1e9",)
    log_steps(attempt, range(11, 14))
    found = look(run)
    assert found.step == 13
    assert found.metrics["val/loss"] == 2.0


def test_an_alert_is_no_sign_of_progress(store: Store) -> None:
    run = make_run(store)
    attempt = add_attempt(run, trainer_pid=os.getpid(), trainer_ticks=None, started=time.time() - 1000)
    log_event(attempt, "training", 0, total_steps=100, time=time.time() - 1000)
    with attempt.metrics.open("a") as file:
        for step in range(1, 5):
            file.write(json.dumps({"step": step, "time": time.time() - 600 + step, "train/loss": 1.0}) + "\n")
    log_event(attempt, "alert", 4, cause="stall", message="no step was completed for 130 s")
    assert look(run).status is State.STALLED
