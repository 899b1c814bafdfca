"""`heats doctor` as a person and a script see it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pexpect

from engine.store.files import write_json
from engine.store.paths import Store
from tests.tui.cli.stores import (
    add_checkpoint,
    command_line,
    ended_run,
    finished_run,
    heats,
    log_event,
    process_environment,
    running_run,
)

Actor = Callable[[], "subprocess.Popen[bytes]"]


def test_a_store_without_trouble_is_one_line_and_exit_code_0(store: Store) -> None:
    finished_run(store)
    finished_run(store, loss=2.0)
    done = heats("doctor", store=store)
    assert (done.returncode, done.stdout) == (0, "nothing wrong with 2 runs\n")


def test_what_needs_a_person_is_exit_code_1_in_text_of_80_columns(store: Store) -> None:
    failed = ended_run(store, "failed", error="out of memory " * 12 + "\x1b[31m")
    add_checkpoint(failed, 5, truncated=True)
    finished_run(store)
    done = heats("doctor", store=store, environment={"COLUMNS": "80"})
    assert done.returncode == 1
    assert failed.id in done.stdout
    assert "✘ failed: failed at step 5: out of memory" in done.stdout
    assert f"`heats logs {failed.id[-4:]}`" in done.stdout
    assert f"`heats checkpoints fix {failed.id[-4:]}`" in done.stdout
    assert done.stdout.endswith("2 runs looked at: 2 things need you\n")
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "\x1b" not in done.stdout


def test_json_has_every_finding(store: Store) -> None:
    failed = ended_run(store, "failed", error="out of memory")
    done = heats("doctor", "--json", store=store)
    assert done.returncode == 1
    content = json.loads(done.stdout)
    assert (content["runs"], content["needs_person"]) == (1, True)
    (finding,) = content["findings"]
    assert (finding["run"], finding["severity"], finding["cause"]) == (failed.id, "act", "failed")
    assert set(finding) == {"run", "severity", "cause", "what", "since", "remedy"}


def test_one_run_alone_and_archived_ones_only_when_asked_for(store: Store) -> None:
    good, failed = finished_run(store), ended_run(store, "failed", error="x")
    assert heats("doctor", good.id, store=store).stdout == "nothing wrong with 1 run\n"
    assert heats("doctor", failed.id, store=store).returncode == 1
    write_json(failed.notes, {"schema": 1, "archived": True})
    done = heats("doctor", store=store)
    assert (done.returncode, done.stdout) == (0, "nothing wrong with 1 run (1 archived: --all looks at them too)\n")
    assert heats("doctor", "--all", store=store).returncode == 1
    assert heats("doctor", failed.id, store=store).returncode == 1
    assert heats("doctor", "no-such-run", store=store).returncode == 2


def test_a_live_run_with_an_alert_needs_a_person(store: Store, actor: Actor) -> None:
    run = running_run(store, actor())
    assert heats("doctor", store=store).stdout == "nothing wrong with 1 run\n"
    log_event(run.attempt(1), "alert", 50, cause="explosion", message="the loss is 40 deviations up")
    done = heats("doctor", store=store, environment={"LANG": "C", "LC_ALL": "C"})
    assert done.returncode == 1
    assert "! alert explosion: the loss is 40 deviations up at step 50" in done.stdout
    assert done.stdout.isascii()


def test_the_examples_of_notify_are_shown_and_a_command_is_tried() -> None:
    assert "--notify desktop" in heats("notify").stdout
    assert all(len(line) <= 80 for line in heats("notify").stdout.splitlines())
    done = heats("notify", 'echo "$HEATS_EVENT of $HEATS_RUN_ID"')
    assert (done.returncode, done.stdout) == (0, "test of no-run\nthe command worked\n")
    failed = heats("notify", "--json", "echo no; exit 3")
    assert failed.returncode == 1
    assert json.loads(failed.stdout) == {"delivered": False, "problem": "exit code 3", "output": "no\n"}


def test_the_bell_rings_at_alerts_and_at_the_end_on_terminals_only(store: Store, actor: Actor) -> None:
    run = running_run(store, actor())
    attempt = run.attempts()[-1]
    program, *words = command_line("watch", run.id, "--bell", store=store)
    plain = subprocess.Popen(
        [program, *words], env=process_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    terminal = pexpect.spawn(
        program, list(words), env=process_environment({"NO_COLOR": "1"}), encoding="utf-8", dimensions=(24, 80)
    )
    terminal.expect("50/1,000", timeout=120)
    log_event(attempt, "alert", 50, message="the loss exploded")
    terminal.expect("\a", timeout=120)
    log_event(attempt, "finished", 50)
    terminal.expect("\a", timeout=120)
    terminal.expect(pexpect.EOF, timeout=120)
    terminal.close()
    assert terminal.exitstatus == 0
    assert "\a" not in plain.communicate(timeout=120)[0]
