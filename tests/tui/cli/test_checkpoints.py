"""`heats checkpoints`: dry runs by default, exit codes, JSON, and mistakes in one sentence."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.store.checkpoints import MANIFEST, choose, folder_name
from engine.store.paths import RunPaths, Store
from tests.engine.store.made import write_checkpoint
from tests.tui.cli.stores import add_attempt, heats, log_steps, make_run, running_run
from tui.cli.root import run as run_command


@pytest.fixture
def here(store: Store, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `heats checkpoints ...` on the store, in this process."""

    def call(*words: str) -> tuple[int, str, str]:
        code = run_command(["--runs-dir", str(store.root), "checkpoints", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


Here = Callable[..., tuple[int, str, str]]


def with_steps(store: Store, *steps: int, **facts: Any) -> RunPaths:
    run = make_run(store, **facts)
    log_steps(add_attempt(run), 1, 100)
    for step in steps:
        write_checkpoint(run, step, metric=0.5)
    return run


def resume_step(run: RunPaths) -> int | None:
    chosen = choose(run).checkpoint
    return chosen.step if chosen is not None else None


def test_the_group_lists_its_verbs_and_mistakes_are_sentences(store: Store) -> None:
    listed = heats("checkpoints", store=store)
    assert listed.returncode == 0
    for verb in ("check", "sync", "rewind", "prune", "fix", "export"):
        assert f"  {verb} " in listed.stdout
    wrong = heats("checkpoints", "chekc", store=store)
    assert wrong.returncode == 2
    assert "there is no verb `checkpoints chekc`; did you mean `heats checkpoints check`?" in wrong.stderr


def test_the_store_may_be_named_at_any_place(store: Store) -> None:
    run = with_steps(store, 10)
    for words in (
        ["checkpoints", "--runs-dir", str(store.root), "check", "last", "--json"],
        ["checkpoints", "check", "last", "--json", "--runs-dir", str(store.root)],
        ["--runs-dir", str(store.root), "checkpoints", "check", "last", "--json"],
    ):
        done = heats(*words)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)[0]["run"] == run.id


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["check"], "no run is named"),
        (["check", "last", "--all"], "more than one way"),
        (["check", "--study", "none"], "no run belongs to a study called `none`"),
        (["check", "nosuch"], "no run is called `nosuch`"),
        (["sync", "last"], "name several"),
        (["rewind", "last"], "--to"),
        (["rewind", "last", "--to", "7"], "there are steps 10 20"),
        (["prune", "last", "--keep-last", "0"], "give 1 or more"),
        (["export", "last"], "missing argument"),
        (["export", "last", "."], "names no new folder"),
        (["export", "last", "/nowhere/model"], "there is no such folder"),
    ],
)
def test_misuse(store: Store, here: Here, words: list[str], expected: str) -> None:
    with_steps(store, 10, 20)
    code, out, err = here(*words)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert expected in line


def test_check_tables_and_exit_code(store: Store, here: Here) -> None:
    run = with_steps(store, 10, 20)
    code, out, _ = here("check", "last", "--deep")
    assert code == 0
    assert "optimizer rng" in out
    assert "nothing wrong" in out
    (run.checkpoints / folder_name(20) / MANIFEST).unlink()
    code, out, _ = here("check", "--all")
    assert code == 1
    assert "step-00000020: it has no manifest (incomplete)" in out
    code, out, _ = here("check", "last", "--json")
    assert code == 1
    (report,) = json.loads(out)
    assert (report["sound"], report["resumes_from"]) == (False, 10)


def test_damaged_text_cannot_steer_the_terminal(store: Store, here: Here) -> None:
    run = with_steps(store, 10)
    write_checkpoint(run, 20, reason="\x1b[2Jgone", settings={})
    run.resume.write_text(json.dumps({"latest": "\x1b]0;title\x07"}))
    _, out, _ = here("check", "last")
    assert "\x1b" not in out


