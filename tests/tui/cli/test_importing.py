"""`heats import`: old runs stand in the same list, and can't be taken for runs that train here."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.store.foreign.curves import Curves, ForeignRun
from engine.store.foreign.take_in import take_in
from engine.store.metrics import RunHistory
from engine.store.names import find_run
from engine.store.paths import Store
from engine.store.records import read_notes
from engine.train.tensorboard import EventWriter
from tests.tui.cli.stores import finished_run, heats
from tui.cli.root import run as heats_here


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Two folders of TensorBoard events, one below a name with a space and another alphabet."""
    folder = tmp_path / "old logs"
    for place, loss in (("base", 1.0), ("größe 論文/two", 0.5)):
        writer = EventWriter(folder / place, None)
        for step in range(1, 31):
            writer.write(step, 1.7e9 + step, {"train/loss": loss / step, "val/loss": float("nan")})
        writer.close()
    return folder


def _import(capsys: pytest.CaptureFixture[str], store: Store, *words: str, code: int = 0) -> list[dict[str, Any]]:
    assert heats_here(["--runs-dir", str(store.root), "import", "--json", *words]) == code
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_imported_runs_stand_in_the_list(store: Store, logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = finished_run(store)
    _import(capsys, store, str(logs), "--tag", "old")
    listed = {run["name"]: run for run in json.loads(heats("list", "--json", store=store).stdout)}
    assert set(listed) == {"base", "größe 論文/two", "simple-d8-l1"}
    base = listed["base"]
    assert (base["status"], base["task"], base["step"], base["tags"]) == ("finished", "imported", 30, ["old"])
    assert base["metrics"] == {"train/loss": pytest.approx(1 / 30), "val/loss": "NaN"}
    assert base["created"] == pytest.approx(1.7e9, abs=1e9)
    assert own.id in {run["id"] for run in listed.values()}
    shown = heats("show", "größe 論文/two", store=store)
    assert shown.returncode == 0
    assert "unknown task" not in shown.stdout
    history = RunHistory(find_run(store, "base"))
    history.refresh()
    assert list(history.series["train/loss"].steps) == list(range(1, 31))


def test_the_same_thing_twice_is_skipped(store: Store, logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = _import(capsys, store, str(logs))
    second = _import(capsys, store, str(logs))
    assert [item["outcome"] for item in second] == ["skipped", "skipped"]
    assert [item["run"] for item in second] == [item["run"] for item in first]
    os.rename(logs, logs.with_name("moved"))  # known by its content, wherever it lies
    assert {item["outcome"] for item in _import(capsys, store, str(logs.with_name("moved")))} == {"skipped"}
    assert len(store.run_ids()) == 2


def test_what_has_grown_since_is_told_apart(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "log.csv"
    table.write_text("step,loss\n1,2\n")
    _import(capsys, store, str(table))
    table.write_text("step,loss\n1,2\n2,1\n")
    (item,) = _import(capsys, store, str(table))
    assert (item["outcome"], "--again" in item["remarks"][0]) == ("skipped", True)
    (item,) = _import(capsys, store, str(table), "--again")
    assert (item["outcome"], item["points"]) == ("imported", 2)


def test_a_dry_run_makes_nothing(store: Store, logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _import(capsys, store, str(logs), "--dry-run")
    assert [(item["outcome"], item["points"]) for item in found] == [("would be imported", 60)] * 2
    assert store.run_ids() == []


def test_tables_in_a_folder_wait_to_be_asked_for(store: Store, logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (logs / "data.csv").write_text("step,loss\n1,2\n")
    assert len(_import(capsys, store, str(logs))) == 2
    (item,) = _import(capsys, store, str(logs), "--format", "csv")
    assert (item["name"], item["metrics"]) == ("data", ["loss"])


def test_one_bad_source_does_not_keep_the_others_out(
    store: Store, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (logs / "base" / "run-x.wandb").write_text("no such thing")
    found = _import(capsys, store, str(logs), code=1)
    assert sorted(item["outcome"] for item in found) == ["failed", "imported", "imported"]


@pytest.mark.parametrize("words", [["resume"], ["evaluate"], ["evaluate", "--checkpoint", "latest"]])
def test_an_imported_run_cannot_be_trained_or_evaluated(
    store: Store, tmp_path: Path, words: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log.csv").write_text("step,loss\n1,2\n")
    assert heats_here(["--runs-dir", str(store.root), "import", str(tmp_path / "log.csv")]) == 0
    capfd.readouterr()
    assert heats_here(["--runs-dir", str(store.root), words[0], "log", *words[1:]]) == 2
    said = capfd.readouterr().err.splitlines()[-1]
    assert "it was imported" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "there is no such file or folder"),
        (["empty"], "holds no run of TensorBoard or W&B"),
        (["thesis.tex"], "its name doesn't say what it is"),
        (["log.csv", "--task", "multiplication"], "trains here"),
        (["log.csv", "--tag", "two words"], "can't be a tag"),
        (["two", "--format", "csv", "--name", "x"], "there are 2 runs"),
        (["log.csv", "--format", "cvs"], "did you mean `csv`?"),
    ],
)
def test_mistakes(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "thesis.tex").write_text("x")
    for name in ("log.csv", "two/a.csv", "two/b.csv"):
        (tmp_path / name).write_text("step,loss\n1,2\n")
    assert heats_here(["--runs-dir", str(store.root), "import", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert store.run_ids() == []


def test_facts_of_the_other_tool_are_kept(store: Store, tmp_path: Path) -> None:
    foreign = ForeignRun("a/b", "wandb", tmp_path, "d", Curves(), {"seed": 7, "model.d": 8, "x": [1]}, ("two words",))
    foreign.curves.add("loss", 3, 1.7e9, 0.5)
    foreign.note, foreign.host, foreign.created = "why", "box", 1.7e9
    foreign.ended, foreign.reason = "failed", "imported; W&B recorded exit code 3"
    run = take_in(store, foreign)
    assert read_notes(run.notes).tags == ("two-words",)
    shown = json.loads(heats("show", run.id, "--json", store=store).stdout)
    assert (shown["status"], shown["seed"], shown["host"], shown["note"]) == ("failed", 7, "box", "why")
    assert "exit code 3" in shown["reason"]
    assert {key: option["value"] for key, option in shown["changed_options"].items()} == foreign.config
    assert list(store.root.glob(".importing-*")) == []
