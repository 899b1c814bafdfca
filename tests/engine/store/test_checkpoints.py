"""Which checkpoints can be trusted, which one to resume from, and which may go."""

from __future__ import annotations

import json
import math
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
    OPTIMIZER,
    STATE,
    Checkpoint,
    best,
    choose,
    folder_name,
    scan,
    tensor_names,
    verify,
)
from engine.store.files import write_json
from engine.store.paths import RunPaths
from engine.store.retention import plan_retention
from tests.engine.store.made import add_attempt, describe, flip_bit, make_run, make_store, write_checkpoint


@pytest.fixture
def run(store_root: Path) -> RunPaths:
    run = make_run(make_store(store_root))
    add_attempt(run)
    return run


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


# Choosing


def test_latest_is_the_newest(run: RunPaths) -> None:
    for step in (10, 20, 30):
        write_checkpoint(run, step)
    choice = choose(run)
    assert choice.checkpoint is not None
    assert choice.checkpoint.step == 30
    assert choice.passed_over == ()


def test_latest_passes_over_damaged_ones_and_says_why(run: RunPaths) -> None:
    folders = {step: write_checkpoint(run, step) for step in (10, 20, 30, 40)}
    (folders[40] / MANIFEST).unlink()
    os.truncate(folders[30] / MODEL, 3)
    flip_bit(folders[20] / OPTIMIZER, 40)
    choice = choose(run)
    assert choice.checkpoint is not None
    assert choice.checkpoint.step == 10
    assert [line.partition(":")[0] for line in choice.passed_over] == ["step 40", "step 30", "step 20"]
    assert "no manifest" in choice.passed_over[0]
    assert "bytes" in choice.passed_over[1]
    assert "hash differs" in choice.passed_over[2]


def test_a_run_with_only_damaged_checkpoints_starts_anew_and_says_why(run: RunPaths) -> None:
    (write_checkpoint(run, 10) / MANIFEST).unlink()
    choice = choose(run)
    assert choice.checkpoint is None
    assert len(choice.passed_over) == 1


def test_emergency_checkpoints_are_never_chosen(run: RunPaths) -> None:
    write_checkpoint(run, 10, metric=0.9)
    write_checkpoint(run, 20, metric=0.1, emergency=True)
    for wanted in ("latest", "best"):
        choice = choose(run, wanted)
        assert choice.checkpoint is not None
        assert choice.checkpoint.step == 10
    with pytest.raises(HeatsError, match="no checkpoint of step 20 is there; there are steps 10"):
        choose(run, "20")


def test_checkpoints_of_an_abandoned_stretch_are_never_chosen(run: RunPaths) -> None:
    write_checkpoint(run, 10, metric=0.5)
    write_checkpoint(run, 20, metric=0.1)
    add_attempt(run, resumed_from_step=10)
    write_checkpoint(run, 15, attempt=2, metric=0.4)
    found = {item.step: item for item in scan(run)}
    assert (found[10].shadowed, found[20].shadowed, found[15].shadowed) == (False, True, False)
    for wanted in ("latest", "best"):
        choice = choose(run, wanted)
        assert choice.checkpoint is not None
        assert choice.checkpoint.step == 15


def test_a_later_resume_does_not_shadow_what_it_resumed_from(run: RunPaths) -> None:
    write_checkpoint(run, 10)
    add_attempt(run, resumed_from_step=10)
    assert only(run).usable


def test_a_resume_point_set_back_hides_what_lies_past_it(run: RunPaths) -> None:
    for step in (10, 20, 30):
        write_checkpoint(run, step)
    write_json(run.resume, {"schema": 1, "resume_from": 20})
    choice = choose(run)
    assert choice.checkpoint is not None
    assert choice.checkpoint.step == 20
    for damage in ("{", "[]", '{"resume_from": "x"}'):
        run.resume.write_text(damage)
        choice = choose(run)
        assert choice.checkpoint is not None
        assert choice.checkpoint.step == 30, "the pointers are only hints"


def test_a_step_is_chosen_exactly_and_refused_if_damaged(run: RunPaths) -> None:
    for step in (10, 20):
        write_checkpoint(run, step)
    choice = choose(run, "10")
    assert choice.checkpoint is not None
    assert choice.checkpoint.step == 10
    flip_bit(run.checkpoints / folder_name(10) / STATE, 3)
    with pytest.raises(HeatsError, match="the checkpoint of step 10 can't be used"):
        choose(run, "10")