def test_rewind_and_its_undo(store: Store, here: Here) -> None:
    run = with_steps(store, 10, 20)
    code, out, _ = here("rewind", "last", "--to", "10")
    assert (code, out) == (0, f"{run.id}: would go on from step 10 instead of step 20\n")
    assert resume_step(run) == 20
    code, out, _ = here("rewind", "last", "--to", "10", "--yes")
    assert resume_step(run) == 10
    undo = out.splitlines()[-1].removeprefix("undo: heats checkpoints ").split()
    assert here(*undo)[0] == 0
    assert resume_step(run) == 20


def test_sync_by_study(store: Store, here: Here) -> None:
    arms = [with_steps(store, *steps, study="pair", arm=name) for name, steps in (("a", (10, 20)), ("b", (10, 30)))]
    other = with_steps(store, 5)
    code, out, _ = here("sync", "--study", "pair", "--json")
    assert code == 0
    assert [move["to"] for move in json.loads(out)["moves"]] == [10, 10]
    assert [resume_step(run) for run in arms] == [20, 30]
    assert here("sync", "--study", "pair", "--yes")[0] == 0
    assert [resume_step(run) for run in (*arms, other)] == [10, 10, 5]
    code, _, err = here("sync", arms[0].id, other.id)
    assert code == 2
    assert f"no step is common to all 2 runs; {arms[0].id} has 10 20, {other.id} has 5" in err


def test_prune_says_what_goes_and_what_stays_and_why(store: Store, here: Here) -> None:
    run = with_steps(store, 10, 20, 30)
    code, out, _ = here("prune", "last", "--keep-last", "1", "--keep-best", "0")
    assert code == 0
    assert "would go  step 10" in out
    assert "stays     step 30  a resume goes on from it" in out
    assert "2 checkpoints would be deleted for good" in out
    assert len(os.listdir(run.checkpoints)) == 3
    code, out, _ = here("prune", "--all", "--keep-last", "1", "--keep-best", "0", "--yes", "--json")
    assert json.loads(out)[0]["bytes"] > 0
    assert os.listdir(run.checkpoints) == [folder_name(30)]


def test_a_live_run_is_left_alone_and_the_others_are_not(
    store: Store, here: Here, actor: Callable[[], subprocess.Popen[bytes]]
) -> None:
    idle, busy = with_steps(store, 10, 20), running_run(store, actor())
    write_checkpoint(busy, 10)
    write_checkpoint(busy, 20)
    code, _, err = here("prune", "--all", "--keep-last", "1", "--keep-best", "0", "--yes")
    assert code == 0
    assert f"{busy.id}: is live, and is left alone" in err
    assert (len(os.listdir(idle.checkpoints)), len(os.listdir(busy.checkpoints))) == (1, 2)
    for words in (["rewind", busy.id, "--to", "10"], ["fix", busy.id], ["prune", busy.id], ["sync", idle.id, busy.id]):
        code, _, err = here(*words, "--yes")
        assert code == 2
        assert "stop it first" in err


def test_fix_moves_to_the_trash_and_check_is_content(store: Store, here: Here) -> None:
    run = with_steps(store, 10, 20)
    (run.checkpoints / folder_name(20) / MANIFEST).unlink()
    code, out, _ = here("fix", "last")
    assert code == 0
    assert "would move step-00000020 to the trash: it has no manifest (incomplete)" in out
    assert len(os.listdir(run.checkpoints)) == 2
    assert here("fix", "last", "--yes")[0] == 0
    assert (store.root / ".trash" / ".checkpoints" / run.id / folder_name(20)).is_dir()
    assert here("check", "last")[0] == 0
    assert "nothing to put right" in here("fix", "last")[1]


def test_export_writes_a_folder_only_with_yes(store: Store, here: Here, tmp_path: Path) -> None:
    with_steps(store, 10)
    target = tmp_path / "model"
    assert here("export", "last", str(target))[0] == 0
    assert not target.exists()
    code, out, _ = here("export", "last", str(target), "--yes", "--json")
    assert code == 0
    assert sorted(os.listdir(target)) == sorted(json.loads(out)["files"])
