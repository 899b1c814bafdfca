"""A day with the app in a real terminal, over runs that really train: nothing is stubbed and nothing slept through."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from engine.store.checkpoint_report import inspect
from engine.store.paths import RunPaths, open_store
from engine.store.status import State
from tests.e2e.terminal import HEATS, Terminal, heats, needs_tmux
from tests.support import (
    ENDLESS,
    TINY,
    end,
    kill,
    launched,
    look,
    wait_for_state,
    wait_for_step,
    wait_until,
)

pytestmark = [pytest.mark.e2e, needs_tmux]
WIDTH, HEIGHT = 120, 36


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with studies of its own."""
    (tmp_path / "experiments").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_study(place: Path, name: str, base: dict[str, object], arms: dict[str, dict[str, object]]) -> None:
    content = {"question": "Does it?", "task": "multiplication", "base": base, "seeds": [0], "arms": arms}
    (place / "experiments" / f"{name}.yaml").write_text(yaml.safe_dump(content))


class Seat:
    """Where somebody sits down at the app, and is cut off from it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.terminals: list[Terminal] = []

    def sit_down(self, *options: str, **more: str) -> Terminal:
        self.terminals.append(Terminal([*HEATS, *options], self.root, WIDTH, HEIGHT, **more))
        return self.terminals[-1]


@pytest.fixture
def seat(store_root: Path, place: Path) -> Iterator[Seat]:
    found = Seat(store_root)
    yield found
    for terminal in found.terminals:
        terminal.hang_up()


def runs_of(root: Path) -> dict[str, RunPaths]:
    """The runs by their names."""
    store = open_store(root)
    return {look(run).name: run for run in map(store.run, store.run_ids())}


def words(values: dict[str, object]) -> list[str]:
    return [f"{key}={value}" for key, value in values.items()]


def sorted_by(app: Terminal) -> str:
    """The column that the table of runs is sorted by, with its arrow."""
    found = re.search(r"(\S+[▼▲])", app.screen())
    return found.group(1) if found else ""


def countdown(app: Terminal) -> float:
    """Seconds that the run still has to save, as they stand on its screen; -1 when they don't."""
    found = re.search(r"for which it has (?:(\d+)m)? ?(?:(\d+)s)?", app.screen())
    return int(found.group(1) or 0) * 60 + int(found.group(2) or 0) if found else -1


def type_in(app: Terminal, text: str) -> None:
    """Type a text as it stands, once it is seen."""
    app.press("-l", text)
    app.wait_for(text)


def test_launched_from_the_form_watched_compared_and_the_same_after_a_hang_up(
    seat: Seat, place: Path, store_root: Path
) -> None:
    write_study(place, "endless", ENDLESS, {"plain": {}})
    app = seat.sit_down()
    app.wait_for("No runs yet", "n New")
    # The form: the options of an arm, two fields by hand, and off.
    app.press("n")
    app.wait_for("New run of multiplication", "0 options differ")
    app.press("C-o")
    app.wait_for("Take the options of which arm?", "type to narrow, Enter takes it")
    type_in(app, "endless")
    app.wait_for("endless  plain")
    app.press("Enter")
    app.wait_for("9 options differ", "Ctrl+g Launch")
    for field, value in (("run name", "first"), ("optim.lr", "0.002")):
        app.press("C-f")
        app.wait_for("show options that hold this text")
        if "." in field:
            type_in(app, f"{field}={value}")
            app.press("Enter")
            app.wait_for(f"optim.lr={value}", "10 options differ")
        else:
            app.press("-l", field)
            app.press("Enter")
            app.wait_for("A name for the run")
            type_in(app, value)
            app.press("Escape")
            app.wait_for("log_every", "Ctrl+g Launch")
    app.press("C-g")
    app.wait_for("running", "first")
    first = runs_of(store_root)["first"]
    # It is watched: steps that are logged appear by themselves.
    shown = look(first).step
    wait_for_step(first, shown + 5)
    app.press("Enter")
    app.wait_for("first", "1 Charts", "running")

    def step_on_screen() -> int:
        head = app.screen().split("/1,000,000")[0].split()
        return int(head[-1].replace(",", "")) if head and head[-1].replace(",", "").isdigit() else -1

    seen = wait_until(lambda: max(0, step_on_screen()), what="a step on the screen")
    wait_until(lambda: step_on_screen() > seen, what="a later step on the screen")
    app.press("Escape")
    app.wait_for("n New")
    # A second one like it, with another name, from the Run's clone.
    app.press("c")
    app.wait_for("Clone of")
    app.press("C-f")
    app.wait_for("show options that hold this text")
    type_in(app, "optim.lr=0.004")
    app.press("Enter")
    app.wait_for("optim.lr=0.004 ")
    app.press("C-g")
    app.wait_for("of 2", "2 running")
    runs = open_store(store_root)
    (second,) = (run for run in map(runs.run, runs.run_ids()) if run.id != first.id)
    wait_for_step(second, 3)
    # Both marked and compared.
    app.press("A", "d")
    app.wait_for("optim.lr", "0.002", "0.004", "Leave out")
    app.press("Escape")
    app.wait_for("n New")
    # What was chosen is there again after the line was cut.
    app.press("/")
    app.wait_for("status:running")
    type_in(app, "lr<0.003")
    app.press("Enter")
    app.wait_for("filter 'lr<0.003'", "2 marked, 1 out of sight")
    order = sorted_by(app)
    app.press("o")
    wait_until(lambda: sorted_by(app) not in ("", order), what="another order")
    order = sorted_by(app)
    app.press("Enter")
    app.wait_for("1 Charts", "first")
    app.press("5")
    app.wait_for("events; Enter shows", "step ")
    steps = {run: look(run).step for run in (first, second)}
    app.hang_up()
    for run, step in steps.items():
        wait_for_step(run, step + 5)
        assert look(run).status is State.RUNNING
    app = seat.sit_down()
    app.wait_for("filter 'lr<0.003'", "2 marked, 1 out of sight", "2 running of 2", "first")
    assert sorted_by(app) == order
    app.press("Enter")
    app.wait_for("1 Charts", "events; Enter shows")  # the tab that was open
    app.press("q")
    wait_until(lambda: not app.screen(), what="the app has left")
    for run in steps:
        end(run)


