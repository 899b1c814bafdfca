"""A checkpoint from elsewhere can neither run anything nor lead anywhere, whatever the tool that meets it."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import HeatsError
from engine.store.checkpoint_export import plan_export
from engine.store.checkpoint_report import inspect
from engine.store.checkpoints import FILES, MANIFEST, MODEL, OPTIMIZER, STATE, choose, folder_name, scan, verify
from engine.store.files import write_json
from engine.store.paths import RunPaths, program
from engine.store.tensors import tensor_names
from tests.engine.store.made import add_attempt, describe, safetensors, write_checkpoint


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def disguise(folder: Path, name: str, mark: Path) -> None:
    """Put a pickle in a file's place, with a manifest that fits: a forger can make sizes and hashes right."""
    (folder / name).write_bytes(pickle.dumps(Payload(mark)))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = describe(folder / name)
    write_json(folder / MANIFEST, manifest)


def refused_everywhere(run: RunPaths, tmp_path: Path) -> None:
    """Every tool that could use the run's only checkpoint refuses it, in a sentence."""
    assert choose(run).checkpoint is None
    assert all(verify(item) for item in scan(run))
    assert not inspect(run, deep=True).is_sound
    for wanted in ("10", "latest"):
        with pytest.raises(HeatsError):
            plan_export(run, tmp_path / "model", wanted)


def test_the_payload_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Payload(tmp_path / "mark")))
    assert (tmp_path / "mark").exists(), "or the tests below would prove nothing"


@pytest.mark.parametrize("name", [MODEL, OPTIMIZER, STATE])
def test_a_pickle_in_a_files_place_is_refused_and_never_run(run: RunPaths, tmp_path: Path, name: str) -> None:
    mark = tmp_path / "mark"
    disguise(write_checkpoint(run, 10, metric=0.5), name, mark)
    refused_everywhere(run, tmp_path)
    assert not mark.exists()


@pytest.mark.slow
def test_the_evaluator_and_the_trainer_refuse_a_pickle_without_running_it(run: RunPaths, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    disguise(write_checkpoint(run, 10, metric=0.5), MODEL, mark)
    words = [*program("engine.tools.evaluate"), str(run.folder), "--checkpoint", "10"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("heats: ")
    assert len(done.stderr.splitlines()) == 1
    add_attempt(run, resumed_from_step=10, resumed_from_checkpoint=folder_name(10))
    words = [*program("engine.train"), str(run.folder), "--attempt", "2"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "the checkpoint can't be used" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not mark.exists()


@pytest.mark.parametrize("name", ["model.pt", "optimizer.pkl", "pytorch_model.bin", "__init__.py", "step.ckpt"])
def test_a_stray_file_beside_the_others_is_never_opened(run: RunPaths, tmp_path: Path, name: str) -> None:
    mark = tmp_path / "mark"
    folder = write_checkpoint(run, 10, metric=0.5)
    (folder / name).write_bytes(pickle.dumps(Payload(mark)))
    assert choose(run).checkpoint is not None, "it is none of the checkpoint's files"
    plan_export(run, tmp_path / "model")
    assert not mark.exists()
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = describe(folder / name)  # unless the manifest claims it
    write_json(folder / MANIFEST, manifest)
    refused_everywhere(run, tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["../evil", "../../../evil", "/etc/hostname", "~/evil", f"{MODEL}/../../evil"])
def test_a_manifest_that_points_out_of_the_folder_is_refused(run: RunPaths, tmp_path: Path, name: str) -> None:
    folder = write_checkpoint(run, 10, metric=0.5)
    shutil.copy(folder / MODEL, run.checkpoints / "evil")
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = describe(run.checkpoints / "evil")
    write_json(folder / MANIFEST, manifest)
    refused_everywhere(run, tmp_path)


def test_a_checkpoint_folder_that_is_a_link_is_refused(run: RunPaths, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    write_checkpoint(run, 10, metric=0.5).rename(elsewhere)
    (run.checkpoints / folder_name(10)).symlink_to(elsewhere)
    refused_everywhere(run, tmp_path)
    assert scan(run)[0].problems == ("its folder is a link, which may lead out of the store",)


def test_a_link_in_place_of_all_checkpoints_is_refused(run: RunPaths, tmp_path: Path) -> None:
    write_checkpoint(run, 10, metric=0.5)
    elsewhere = tmp_path / "elsewhere"
    run.checkpoints.rename(elsewhere)
    run.checkpoints.symlink_to(elsewhere)
    refused_everywhere(run, tmp_path)


def test_a_folder_that_became_a_link_since_the_scan_is_refused(run: RunPaths, tmp_path: Path) -> None:
    folder = write_checkpoint(run, 10)
    (found,) = scan(run)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert any("link" in problem for problem in verify(found))


@pytest.mark.parametrize("name", FILES)
def test_a_link_in_place_of_a_file_is_refused(run: RunPaths, tmp_path: Path, name: str) -> None:
    folder = write_checkpoint(run, 10, metric=0.5)
    shutil.move(folder / name, tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    refused_everywhere(run, tmp_path)


# Headers


def test_a_huge_header_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / MODEL
    with path.open("wb") as file:
        file.write((2**62).to_bytes(8, "little"))
    os.truncate(path, 1 << 40)  # a sparse file: reading it would take forever
    with pytest.raises(HeatsError, match="cut off, or it never was one"):
        tensor_names(path)
    with path.open("r+b") as file:
        file.write((1 << 39).to_bytes(8, "little"))
    with pytest.raises(HeatsError, match="cut off, or it never was one"):
        tensor_names(path)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def _well_formed_or_refused(path: Path) -> None:
    try:
        found = tensor_names(path)
    except HeatsError:
        return
    for name, (kind, shape) in found.items():
        assert isinstance(name, str)
        assert isinstance(kind, str)
        assert all(type(size) is int and size >= 0 for size in shape)


@given(content=st.binary(max_size=200))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_well_formed_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MODEL).write_bytes(content)
    _well_formed_or_refused(tmp_path / MODEL)


@given(header=_JSON | st.dictionaries(st.text(max_size=8), st.fixed_dictionaries({"dtype": _JSON, "shape": _JSON})))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_header_is_well_formed_or_refused(tmp_path: Path, header: Any) -> None:
    text = json.dumps(header).encode()
    (tmp_path / MODEL).write_bytes(len(text).to_bytes(8, "little") + text)
    _well_formed_or_refused(tmp_path / MODEL)


@given(position=st.integers(0, 400), value=st.integers(0, 255), cut=st.booleans())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_well_formed_or_refused(tmp_path: Path, position: int, value: int, cut: bool) -> None:
    content = bytearray(safetensors({"weight": ((2, 2), b"\1" * 16), "bias": ((1,), b"\2" * 4)}))
    content[position % len(content)] = value
    (tmp_path / MODEL).write_bytes(bytes(content[: position % len(content)] if cut else content))
    _well_formed_or_refused(tmp_path / MODEL)
