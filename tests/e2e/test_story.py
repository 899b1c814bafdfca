"""A run's whole life by command line in a real terminal: launched, watched, left, stopped, resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.store.names import find_run
from engine.store.paths import open_store
from engine.store.status import State
from tests.e2e.terminal import HEATS, Terminal, heats, needs_tmux
from tests.support import ENDLESS, TINY, end, look, wait_for_state, wait_for_step, wait_until

pytestmark = pytest.mark.e2e


def words(values: dict[str, object]) -> list[str]:
    return [f"{key}={value}" for key, value in values.items()]


def test_launch_stop_resume_and_evaluate_in_pipes(store_root: Path) -> None:
    launched = heats(store_root, "launch", "multiplication", *words(ENDLESS), "--name", "story", "--tag", "paper")
    assert launched.returncode == 0, launched.stderr
    run = find_run(open_store(store_root), launched.stdout.strip())
    wait_for_step(run, 5)
    listed = json.loads(heats(store_root, "list", "--json").stdout)
    assert [(item["name"], item["status"], item["tags"]) for item in listed] == [("story", "running", ["paper"])]
    assert heats(store_root, "stop", "last").returncode == 0
    stopped = look(run)
    assert stopped.status is State.STOPPED
    total = stopped.step + 10
    resumed = heats(store_root, "resume", "last", "--override", f"train.max_steps={total}", "--follow")
    assert resumed.returncode == 0, resumed.stderr
    assert look(run).status is State.FINISHED
    shown = json.loads(heats(store_root, "show", "last", "--json").stdout)
    assert (shown["step"], shown["total_steps"], shown["attempts"]) == (total, total, 2)
    evaluated = heats(store_root, "evaluate", "last", "--checkpoint", "latest", "--split", "test", "--json")
    assert json.loads(evaluated.stdout)["metrics"]["test/exact_match"] >= 0
    assert "finished at step" in heats(store_root, "logs", "last").stdout
    older = heats(
        store_root, "resume", "last", "--from", str(stopped.step), "--override", f"train.max_steps={total + 5}"
    )
    assert older.returncode == 0, older.stderr
    assert wait_for_state(run, State.FINISHED).step == total + 5


@needs_tmux
def test_a_closed_terminal_leaves_a_followed_run_training(store_root: Path) -> None:
    command = [*HEATS, "launch", "multiplication", *words(ENDLESS), "--follow"]
    terminal = Terminal(command, store_root)
    try:
        terminal.wait_for("running", "train/loss")
    finally:
        terminal.hang_up()
    run = find_run(open_store(store_root), "last")
    step = look(run).step
    wait_for_step(run, step + 10)
    assert look(run).status is State.RUNNING
    again = Terminal([*HEATS, "watch", "last"], store_root)
    try:
        again.wait_for("running", run.id[-4:])
        heats(store_root, "stop", "last", "--detach")
        wait_until(lambda: "stopped" in again.screen() or not again.screen())
    finally:
        again.hang_up()
    wait_for_state(run, State.STOPPED)


@needs_tmux
def test_the_app_shows_stops_and_resumes_a_run_and_a_hang_up_harms_nothing(store_root: Path) -> None:
    heats(store_root, "launch", "multiplication", *words(ENDLESS), "--name", "seen")
    run = find_run(open_store(store_root), "last")
    wait_for_step(run, 3)
    app = Terminal(HEATS, store_root, 120, 30, COLUMNS="80", LINES="24")  # as some shells export them: not the truth
    try:
        app.wait_for("running", "multiplication")
        for size in ((40, 10), (160, 45), (80, 24), (120, 30)):
            app.resize(*size)
            app.wait_for("running")
    finally:
        app.hang_up()
    step = look(run).step
    wait_for_step(run, step + 5)
    app = Terminal(HEATS, store_root, 120, 30)
    try:
        app.wait_for("running")
        app.press("s")
        app.wait_for("save and stop")  # the question's answers; a key pressed before they stand there would be lost
        app.press("y")
        app.wait_for("stopped")
        assert look(run).status is State.STOPPED
        step = look(run).step
        app.press("r")
        app.wait_for("running", seconds=150)
        wait_for_step(run, step + 3)
        app.press("q")
    finally:
        app.hang_up()
    end(run)


def test_a_followed_run_that_fails_exits_1_with_the_reason(store_root: Path) -> None:
    done = heats(store_root, "launch", "multiplication", *words(TINY), "train.device=mps", "--follow")
    assert done.returncode == 1
    assert "train.device is mps" in done.stdout + done.stderr
