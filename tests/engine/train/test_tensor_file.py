"""Our tensor files are the bytes that safetensors itself would write, and their hash is theirs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.train import tensor_file
from engine.train.staging import BufferSet, free_memory
from engine.train.tensor_file import Layout, digest, lay_out, pieces_in_place, write_synced


def _every_kind() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    raw = torch.randint(0, 2, (48,), dtype=torch.uint8, generator=generator)
    tensors = {f"layer.{str(dtype)[6:]}": raw.view(dtype).reshape(2, -1).clone() for dtype in tensor_file._WORDS}
    tensors['ß "quoted" \\ \n name'] = torch.randn(3, 5, generator=generator)
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(0, 4)
    tensors["image"] = torch.randn(2, 3, 4, 5, generator=generator).to(memory_format=torch.channels_last)
    tensors["transposed"] = torch.randn(4, 6, generator=generator).T
    tensors["half of another"] = tensors["scalar"].new_tensor([1.0, 2.0, 3.0])[1:]
    return tensors


def _write(path: Path, pieces: list[memoryview]) -> int:
    return write_synced(path, pieces, lambda: False)


@pytest.mark.parametrize("metadata", [None, {"aliases": '{"head": "ß"}'}])
@pytest.mark.parametrize("tensors", [_every_kind(), {}, {"step": torch.tensor(3.0)}], ids=["all", "none", "one"])
def test_the_bytes_are_those_of_safetensors(
    tmp_path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None
) -> None:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "theirs", metadata)
    layout = lay_out(tensors, metadata)
    in_place = pieces_in_place(layout, tensors)
    size = _write(tmp_path / "ours", in_place)
    (copied,) = BufferSet([layout.size], pinned=False).take([(layout, tensors)])
    _write(tmp_path / "copied", copied)
    expected = (tmp_path / "theirs").read_bytes()
    assert (tmp_path / "ours").read_bytes() == expected
    assert (tmp_path / "copied").read_bytes() == expected
    assert size == len(expected)
    assert digest(in_place, lambda: False) == digest(copied, lambda: False) == hashlib.sha256(expected).hexdigest()


def test_values_come_back_with_all_kinds_of_strides(tmp_path: Path) -> None:
    tensors = _every_kind()
    layout = lay_out(tensors)
    _write(tmp_path / "ours", pieces_in_place(layout, tensors))
    loaded = load_file(tmp_path / "ours")
    for name in ("image", "transposed", "half of another", "scalar", "layer.bfloat16"):
        assert torch.equal(loaded[name], tensors[name]), name


def test_a_type_that_safetensors_has_no_word_for_is_refused() -> None:
    with pytest.raises(TypeError, match=r"weight, which is torch\.complex128"):
        lay_out({"weight": torch.zeros(2, dtype=torch.complex128)})


def test_a_copy_is_deep_and_its_memory_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.train.staging._WORTH_THREADS", 0)  # several threads, as for large states
    tensors = {f"{number}": torch.full((7, number), float(number)) for number in range(1, 40)}
    files: list[tuple[Layout, dict[str, torch.Tensor]]] = [(lay_out(tensors), tensors)]
    buffers = BufferSet([files[0][0].size], pinned=False)
    address = buffers.bodies[0].data_ptr()
    before = digest(buffers.take(files)[0], lambda: False)
    pieces = buffers.take(files)[0]
    for tensor in tensors.values():
        tensor.add_(1)
    assert digest(pieces, lambda: False) == before
    assert digest(buffers.take(files)[0], lambda: False) != before
    assert buffers.bodies[0].data_ptr() == address


MEMORY = {
    "/proc/meminfo": "MemTotal: 16000 kB\nMemAvailable: 8000 kB\n",
    "/proc/self/cgroup": "0::/job/one\n",
    "/sys/fs/cgroup/job/one/memory.max": "5000000\n",
    "/sys/fs/cgroup/job/one/memory.current": "4000000\n",
    "/sys/fs/cgroup/job/one/memory.stat": "anon 1000000\nfile 3000000\n",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 4_000_000),  # cached files give way
        ({"/sys/fs/cgroup/job/one/memory.max": "max\n"}, 8_192_000),
        ({"/proc/self/cgroup": "4:memory:/old\n"}, 8_192_000),
        ({"/proc/meminfo": "MemTotal: 16000 kB\n"}, None),
    ],
)
def test_free_memory_knows_the_control_group(changes: dict[str, str], expected: int | None) -> None:
    files = MEMORY | changes
    assert free_memory(lambda path: files[str(path)]) == expected
