"""TensorBoard's files, written by TensorBoard's own writers and read without them."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.store.foreign.curves import ForeignRun
from engine.store.foreign.event_files import is_event_file, read_folder
from engine.train.tensorboard import EventWriter


def _read(folder: Path) -> ForeignRun:
    run = ForeignRun("x", "tensorboard", folder, "")
    read_folder(run, sorted(path for path in folder.iterdir() if is_event_file(path.name)))
    return run


def _points(run: ForeignRun, name: str) -> list[tuple[int, float]]:
    series = run.curves.series[name]
    return list(zip(series.steps, series.values, strict=True))


def _single(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def _write(folder: Path, steps: range, more: dict[str, float] | None = None, purge: int | None = None) -> Path:
    before = set(folder.iterdir()) if folder.is_dir() else set()
    writer = EventWriter(folder, purge)
    for step in steps:
        writer.write(step, 1.7e9 + step, {"train/loss": 1 / step, **(more or {})})
    writer.close()
    (made,) = set(folder.iterdir()) - before
    return made


def test_what_our_own_writer_wrote_comes_back(tmp_path: Path) -> None:
    _write(tmp_path, range(1, 400), {"größe/1": math.nan, "val/acc": math.inf})
    run = _read(tmp_path)
    assert _points(run, "train/loss") == [(step, _single(1 / step)) for step in range(1, 400)]
    assert all(math.isnan(value) for value in run.curves.series["größe/1"].values)
    assert set(run.curves.series["val/acc"].values) == {math.inf}
    assert list(run.curves.series["val/acc"].times[:2]) == [1.7e9 + 1, 1.7e9 + 2]
    assert run.remarks == []


def test_torch_s_summary_writer_with_options_and_other_kinds_of_values(tmp_path: Path) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    import numpy as np

    writer = tensorboard.SummaryWriter(tmp_path)
    for step in range(300):
        writer.add_scalar("loss/train", step * 0.1, step, walltime=1.6e9 + step)
        writer.add_scalar("new style", step * 0.1, step, new_style=True)
        writer.add_scalar("double", step * 0.1, step, double_precision=True)
    writer.add_histogram("weights", np.arange(100.0), 5)
    writer.add_text("notes", "some text", 5)
    writer.add_hparams({"lr": 0.1, "layers": 4, "kind": "latent", "deep": True}, {"best": 0.5}, run_name=".")
    writer.close()
    run = _read(tmp_path)
    assert _points(run, "loss/train") == [(step, _single(step * 0.1)) for step in range(300)]
    assert _points(run, "new style") == _points(run, "loss/train")
    assert len(_points(run, "double")) == 300
    assert run.config == {"lr": 0.1, "layers": 4, "kind": "latent", "deep": True}
    assert _points(run, "best")[0][1] == 0.5
    assert run.created is not None
    assert abs(run.created - time.time()) < 600
    assert any("no scalars" in remark for remark in run.remarks)


@pytest.mark.parametrize(
    ("field", "kind", "value"),
    [
        ("float_val", 1, 0.5),
        ("double_val", 2, 0.1),
        ("int_val", 3, -7),
        ("int64_val", 9, 2**40),
        ("bool_val", 10, True),
    ],
)
def test_scalars_kept_as_tensors(tmp_path: Path, field: str, kind: int, value: Any) -> None:
    def fill(tensor: Any) -> None:
        tensor.dtype = kind
        getattr(tensor, field).append(value)

    _write_tensor(tmp_path, fill)
    assert _points(_read(tmp_path), "t") == [(3, float(value))]


def test_packed_tensors_of_one_element_are_scalars_and_others_are_not(tmp_path: Path) -> None:
    def one(tensor: Any) -> None:
        tensor.dtype, tensor.tensor_content = 2, struct.pack("<d", 0.1)

    def many(tensor: Any) -> None:
        tensor.dtype, tensor.tensor_content = 1, struct.pack("<2f", 1, 2)
        tensor.tensor_shape.dim.add().size = 2

    _write_tensor(tmp_path / "one", one)
    _write_tensor(tmp_path / "many", many)
    assert _points(_read(tmp_path / "one"), "t") == [(3, 0.1)]
    assert _read(tmp_path / "many").curves.points == 0


def _write_tensor(folder: Path, fill: Callable[[Any], None]) -> None:
    from tensorboard.compat.proto import event_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder.mkdir(exist_ok=True)
    event = event_pb2.Event(wall_time=1.7e9, step=3)
    value = event.summary.value.add()
    value.tag = "t"
    value.metadata.plugin_data.plugin_name = "scalars"
    fill(value.tensor)
    with (folder / "events.out.tfevents.1.x").open("wb") as file:
        RecordWriter(file).write(event.SerializeToString())


def test_a_resumed_run_s_second_file_purges_the_first_one_s_end(tmp_path: Path) -> None:
    first = _write(tmp_path, range(1, 21))
    first.rename(tmp_path / "events.out.tfevents.1")
    _write(tmp_path, range(11, 13), purge=11).rename(tmp_path / "events.out.tfevents.2")
    run = _read(tmp_path)
    assert [step for step, _ in _points(run, "train/loss")] == list(range(1, 13))
    assert run.remarks == []
    assert run.curves.superseded == 10


def test_a_file_cut_off_anywhere_gives_what_is_whole(tmp_path: Path) -> None:
    path = _write(tmp_path, range(1, 6))
    content = path.read_bytes()
    whole = 0
    for size in range(len(content)):
        path.write_bytes(content[:size])
        run = _read(tmp_path)
        assert run.curves.points >= whole
        whole = run.curves.points
    assert whole == 4


def test_damage_is_said_and_what_came_before_it_kept(tmp_path: Path) -> None:
    path = _write(tmp_path, range(1, 101))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    run = _read(tmp_path)
    assert 45 <= run.curves.points <= 100


@given(some.binary(max_size=200), some.integers(0, 10_000), some.integers(0, 255))
def test_no_damage_raises(tmp_path_factory: pytest.TempPathFactory, junk: bytes, place: int, byte: int) -> None:
    folder = tmp_path_factory.mktemp("tb")
    path = _write(folder, range(1, 20))
    content = bytearray(path.read_bytes())
    content[place % len(content)] = byte
    path.write_bytes(bytes(content) + junk)
    assert _read(folder).curves.points <= 19, "damage takes away, and never adds"
