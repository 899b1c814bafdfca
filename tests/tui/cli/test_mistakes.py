"""Every mistake of a user is one sentence on stderr and the right exit code, never a traceback."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from engine.store.paths import Store
from tests.tui.cli.stores import command_line, finished_run, heats, process_environment, running_run
from tui.cli.root import run


def _sentence(done: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """The one line that was said."""
    assert done.returncode == code, (done.stdout, done.stderr)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("heats: ")
    return line


def _here(words: list[str], capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """The same, in this process."""
    done = run(words)
    said = capsys.readouterr()
    return _sentence(subprocess.CompletedProcess(words, done, said.out, said.err), code)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["lst"], "did you mean `heats list`?"),
        (["kill"], "did you mean `heats stop`?"),
        (["frobnicate"], "`heats --help` lists the verbs"),
        (["list", "--jsn"], "did you mean --json?"),
        (["list", "--sort", "dat"], "did you mean `date`?"),
        (["list", "--limit", "many"], "`many` is no whole number"),
        (["list", "--limit", "-1"], "give 0 or more"),
        (["list", "extra"], "extra"),
        (["show"], "missing argument"),
        (["show", "x", "--runs-dir"], "--runs-dir"),
        (["--read-only", "list"], "--read-only is for the app"),
        (["selftest", "resum"], "did you mean `resume`?"),
        (["tasks", "multiplicaton"], "did you mean `multiplication`?"),
        (["launch", "multiplicaton"], "did you mean `multiplication`?"),
        (["launch", "multiplication", "model.dmodel=3"], "did you mean `model.d_model`?"),
        (["launch", "multiplication", "model=3"], "`model` is a section"),
        (["launch", "multiplication", "train.max_steps=ten"], "train.max_steps"),
        (["launch", "multiplication", "model.kind=latnt"], "simple, latent"),
        (["launch", "multiplication", "max_steps"], "key=value"),
        (["launch", "multiplication", "seed=1", "--seed", "2"], "twice"),
        (["launch", "multiplication", "--train.max_steps=3"], "written key=value"),
        (["launch", "multiplication", "--config", "missing.yaml"], "there is no such config file"),
        (["launch", "multiplication", "--config", "bad.yaml"], "bad.yaml, line 2"),
        (["launch", "multiplication", "--config", "wrong.yaml"], "wrong.yaml: unknown key `train.max_stps`"),
        (["launch", "multiplication", "--config", "."], "can't be read"),
    ],
)
def test_misuse(
    words: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("train:\n  max_steps: 1: 2\n")
    (tmp_path / "wrong.yaml").write_text("train:\n  max_stps: 1\n")
    assert expected in _here(words, capsys)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("words", [["lst"], ["list", "--jsn"], ["launch", "multiplication", "model.dmodel=3"]])
def test_misuse_of_the_real_command(words: list[str], tmp_path: Path) -> None:
    assert "did you mean" in _sentence(heats(*words, cwd=tmp_path))


@pytest.mark.parametrize("verb", ["show", "logs", "watch", "stop", "resume", "evaluate"])
def test_unknown_run(store: Store, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--runs-dir", str(store.root), verb]
    assert "no runs yet" in _here([*words, "last"], capsys)
    finished_run(store)
    assert "no run is called `nosuch`" in _here([*words, "nosuch"], capsys)


def test_ambiguous_runs_are_listed(store: Store) -> None:
    runs = [finished_run(store, slug="alike") for _ in range(2)]
    line = _sentence(heats("show", "alike", store=store))
    assert all(run.id in line for run in runs)


def test_a_run_is_found_by_its_parts(store: Store) -> None:
    made = finished_run(store, created=time.time() - 100, name="Bess")
    finished_run(store, created=time.time() - 200)
    for word in (made.id, made.id[-4:], "Bess", "last"):
        assert made.id in heats("show", word, store=store).stdout


def test_folders_that_are_no_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    assert "is no store of runs" in _sentence(heats("list", store=tmp_path))
    assert "there is no such folder" in _sentence(heats("list", store=tmp_path / "nowhere"))
    assert "is not a folder" in _sentence(heats("list", store=tmp_path / "thesis.tex"))
    assert "is no store of runs" in _sentence(heats("launch", "multiplication", store=tmp_path))


def test_errors_stay_sentences_with_json(store: Store) -> None:
    assert "no runs yet" in _sentence(heats("show", "x", "--json", store=store))


def test_stop_of_an_ended_run_says_its_status(store: Store) -> None:
    made = finished_run(store)
    assert "it is finished" in _sentence(heats("stop", made.id, store=store))


def test_stop_with_one_bad_name_stops_nothing(store: Store) -> None:
    made = finished_run(store)
    assert "nosuch" in _sentence(heats("stop", made.id, "nosuch", store=store))


def test_evaluate_checks_its_words(store: Store) -> None:
    made = finished_run(store)
    assert "give best, latest or a step" in _sentence(heats("evaluate", made.id, "--checkpoint", "newest", store=store))


def test_a_store_that_cannot_be_written_is_the_machines_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = _sentence(heats("launch", "multiplication", store=tmp_path / "file" / "runs"), code=1)
    assert "can't be made" in line


def test_ctrl_c_is_quiet(store: Store) -> None:
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        made = running_run(store, sleeper)
        made.attempts()[-1].output.write_text("hello\n")
        process = subprocess.Popen(
            command_line("logs", "-f", made.id, store=store), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=process_environment(),
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "hello\n"  # from then on it waits for more
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
        sleeper.kill()
    assert process.returncode == 130
    assert said == ""


def test_help_and_version() -> None:
    done = heats("--help")
    assert done.returncode == 0
    assert re.search(r"^  resume +Go on with a run from a checkpoint\.$", done.stdout, re.MULTILINE)
    for verb in ("launch", "list", "show", "watch", "logs", "stop", "resume", "evaluate", "tasks", "selftest"):
        assert verb in done.stdout
    assert heats("--version").stdout.startswith("heats ")


@pytest.mark.parametrize(
    "verb", ["launch", "list", "show", "watch", "logs", "stop", "resume", "evaluate", "tasks", "selftest"]
)
def test_each_verb_explains_itself_in_80_columns(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: heats {verb}" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
