"""Tensors in parts: put together where their headers say, and refused where these say nonsense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import HeatsError
from engine.store.shards import is_shard, missing_shards, shard_name, spread_tensors, tensor_files, whole_header

WHOLE = np.arange(12, dtype=np.float32).reshape(3, 4)


def write_part(path: Path, tensors: dict[str, tuple[NDArray[Any], list[int]]]) -> None:
    """A safetensors file as torch.distributed.checkpoint writes it."""
    places = {name: {"saved_offsets": offsets} for name, (_, offsets) in tensors.items()}
    header: dict[str, Any] = {"__metadata__": {"DCP_SHARDING_INFO": json.dumps(places)}}
    body = b""
    for name, (array, _) in tensors.items():
        content = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": "F32", "shape": list(array.shape), "data_offsets": [len(body), len(body) + len(content)],
        }  # fmt: skip
        body += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files; one tensor is cut by rows, one by columns, one is in the first only."""
    one, two = (tmp_path / shard_name("model.safetensors", number, 2) for number in (1, 2))
    single = np.array(7.0, np.float32)
    write_part(one, {"rows": (WHOLE[:2], [0, 0]), "columns": (WHOLE[:, :1], [0, 0]), "step": (single, [])})
    write_part(two, {"rows": (WHOLE[2:], [2, 0]), "columns": (WHOLE[:, 1:], [0, 1])})
    return tmp_path


def test_parts_make_the_whole_however_they_were_cut(folder: Path) -> None:
    files = tensor_files(folder, "model.safetensors")
    assert [path.name for path in files] == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    found = spread_tensors(files)
    assert {name: tensor.shape for name, tensor in found.items()} == {"rows": (3, 4), "columns": (3, 4), "step": ()}
    assert found["rows"].read() == found["columns"].read() == WHOLE.tobytes()
    assert found["step"].read() == np.float32(7.0).tobytes()


def test_they_are_written_as_one_file_that_reads_the_same(folder: Path, tmp_path: Path) -> None:
    found = spread_tensors(tensor_files(folder, "model.safetensors"))
    header, order = whole_header(found, {"aliases": "{}"})
    joined = tmp_path / "model.safetensors"
    joined.write_bytes(header + b"".join(found[name].read() for name in order))
    again = spread_tensors([joined])
    assert {name: tensor.read() for name, tensor in again.items()} == {
        name: tensor.read() for name, tensor in found.items()
    }
    assert tensor_files(tmp_path, "model.safetensors") == [joined]


def test_a_part_that_is_missing_is_named_and_makes_no_whole(folder: Path) -> None:
    files = tensor_files(folder, "model.safetensors")
    assert missing_shards([files[1].name]) == [files[0].name]
    assert missing_shards([path.name for path in files]) == []
    with pytest.raises(HeatsError, match="don't make whole tensors"):
        spread_tensors(files[1:])["rows"].read()


@pytest.mark.parametrize("offsets", [[0], [-1, 0], ["x", 0], None])
def test_a_header_that_says_nonsense_is_refused(tmp_path: Path, offsets: Any) -> None:
    path = tmp_path / "model-00001-of-00001.safetensors"
    write_part(path, {"rows": (WHOLE, offsets)})
    with pytest.raises(HeatsError, match="its header is damaged"):
        spread_tensors([path])


def test_only_our_own_names_are_parts() -> None:
    assert is_shard("optimizer-00001-of-00009.safetensors")
    for name in ("../model-00001-of-00002.safetensors", "model-1-of-2.safetensors", "model.safetensors", "x.pickle"):
        assert not is_shard(name)
