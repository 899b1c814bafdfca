"""Watching, following and stopping runs whose processes are stand-ins."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable

import pexpect

from engine.store.paths import RunPaths, Store
from tests.tui.cli.stores import (
    add_attempt,
    command_line,
    ended_run,
    finished_run,
    heats,
    log_event,
    process_environment,
    running_run,
)

Actor = Callable[[], "subprocess.Popen[bytes]"]


def _start(store: Store, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command_line(*words, store=store), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=process_environment(), stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _act(process: subprocess.Popen[bytes], run: RunPaths) -> None:
    """Tell the stand-in where its events go."""
    assert process.stdin is not None
    process.stdin.write(f"{run.attempts()[-1].events}\n".encode())
    process.stdin.flush()


def _first_line(process: subprocess.Popen[str]) -> str:
    """What it says first: from then on it is up and listening."""
    assert process.stdout is not None
    return process.stdout.readline()


def _read_until(process: subprocess.Popen[str], text: str) -> str:
    """Its output up to the first line with this text."""
    lines = [_first_line(process)]
    while text not in lines[-1]:
        lines.append(_first_line(process))
        assert lines[-1], f"it ended without {text!r}"
    return "".join(lines)


def test_watch_of_an_ended_run_is_its_exit_code(store: Store) -> None:
    assert heats("watch", finished_run(store).id, store=store).returncode == 0
    assert heats("watch", ended_run(store, "stopped").id, store=store).returncode == 0
    failed = heats("watch", ended_run(store, "failed", error="no memory").id, store=store)
    assert failed.returncode == 1
    assert "failed at step 5: no memory" in failed.stdout


def test_watch_prints_lines_in_a_pipe_until_the_end(store: Store, actor: Actor) -> None:
    run = running_run(store, actor())
    watching = _start(store, "watch", run.id)
    first = _read_until(watching, "step 50/")
    attempt = run.attempts()[-1]
    log_event(attempt, "evaluated", 50, metrics={"val/loss": "NaN", "val/exact_match": 0.25})
    log_event(attempt, "alert", 50, message="the loss is NaN")
    first += _read_until(watching, "alert")
    log_event(attempt, "finished", 50)
    assert watching.stdout is not None
    assert watching.stderr is not None
    # Not by communicate: it loses what reading the first line has taken into the buffer.
    shown, said = first + watching.stdout.read(), watching.stderr.read()
    assert watching.wait(120) == 0, said
    assert "running: the trainer is alive" in shown
    assert "step 50/1,000  loss 1.02" in shown
    assert "evaluated  val/loss NaN  val/exact_match 0.25" in shown
    assert "alert  the loss is NaN" in shown
    assert "✔ finished" in shown
    assert "\x1b" not in shown


def test_leaving_a_watch_leaves_the_run(store: Store, actor: Actor) -> None:
    process = actor()
    run = running_run(store, process)
    watching = _start(store, "watch", run.id)
    _first_line(watching)
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=120)
    assert watching.returncode == 130
    assert f"the run goes on: {run.id}" in said
    assert "heats stop" in said
    assert process.poll() is None


def test_watch_draws_a_panel_on_a_terminal(store: Store, actor: Actor) -> None:
    run = running_run(store, actor())
    attempt = run.attempts()[-1]
    attempt.output.write_text("epoch 1\rep\x1b[2Joch 2\n")
    log_event(attempt, "alert", 50, message="the loss exploded")
    program, *words = command_line("watch", run.id, store=store)
    terminal = pexpect.spawn(
        program, list(words), env=process_environment({"NO_COLOR": "1"}), encoding="utf-8", dimensions=(24, 80),
        timeout=120,
    )  # fmt: skip
    terminal.expect("● running", timeout=120)
    terminal.expect("50/1,000")
    terminal.expect("the loss exploded")
    terminal.expect("epoch 2")
    terminal.send("q")
    terminal.expect("the run goes on", timeout=120)
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_stop_waits_until_the_run_has_ended(store: Store, actor: Actor) -> None:
    process = actor()
    run = running_run(store, process)
    _act(process, run)
    done = heats("stop", run.id, store=store)
    assert done.returncode == 0, done.stderr
    assert "■ stopped" in done.stdout
    assert run.id in done.stdout
    assert process.wait(120) == 0


def test_stop_detached_returns_at_once(store: Store, actor: Actor) -> None:
    run = running_run(store, actor())  # nobody tells it where to write, so it hangs in its handler
    done = heats("stop", run.id, "--detach", store=store)
    assert done.returncode == 0, done.stderr
    assert "stopping" in heats("list", store=store).stdout


def test_stop_counts_down_on_a_terminal(store: Store, actor: Actor) -> None:
    process = actor()
    run = running_run(store, process)
    program, *words = command_line("stop", run.id, store=store)
    terminal = pexpect.spawn(program, list(words), env=process_environment(), encoding="utf-8", dimensions=(24, 80))
    terminal.expect(r"told to leave without it in (1m)?\d+s?", timeout=120)
    _act(process, run)
    terminal.expect("stopped", timeout=120)
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_stop_goes_on_with_the_others_after_an_error(store: Store, actor: Actor) -> None:
    process = actor()
    run, ended = running_run(store, process), finished_run(store)
    _act(process, run)
    done = heats("stop", ended.id, run.id, store=store)
    assert done.returncode == 2
    assert "it is finished" in done.stderr
    assert "■ stopped" in done.stdout


def test_logs_prints_last_lines(store: Store) -> None:
    run = finished_run(store)
    first = run.attempts()[-1]
    first.output.write_text("".join(f"one {number}\n" for number in range(200)))
    assert heats("logs", run.id, "-n", "2", store=store).stdout == "one 198\none 199\n"
    assert len(heats("logs", run.id, store=store).stdout.splitlines()) == 50
    second = add_attempt(run)
    second.output.write_bytes(b"two\xff\nopen end")
    assert heats("logs", run.id, store=store).stdout == "two\ufffd\nopen end\n"
    assert heats("logs", run.id, "--attempt", "1", "-n", "1", store=store).stdout == "one 199\n"
    missing = heats("logs", run.id, "--attempt", "9", store=store)
    assert missing.returncode == 2
    assert "there are: 1, 2" in missing.stderr


def test_logs_follow_until_the_end_and_into_a_newer_attempt(store: Store, actor: Actor) -> None:
    run = running_run(store, actor())
    first = run.attempts()[-1]
    first.output.write_text("old\nfirst\n")
    following = _start(store, "logs", run.id, "-f", "-n", "1")
    assert _first_line(following) == "first\n"
    with first.output.open("a") as file:
        file.write("second\nunfinished")
    time.sleep(0.6)
    second = add_attempt(run)
    second.output.write_text("third\n")
    log_event(second, "finished", 50)
    shown, said = following.communicate(timeout=120)
    assert following.returncode == 0, said
    assert shown == "second\nunfinished\nthird\n"
    assert "attempt 2" in said
