"""Which checkpoints can be trusted."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import HeatsError
from engine.store.checkpoints import (
    FILES,
    MANIFEST,
    MODEL,
    STATE,
    Checkpoint,
    choose,
    folder_name,
    scan,
    tensor_names,
    verify,
)
from engine.store.files import write_json
from engine.store.paths import RunPaths
from tests.engine.store.made import describe, flip_bit, write_checkpoint


def only(run: RunPaths) -> Checkpoint:
    found = scan(run)
    assert len(found) == 1
    return found[0]


def edit_manifest(folder: Path, **changes: Any) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    write_json(folder / MANIFEST, manifest | changes)


# Scanning and verifying


def test_a_whole_checkpoint_is_valid_and_says_what_it_is(run: RunPaths) -> None:
    folder = write_checkpoint(run, 120, metric=0.5)
    found = only(run)
    assert (found.step, found.attempt, found.reason, found.metric) == (120, 1, "scheduled", 0.5)
    assert found.bytes == sum((folder / name).stat().st_size for name in FILES)
    assert found.created == 1.7e9 + 120
    assert found.valid
    assert found.usable
    assert verify(found) == ()
    assert choose(run).checkpoint == found


def test_checkpoints_come_by_step_and_not_by_name(run: RunPaths) -> None:
    for step in (200, 9, 100_000_000, 10):
        write_checkpoint(run, step)
    assert [item.step for item in scan(run)] == [9, 10, 200, 100_000_000]


def test_names_sort_as_steps_do_up_to_eight_digits() -> None:
    assert folder_name(12_000) == "step-00012000"
    assert folder_name(5, emergency=True) == "emergency-00000005"


def test_other_names_are_no_checkpoints(run: RunPaths) -> None:
    write_checkpoint(run, 5)
    for name in (".step-00000006.host.1", "step-", "step-x", "step-²", "step--1", "tmp", "step-00000007.old"):
        (run.checkpoints / name).mkdir()
    (run.checkpoints / "step-00000008").write_text("a file")
    found = scan(run)
    assert [item.step for item in found if item.usable] == [5]
    assert {item.step for item in found} <= {5, 8}


def test_a_run_without_a_checkpoint_folder_has_none(run: RunPaths) -> None:
    run.checkpoints.rmdir()
    assert scan(run) == []
    assert choose(run).checkpoint is None


def test_a_checkpoint_without_manifest_is_incomplete(run: RunPaths) -> None:
    folder = write_checkpoint(run, 5)
    (folder / MANIFEST).unlink()
    assert only(run).problems == ("it has no manifest (incomplete)",)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_damaged_manifest_is_named(run: RunPaths, content: bytes) -> None:
    folder = write_checkpoint(run, 5)
    (folder / MANIFEST).write_bytes(content)
    assert only(run).problems == ("its manifest is damaged",)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_found_by_its_size_alone(run: RunPaths, name: str) -> None:
    path = write_checkpoint(run, 5) / name
    size = path.stat().st_size
    os.truncate(path, size - 1)
    assert only(run).problems == (f"{name} has {size - 1} bytes where {size} were written",)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(run: RunPaths, name: str) -> None:
    (write_checkpoint(run, 5) / name).unlink()
    assert f"{name} is missing" in only(run).problems


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_in_any_file_is_found_by_its_hash(run: RunPaths, name: str) -> None:
    folder = write_checkpoint(run, 5)
    for position in (0, 7, 50, -1):
        flip_bit(folder / name, position)
        found = only(run)
        assert found.valid, "sizes alone can't tell"
        assert verify(found) == (f"{name} was changed after it was written (its hash differs)",)
        assert choose(run).checkpoint is None
        flip_bit(folder / name, position)
    assert verify(only(run)) == ()


def test_a_folder_renamed_to_another_step_is_not_trusted(run: RunPaths) -> None:
    write_checkpoint(run, 5).rename(run.checkpoints / folder_name(900))
    found = only(run)
    assert found.problems == ("its name says step 900 but its manifest 5",)
    assert choose(run).checkpoint is None


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", "a/../../evil", "MANIFEST.json", "", "model.safetensors/.."]
)
def test_a_manifest_that_names_a_file_elsewhere_is_refused_and_nothing_is_opened(run: RunPaths, name: str) -> None:
    folder = write_checkpoint(run, 5)
    (run.checkpoints / "evil").write_text("secret")
    files = json.loads((folder / MANIFEST).read_text())["files"]
    edit_manifest(folder, files=files | {name: describe(run.checkpoints / "evil")})
    found = only(run)
    assert not found.usable
    assert name not in found.files
    assert any("names a file that no checkpoint has" in problem for problem in found.problems)
    assert choose(run).checkpoint is None


@pytest.mark.parametrize("name", FILES)
def test_a_link_in_place_of_a_file_is_refused_even_if_its_target_fits(run: RunPaths, tmp_path: Path, name: str) -> None:
    folder = write_checkpoint(run, 5)
    target = tmp_path / "elsewhere"
    shutil.move(folder / name, target)
    (folder / name).symlink_to(target)
    # The manifest's size may even be that of the link itself.
    for size in (target.stat().st_size, len(str(target))):
        files = json.loads((folder / MANIFEST).read_text())["files"]
        edit_manifest(folder, files=files | {name: describe(target) | {"bytes": size}})
        assert not only(run).usable
        assert any("no plain file" in problem or "link" in problem for problem in verify(only(run)))
        assert choose(run).checkpoint is None


@pytest.mark.timeout(60)
def test_a_pipe_or_folder_in_place_of_a_file_is_refused_without_waiting(run: RunPaths) -> None:
    folder = write_checkpoint(run, 5)
    (folder / STATE).unlink()
    os.mkfifo(folder / STATE)
    (folder / MODEL).unlink()
    (folder / MODEL).mkdir()
    files = json.loads((folder / MANIFEST).read_text())["files"]
    edit_manifest(folder, files=files | {STATE: files[STATE] | {"bytes": 0}})
    assert choose(run).checkpoint is None
    assert len(verify(only(run))) >= 2


@pytest.mark.parametrize(
    "changes",
    [
        {"files": None},
        {"files": {}},
        {"files": []},
        {"files": dict.fromkeys(FILES)},
        {"files": {name: {"bytes": "7", "sha256": "x"} for name in FILES}},
        {"step": "5"},
        {"step": None},
    ],
)
def test_a_manifest_that_says_nothing_usable_is_not_trusted(run: RunPaths, changes: dict[str, Any]) -> None:
    edit_manifest(write_checkpoint(run, 5), **changes)
    assert not only(run).valid
    assert choose(run).checkpoint is None


@pytest.mark.parametrize(
    "changes",
    [
        {"metric": "x"}, {"created": None}, {"created": 10**400}, {"attempt": "1"}, {"attempt": None},
        {"settings": 3}, {"digests": []}, {"reason": None}, {"metric": "NaN"},
    ],
)  # fmt: skip
def test_odd_side_facts_in_a_manifest_never_raise(run: RunPaths, changes: dict[str, Any]) -> None:
    edit_manifest(write_checkpoint(run, 5), **changes)
    assert only(run).valid
    assert choose(run).checkpoint is not None


@given(
    name=st.sampled_from([MANIFEST, *FILES]), position=st.integers(0, 5000), bit=st.integers(0, 7), cut=st.booleans()
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_damage_raises_and_none_to_the_contents_is_trusted(
    run: RunPaths, name: str, position: int, bit: int, cut: bool
) -> None:
    shutil.rmtree(run.checkpoints)
    run.checkpoints.mkdir()
    folder = write_checkpoint(run, 5)
    path = folder / name
    content = path.read_bytes()
    if cut:
        os.truncate(path, position % len(content))
    else:
        flip_bit(path, position, bit)
    chosen = choose(run).checkpoint
    if name != MANIFEST:
        assert chosen is None
    elif chosen is not None:  # damage to a side fact, such as the reason
        assert verify(chosen) == ()


# Headers


def test_tensors_are_named_from_the_header_alone(run: RunPaths) -> None:
    folder = write_checkpoint(run, 5)
    assert tensor_names(folder / MODEL) == {"weight": ("F32", (2, 2)), "bias": ("F32", (1,))}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"123", b"\xff" * 8, b"\x05" + b"\0" * 7 + b"[1,2]", b"\x02" + b"\0" * 7 + b"[]",
        b"\x03" + b"\0" * 7 + b'"a"',
        b'\x09\0\0\0\0\0\0\0{"a": 1} ', b"\xff" * 7 + b"\x7f{}", b"\xa0\x86\x01\0\0\0\0\0" + b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_file_that_is_no_safetensors_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(HeatsError, match=r"model\.safetensors: is no readable safetensors file"):
        tensor_names(path)
    with pytest.raises(HeatsError, match="is no readable safetensors file"):
        tensor_names(tmp_path / "none")