@pytest.mark.parametrize("wanted", ["newest", "", "-1", "1.5", "²"])
def test_a_word_that_is_no_checkpoint_says_what_to_give(run: RunPaths, wanted: str) -> None:
    write_checkpoint(run, 10)
    with pytest.raises(HeatsError, match="give latest, best or a step"):
        choose(run, wanted)


def test_a_step_that_is_not_there_lists_those_that_are(run: RunPaths) -> None:
    with pytest.raises(HeatsError, match="there are no checkpoints"):
        choose(run, "5")
    write_checkpoint(run, 10)
    with pytest.raises(HeatsError, match="there are steps 10"):
        choose(run, "5")


def _measured(run: RunPaths, metrics: dict[int, float | None]) -> None:
    for step, metric in metrics.items():
        write_checkpoint(run, step, metric=metric)


@pytest.mark.parametrize(("mode", "step"), [("min", 30), ("max", 20)])
def test_best_is_by_the_metric_in_the_wanted_direction(run: RunPaths, mode: str, step: int) -> None:
    _measured(run, {10: 0.5, 20: 0.9, 30: 0.1, 40: None, 50: math.nan})
    chosen = best(scan(run), mode)
    assert chosen is not None
    assert chosen.step == step
    picked = choose(run, "best", mode).checkpoint
    assert picked == chosen


@pytest.mark.parametrize("mode", ["min", "max"])
def test_of_equally_good_ones_the_earliest_is_best(run: RunPaths, mode: str) -> None:
    _measured(run, {10: 0.5, 20: 0.5})
    chosen = best(scan(run), mode)
    assert chosen is not None
    assert chosen.step == 10


def test_without_an_evaluation_there_is_no_best(run: RunPaths) -> None:
    _measured(run, {10: None, 20: math.nan})
    assert best(scan(run), "min") is None
    with pytest.raises(HeatsError, match="no evaluated checkpoint is there; choose latest or a step"):
        choose(run, "best")


# Retention


def leaving(run: RunPaths, **options: Any) -> list[int]:
    given: dict[str, Any] = {"keep_last": 1, "keep_best": 0, "keep_every": 0, "best_mode": "min"} | options
    return [item.step for item in plan_retention(scan(run), **given)]


def test_the_newest_the_best_and_every_nth_stay(run: RunPaths) -> None:
    _measured(run, {10: 0.1, 20: 0.5, 30: 0.2, 40: 0.9, 50: math.nan, 60: None, 70: 0.8})
    assert leaving(run) == [10, 20, 30, 40, 50, 60]
    assert leaving(run, keep_last=3) == [10, 20, 30, 40]
    assert leaving(run, keep_best=2) == [20, 40, 50, 60]
    assert leaving(run, keep_best=2, best_mode="max") == [10, 20, 30, 50, 60]
    assert leaving(run, keep_every=20) == [10, 30, 50]
    assert leaving(run, keep_last=2, keep_best=1, keep_every=40) == [20, 30, 50]
    assert leaving(run, keep_last=100) == []


def test_what_a_run_resumed_from_stays(run: RunPaths) -> None:
    _measured(run, {10: None, 20: None, 30: None})
    assert leaving(run, protected_steps=frozenset({10})) == [20]


def test_a_damaged_newest_does_not_push_out_the_newest_valid_one(run: RunPaths) -> None:
    _measured(run, {10: None, 20: None, 30: None})
    (run.checkpoints / folder_name(30) / MANIFEST).unlink()
    assert leaving(run) == [10]


def test_emergency_and_abandoned_ones_are_not_retentions_business(run: RunPaths) -> None:
    _measured(run, {10: None, 20: None})
    write_checkpoint(run, 5, emergency=True)
    write_checkpoint(run, 30)
    add_attempt(run, resumed_from_step=20)
    write_checkpoint(run, 25, attempt=2)
    assert leaving(run) == [10, 20]


@given(
    metrics=st.lists(st.none() | st.floats(), max_size=8),
    options=st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(0, 4), st.sampled_from(["min", "max"])),
)
@settings(max_examples=100)
def test_whatever_the_options_the_newest_and_the_best_kept_stay(
    metrics: list[float | None], options: tuple[int, int, int, str]
) -> None:
    found = [Checkpoint(Path(f"step-{step}"), step, metric=metric) for step, metric in enumerate(metrics, start=1)]
    keep_last, keep_best, keep_every, mode = options
    gone = plan_retention(found, keep_last=keep_last, keep_best=keep_best, keep_every=keep_every, best_mode=mode)
    assert not {item.step for item in gone} & {item.step for item in found[-keep_last:]}
    chosen = best(found, mode)
    if keep_best and chosen is not None:
        assert chosen not in gone


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