def test_a_slow_stop_counts_down_and_the_run_is_checked_and_goes_on(
    seat: Seat, store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEATS_GRACE_SECONDS", "900")
    assert heats(store_root, "launch", "multiplication", *words(ENDLESS), "--name", "slow").returncode == 0
    run = runs_of(store_root)["slow"]
    wait_for_step(run, 3)
    app = seat.sit_down()
    app.wait_for("running", "slow")
    app.press("Enter")
    app.wait_for("1 Charts", "running")
    trainer = launched(run).trainer_pid
    kill(trainer, signal.SIGSTOP)  # as one whose disk hangs: it can't answer
    app.press("s")
    app.wait_for("Stop slow", "save and stop")
    app.press("y")
    app.wait_for("saves its last checkpoint, for which it has", "then told to leave, then killed")
    asked = countdown(app)
    wait_until(lambda: 0 < countdown(app) < asked, what="less time left")
    kill(trainer, signal.SIGCONT)
    app.wait_for("slow", "stopped")
    stopped = wait_for_state(run, State.STOPPED)
    # Every byte of what it saved is read.
    app.press("4")
    app.wait_for(f"goes on from step {stopped.step:,}", "sizes fit")
    app.press("V")
    app.wait_for("every byte of", "hashes fit")
    app.press("r")
    app.wait_for(f"from step {stopped.step:,}")
    wait_for_step(run, stopped.step + 3)
    app.wait_for("running")
    app.press("1")
    app.wait_for("attempt 2")
    end(run)


def test_the_arms_of_a_study_are_brought_to_a_common_step(seat: Seat, place: Path, store_root: Path) -> None:
    arms: dict[str, dict[str, object]] = {"short": {"train.max_steps": 20}, "long": {"train.max_steps": 40}}
    write_study(place, "arms", TINY, arms)
    done = heats(store_root, "study", "run", "experiments/arms.yaml")
    assert done.returncode in (0, 1), done.stderr
    runs = list(runs_of(store_root).values())
    for run in runs:
        wait_for_state(run, State.FINISHED)
    assert sorted(str(inspect(run).resumes_from) for run in runs) == ["20", "40"]
    app = seat.sit_down()
    app.wait_for("finished", "short", "long")
    app.press("3")
    app.wait_for("5 checkpoints in 2 runs", "goes on from step 40")
    app.press("t")
    app.wait_for("Bring 2 runs to step 20?", "20 steps back", "leave all as it is")
    assert sorted(str(inspect(run).resumes_from) for run in runs) == ["20", "40"], "nothing before it is confirmed"
    app.press("y")
    app.wait_for("resumes here", "1 run goes on from step 20")
    assert [inspect(run).resumes_from for run in runs] == [20, 20]
    app.press("u")
    app.wait_for("goes on from step 40")


def test_two_apps_see_what_the_other_does(seat: Seat, store_root: Path) -> None:
    assert heats(store_root, "launch", "multiplication", *words(TINY), "--name", "old", "--follow").returncode == 0
    one, other = seat.sit_down(), seat.sit_down(XDG_STATE_HOME=str(store_root.parent / "other-state"))
    for app in (one, other):
        app.wait_for("0 running of 1", "old")
    one.press("c")
    one.wait_for("Clone of", "10 options differ")
    one.press("C-g")
    for app in (one, other):
        app.wait_for("of 2")
    wait_until(lambda: other.screen().count("✔ finished") >= 2, what="both runs are through")
    other.press("g")
    other.press("t")
    other.wait_for("Tags of latent", "Enter takes it")
    other.press("-l", "paper")
    other.press("Enter")
    other.wait_for("+paper")
    one.press("/")
    one.wait_for("status:running")
    one.press("-l", "tag:paper")
    one.press("Enter")
    one.wait_for("filter 'tag:paper'", "finished")
    store = open_store(store_root)
    assert sorted(look(run).tags for run in map(store.run, store.run_ids())) == [(), ("paper",)]
