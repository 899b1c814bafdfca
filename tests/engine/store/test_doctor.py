"""What is wrong, how badly, and what to do: one pure function, row by row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.store.checkpoints import Checkpoint
from engine.store.checkup import check_up
from engine.store.doctor import Finding, Machine, RunFacts, Severity, diagnose
from engine.store.index import list_runs
from engine.store.records import Beat, Event, LaunchRecord
from engine.store.status import Evidence, State
from engine.store.summary import RunSummary
from engine.store.twins import Twins
from tests.engine.store.made import (
    add_attempt,
    finished_run,
    log_event,
    log_steps,
    make_run,
    make_store,
    write_checkpoint,
)

NOW = 1_000_000.0
ID = "20260101-000000_task-slug_ab12"
SUMMARY = RunSummary(
    id=ID, name="slug", task="task", status=State.RUNNING, reason="why", since=NOW - 60, step=500, total_steps=1000,
    metrics={}, best={}, study=None, arm=None, seed=0, tags=(), note="", star=False, archived=False, created=NOW - 9000,
    attempts=1, host="here", rate=10.0, left=50.0,
)  # fmt: skip
LAUNCH = LaunchRecord(attempt=1, created=NOW - 9000, host="here", supervisor_pid=10, trainer_pid=11)
EVIDENCE = Evidence(NOW, launch=LAUNCH, supervisor="alive", trainer="alive", lock_held=True)
GOOD = Checkpoint(Path("step-00000400"), 400, bytes=1000)
BROKEN = Checkpoint(Path("step-00000450"), 450, problems=("model.safetensors is missing",))


def event(name: str, age: float = 100.0, step: int | None = 500, **facts: Any) -> Event:
    return Event(name, NOW - age, step, facts)


def facts(status: State = State.RUNNING, **changes: Any) -> RunFacts:
    summary = replace(SUMMARY, status=status, **changes.pop("summary", {}))
    made = RunFacts(summary, EVIDENCE if status.is_live else None, checkpoints=(GOOD,))
    return replace(made, **changes)


def of(run: RunFacts, machine: Machine | None = None) -> list[Finding]:
    return diagnose([run], machine or Machine(), now=NOW)


def only(run: RunFacts, machine: Machine | None = None) -> Finding:
    (finding,) = of(run, machine)
    return finding


@pytest.mark.parametrize("status", [State.RUNNING, State.STARTING, State.STOPPING, State.FINISHED, State.STOPPED])
def test_there_is_nothing_wrong_with_a_run_that_does_as_it_should(status: State) -> None:
    assert of(facts(status)) == []


@pytest.mark.parametrize(
    ("status", "severity", "remedy"),
    [
        (State.FAILED, Severity.ACT, "heats logs ab12"),
        (State.KILLED, Severity.ACT, "heats resume ab12"),
        (State.LOST, Severity.ACT, "heats resume ab12"),
        (State.SILENT, Severity.ACT, "look at that machine"),
        (State.STALLED, Severity.ACT, "heats stop ab12"),
        (State.PREEMPTED, Severity.WARN, "heats resume ab12"),
    ],
)
def test_a_bad_state_is_told_with_its_reason_and_remedy(status: State, severity: Severity, remedy: str) -> None:
    finding = only(facts(status))
    assert (finding.severity, finding.cause, finding.what) == (severity, str(status), "why")
    assert (finding.run, finding.since) == (ID, NOW - 60)
    assert remedy in finding.remedy


def test_leftovers_are_to_be_stopped_first_and_without_a_checkpoint_a_resume_starts_over() -> None:
    left = replace(EVIDENCE, supervisor="gone", trainer="gone", leftovers=(5,))
    assert only(facts(State.LOST, evidence=left)).remedy.startswith("`heats stop ab12`")
    assert "no checkpoint" in only(facts(State.KILLED, checkpoints=())).remedy


def test_a_run_without_its_supervisor_says_who_is_told_no_more() -> None:
    finding = only(facts(evidence=replace(EVIDENCE, supervisor="gone")))
    assert (finding.severity, finding.cause) == (Severity.WARN, "no supervisor")
    assert "told" not in finding.what
    told = replace(EVIDENCE, supervisor="gone", launch=replace(LAUNCH, notify="desktop"))
    assert "nobody will be told" in only(facts(evidence=told)).what
    by_hand = replace(EVIDENCE, supervisor="unknown", launch=replace(LAUNCH, supervisor_pid=None))
    assert of(facts(evidence=by_hand)) == [], "trained in the foreground, it never had one"


def test_evidence_that_is_weaker_than_usual_is_said() -> None:
    finding = only(facts(evidence=replace(EVIDENCE, launch=replace(LAUNCH, weaker_evidence=True))))
    assert (finding.severity, finding.cause) == (Severity.NOTE, "weaker evidence")
    assert only(facts(evidence=replace(EVIDENCE, lock_missing=True))).cause == "lock"


def test_a_clock_that_runs_ahead_is_found_by_its_beats() -> None:
    elsewhere = replace(EVIDENCE, same_host=False, supervisor="unknown", beat=Beat(NOW + 500, 10))
    finding = only(facts(evidence=elsewhere))
    assert finding.cause == "clock"
    assert "8 min ahead" in finding.what
    assert of(facts(evidence=replace(elsewhere, beat=Beat(NOW + 20, 10)))) == []


def test_alerts_of_one_cause_are_one_finding_and_weigh_less_once_the_run_or_the_alert_is_over() -> None:
    alerts = (
        event("alert", 200, cause="non_finite", message="NaN"),
        event("alert", cause="non_finite", message="NaN!"),
    )
    finding = only(facts(events=alerts))
    assert (finding.severity, finding.cause, finding.since) == (Severity.ACT, "alert non_finite", NOW - 100)
    assert finding.what == "NaN! at step 500 (2 alerts)"
    assert only(facts(State.FINISHED, events=alerts)).severity is Severity.WARN
    over = (*alerts, event("alert_over", 50, cause="non_finite"))
    assert only(facts(events=over)).severity is Severity.NOTE
    assert only(facts(events=(*over, event("alert", 10, cause="non_finite")))).severity is Severity.ACT
    resumed = replace(EVIDENCE, launch=replace(LAUNCH, created=NOW - 50))
    assert only(facts(events=alerts, evidence=resumed)).severity is Severity.WARN, "seen by whoever resumed"
    assert only(facts(events=(event("alert", level="info"),))).severity is Severity.WARN
    assert only(facts(events=(event("alert", step=None, cause=["odd"], message={"odd": 1}),))).remedy


def test_a_suspect_result_needs_a_person() -> None:
    finding = only(facts(State.FINISHED, events=(event("suspect", message="accuracy 0.02 where chance is 0.01"),)))
    assert (finding.severity, finding.cause) == (Severity.ACT, "suspect")
    assert "0.02" in finding.what


def test_broken_checkpoints_matter_most_where_none_is_left() -> None:
    finding = only(facts(checkpoints=(GOOD, BROKEN)))
    assert (finding.severity, finding.cause) == (Severity.WARN, "checkpoint")
    assert "the checkpoint of step 450 can't be used (model.safetensors is missing)" in finding.what
    assert "heats checkpoints fix ab12" in finding.remedy
    assert only(facts(State.STOPPED, checkpoints=(BROKEN,))).severity is Severity.ACT
    assert only(facts(State.FINISHED, checkpoints=(BROKEN,))).severity is Severity.WARN


def test_a_run_that_has_long_saved_nothing_is_found_by_its_own_measure() -> None:
    began = event("training", 7200, 0)
    assert "trained for 2.0 h without a checkpoint" in only(facts(events=(began,), save_every=500)).what
    saved = event("checkpoint", 100)
    assert of(facts(events=(began, saved), save_every=500)) == []
    assert "save_every is 0" in only(facts(events=(began,), save_every=0)).what
    slow = facts(events=(began,), save_every=500, summary={"rate": 0.1})  # a checkpoint each 5,000 s
    assert of(slow) == []
    assert of(facts(State.STOPPED, events=(began,), save_every=500)) == []
    assert of(facts(events=(began,), save_every=None)) == [], "its config can't be read"


def test_damage_is_told_and_that_of_run_json_needs_a_person() -> None:
    problems = ("attempt 1: 3 damaged lines in events.jsonl", "run.json is damaged or of another schema")
    found = of(facts(State.FINISHED, summary={"problems": problems}))
    assert [(finding.severity, finding.what) for finding in found] == [
        (Severity.ACT, problems[1]), (Severity.WARN, problems[0]),
    ]  # fmt: skip


def test_notifications_that_fail_are_told_once() -> None:
    finding = only(facts(undelivered=("exit code 3", "exit code 3")))
    assert (finding.cause, finding.what) == ("notify", "its notifications fail: exit code 3")


def test_a_disk_without_room_for_the_next_checkpoints_of_all_live_runs_is_foreseen() -> None:
    big = facts(checkpoints=(replace(GOOD, bytes=3 << 30),))
    runs = [big, big, facts(State.FINISHED, checkpoints=(replace(GOOD, bytes=99 << 30),))]
    (finding,) = diagnose(runs, Machine(free_bytes=5 << 30), now=NOW)
    assert (finding.run, finding.severity, finding.cause) == (None, Severity.ACT, "disk")
    assert "5.0 GiB left" in finding.what
    assert "need 6.0 GiB" in finding.what
    (finding,) = diagnose(runs, Machine(free_bytes=7 << 30), now=NOW)
    assert finding.severity is Severity.WARN
    assert diagnose(runs, Machine(free_bytes=50 << 30), now=NOW) == []
    (finding,) = diagnose([], Machine(free_bytes=1 << 20), now=NOW)
    assert finding.what == "the store's disk has only 1 MiB left"


def test_a_machine_that_ends_processes_at_logout_matters_while_something_runs() -> None:
    machine = Machine(logout_warning="this machine ends your processes")
    assert only(facts(), machine).severity is Severity.WARN
    assert only(facts(State.FINISHED), machine).severity is Severity.NOTE


def test_twins_are_told_with_what_differs_for_the_runs_asked_about_only() -> None:
    pair = Twins("20250101-000000_task-slug_zz99", ID, "train/loss", 150, ("loss.alpha", "seed", "x", "y"))
    (finding,) = diagnose([facts(State.FINISHED)], Machine(), [pair], now=NOW)
    assert (finding.run, finding.severity, finding.cause) == (ID, Severity.ACT, "twin")
    assert "zz99 to the last bit over 150 points, although loss.alpha, seed, x and 1 more differ" in finding.what
    assert diagnose([], Machine(), [pair], now=NOW) == []


def test_the_worst_comes_first_and_a_runs_findings_stand_together() -> None:
    def run(end: str, **changes: Any) -> RunFacts:
        return facts(summary={"id": f"20260101-000000_task-slug_{end}"}, **changes)

    runs = [
        run("aaaa", checkpoints=(GOOD, BROKEN)),
        run("bbbb", events=(event("alert", cause="disk"),), checkpoints=(GOOD, BROKEN)),
        run("cccc", events=(event("alert", cause="disk"),)),
    ]
    found = diagnose(runs, Machine(free_bytes=1 << 20, logout_warning="x"), now=NOW)
    order = [((finding.run or "this")[-4:], str(finding.severity)) for finding in found]
    assert order == [
        ("cccc", "act"), ("bbbb", "act"), ("bbbb", "warn"), ("this", "warn"), ("this", "warn"), ("aaaa", "warn"),
    ]  # fmt: skip


def test_alerts_that_a_resume_has_shadowed_are_history(store_root: Path) -> None:
    store = make_store(store_root)
    run = make_run(store)
    first = add_attempt(run)
    log_event(first, "alert", 10, cause="disk", message="full")
    log_event(first, "alert", 30, cause="explosion", message="far up")
    log_event(add_attempt(run, resumed_from_step=20), "finished", 50)
    runs = list_runs(store)
    assert [item.cause for item in check_up(store, runs, runs) if item.run is not None] == ["alert disk"]


def test_a_check_up_of_a_real_store_reads_what_the_diagnosis_needs(store_root: Path) -> None:
    store = make_store(store_root)
    finished_run(store)
    suspect = finished_run(store)
    log_event(suspect.attempt(1), "suspect", 20, message="near chance")
    write_checkpoint(suspect, 20)
    (write_checkpoint(suspect, 10) / "state.json").unlink()
    failed = make_run(store)
    attempt = add_attempt(failed)
    log_event(attempt, "alert", 3, cause="disk", message="full")
    log_steps(attempt, range(1, 4))
    log_event(attempt, "failed", 3, error="no memory")
    attempt.notify_log.write_text("2026-01-01 00:00:00 failed failed: exit code 3: no route\n")
    for _ in range(2):  # the second time from the index, which holds no events
        runs = list_runs(store)
        found = [(item.run, item.cause) for item in check_up(store, runs, runs) if item.run is not None]
        assert sorted(found) == sorted([
            (suspect.id, "suspect"), (suspect.id, "checkpoint"), (failed.id, "failed"), (failed.id, "alert disk"),
            (failed.id, "notify"),
        ])  # fmt: skip
