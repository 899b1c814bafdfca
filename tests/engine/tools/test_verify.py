"""A real run, trained again: identical when nothing changed, and the first difference named when anything did."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.config.resolve import resolve
from engine.config.tasks import training_class
from engine.store.checkpoints import MANIFEST, MODEL, folder_name
from engine.store.files import read_json, write_json
from engine.store.paths import RunPaths, program
from engine.store.stretch import plan_stretch
from engine.tools.selftest import make_run
from engine.tools.verify import compare_stretch
from tests.forks import Forks
from tests.support import TINY
from tests.tui.cli.stores import command_line, process_environment

SMALL = TINY | {"train.max_steps": 12, "train.save_every": 4, "evaluation.every": 4, "checkpoint.keep_last": 10}


def heats(*words: str, store: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, for as long as it takes."""
    line = command_line(*words, store=store)
    return subprocess.run(line, capture_output=True, text=True, check=False, env=process_environment(environment))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, trainer: Forks) -> RunPaths:
    """12 steps, stopped and resumed at step 6."""
    folder = tmp_path_factory.mktemp("store") / "runs"
    run = make_run(folder, resolve(training_class("multiplication"), SMALL), "one")
    trainer.run(run.folder, "--stop-at", 6)
    trainer.run(run.folder)
    return run


@pytest.fixture(scope="module")
def retrained(original: RunPaths, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], RunPaths]:
    """What verifying the whole run says, and the scratch run, which was kept."""
    folder = tmp_path_factory.mktemp("kept") / "runs"
    words = [*program("engine.tools.verify"), str(original.folder), "--from", "0", "--keep", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0] == {"step": 0, "from": 0, "to": 12}
    return lines[-1]["result"], RunPaths(next(folder.glob("*_multiplication-verify_*")))


@pytest.fixture
def copied(original: RunPaths, tmp_path: Path) -> RunPaths:
    """The run, to be tampered with."""
    shutil.copytree(original.folder.parent, tmp_path / "runs")
    return RunPaths(tmp_path / "runs" / original.id)


def flip_weight(run: RunPaths, step: int) -> str:
    """Change the last weight of a checkpoint, and make all hashes fit again."""
    folder = run.checkpoints / folder_name(step)
    content = bytearray((folder / MODEL).read_bytes())
    content[-3] ^= 1
    (folder / MODEL).write_bytes(content)
    manifest = read_json(folder / MANIFEST)
    assert manifest is not None
    digest = hashlib.sha256(content).hexdigest()
    manifest["files"][MODEL]["sha256"] = manifest["digests"]["model"] = digest
    write_json(folder / MANIFEST, manifest)
    header: dict[str, Any] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    ends = {name: entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"}
    return max(ends, key=lambda name: int(ends[name]))


@pytest.mark.slow
def test_the_whole_run_over_a_resume_is_identical(retrained: tuple[dict[str, Any], RunPaths]) -> None:
    result, scratch = retrained
    assert (result["identical"], result["from"], result["to"]) == (True, 0, 12)
    assert (result["tensors"], result["parted"], result["missing_points"]) == ([], None, {})
    assert result["points"] > result["metrics"] > 10
    assert result["kept"] == str(scratch.folder.parent)


@pytest.mark.slow
def test_the_command_verifies_the_last_stretch_and_touches_nothing(original: RunPaths, tmp_path: Path) -> None:
    def contents() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in original.folder.rglob("*") if path.is_file()}

    before = contents()
    (tmp_path / "tmp").mkdir()
    done = heats("verify", "last", store=original.folder.parent, TMPDIR=str(tmp_path / "tmp"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("identical: steps 8 to 12, every weight, moment and random state, and ")
    assert contents() == before
    assert list((tmp_path / "tmp").glob("heats*")) == []


@pytest.mark.slow
def test_another_seed_parts_at_the_first_step_and_exits_1(copied: RunPaths) -> None:
    copied.config.write_text(copied.config.read_text().replace("seed: 0", "seed: 1"))
    done = heats("verify", "last", "--from", "0", "--to", "4", store=copied.folder.parent)
    assert done.returncode == 1, done.stderr
    first, second = done.stdout.splitlines()[:2]
    assert first.startswith("NOT identical: train/loss at step 1 was ")
    assert second.startswith("  first difference in the checkpoint of step 4: model.safetensors: ")


@pytest.mark.slow
def test_a_changed_weight_is_found_though_its_hashes_fit(
    copied: RunPaths, retrained: tuple[dict[str, Any], RunPaths]
) -> None:
    name = flip_weight(copied, 12)
    result = compare_stretch(plan_stretch(copied, 0), retrained[1])
    assert not result["identical"]
    assert result["parted"] is None, "what was logged is as before"
    assert result["tensors"] == [f"{MODEL}: {name}"]


@pytest.mark.slow
def test_what_changed_around_the_run_is_named_and_no_obstacle(
    copied: RunPaths, retrained: tuple[dict[str, Any], RunPaths]
) -> None:
    for path in copied.checkpoints.glob(f"*/{MANIFEST}"):
        manifest = json.loads(path.read_text())
        manifest["settings"] |= {"torch": "1.0.0", "threads": 7}
        write_json(path, manifest)
    environment = read_json(copied.environment)
    assert environment is not None
    environment["python"] = "3.0.0"
    environment["packages"]["numpy"] = "0.1"
    write_json(copied.environment, environment)
    result = compare_stretch(plan_stretch(copied, 0), retrained[1])
    assert result["identical"], "the bits are what counts"
    changes = {change["key"]: change["first"] for change in result["changes"]}
    expected = {"setting torch": "1.0.0", "setting threads": 7, "python": "3.0.0", "package numpy": "0.1"}
    assert expected.items() <= changes.items()


@pytest.mark.slow
def test_lost_points_are_named_but_an_altered_one_is_a_difference(
    copied: RunPaths, retrained: tuple[dict[str, Any], RunPaths]
) -> None:
    log = copied.attempt(2).metrics
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    kept = [row for row in rows if row["step"] != 10]
    log.write_text("".join(f"{json.dumps(row)}\n" for row in kept))
    result = compare_stretch(plan_stretch(copied, 0), retrained[1])
    assert result["identical"]
    assert result["missing_points"]["train/loss"] == 1
    next(row for row in kept if row["step"] == 11)["train/lr"] *= 1 + 1e-15
    log.write_text("".join(f"{json.dumps(row)}\n" for row in kept))
    parted = compare_stretch(plan_stretch(copied, 0), retrained[1])["parted"]
    assert (parted["name"], parted["first_step"]) == ("train/lr", 11)


@pytest.mark.slow
def test_mistakes_are_one_sentence(original: RunPaths, tmp_path: Path) -> None:
    done = heats("verify", "last", "--from", "5", store=original.folder.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "there: 4, 6, 8, 12" in done.stderr
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    done = heats("verify", "last", "--keep", str(tmp_path / "full"), store=original.folder.parent)
    assert done.returncode == 2
    assert "is no store of runs" in done.stderr
