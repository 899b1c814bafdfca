"""Files of tensors in the safetensors format, written from memory while their hash is taken.

The same bytes as `safetensors.torch.save_file` writes (a test holds the two together): it alone can't be hashed
without reading everything again, which takes longer than writing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

_CHUNK = 1 << 24
Stopped = Callable[[], bool]
"""Asked between chunks: whether to leave off."""
# In the order in which safetensors lays tensors out: wide ones first, so that each lies aligned.
_WORDS = {
    torch.uint64: "U64", torch.int64: "I64", torch.float64: "F64", torch.complex64: "C64", torch.float32: "F32",
    torch.uint32: "U32", torch.int32: "I32", torch.bfloat16: "BF16", torch.float16: "F16", torch.uint16: "U16",
    torch.int16: "I16", torch.float8_e5m2fnuz: "F8_E5M2FNUZ", torch.float8_e4m3fnuz: "F8_E4M3FNUZ",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.int8: "I8", torch.uint8: "U8",
    torch.bool: "BOOL",
}  # fmt: skip
_RANKS = {dtype: rank for rank, dtype in enumerate(_WORDS)}


@dataclass(frozen=True)
class Layout:
    """Where each tensor lies in a file.

    Args:
        header: the file's first bytes, up to the first tensor.
        places: by tensor's name in the file's order, its first byte and the one past its last, after the header.
        size: bytes of all tensors together.
    """

    header: bytes
    places: dict[str, tuple[int, int]]
    size: int


def lay_out(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> Layout:
    """Plan a file of these tensors.

    Raises:
        TypeError: safetensors has no word for a tensor's type.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _WORDS:
            raise TypeError(f"safetensors has no word for {name}, which is {tensor.dtype}")
    entries: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    places = {}
    end = 0
    for name in sorted(tensors, key=lambda name: (_RANKS[tensors[name].dtype], name)):
        tensor = tensors[name]
        begin, end = end, end + tensor.numel() * tensor.element_size()
        places[name] = begin, end
        entries[name] = {"dtype": _WORDS[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return Layout(len(text).to_bytes(8, "little") + text, places, end)


def bytes_of(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor on the host; it must outlive its last use."""
    return memoryview(tensor.detach().reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]


def pieces_in_place(layout: Layout, tensors: dict[str, Tensor]) -> list[memoryview]:
    """A file's content out of the tensors' own memory; only those that aren't contiguous on the host are copied."""
    bodies = [bytes_of(tensors[name].detach().to("cpu").contiguous()) for name in layout.places]
    return [memoryview(layout.header), *bodies]


def write_synced(path: Path, pieces: Sequence[memoryview], stopped: Stopped) -> int:
    """Write a new file, as far as the disk in safety, and return its bytes. Leaves off midway once `stopped` says so.

    Raises:
        OSError: the disk is full or fails.
    """
    size = 0
    with open(path, "xb", buffering=0) as file:
        for chunk in _chunks(pieces, stopped):
            rest = chunk
            while rest:
                rest = rest[file.write(rest) :]
            size += len(chunk)
        os.fsync(file.fileno())
    return size


def digest(pieces: Sequence[memoryview], stopped: Stopped) -> str:
    """SHA-256 of what these pieces make together, in hexadecimal. Leaves off midway once `stopped` says so."""
    hashed = hashlib.sha256()
    for chunk in _chunks(pieces, stopped):
        hashed.update(chunk)
    return hashed.hexdigest()


def _chunks(pieces: Sequence[memoryview], stopped: Stopped) -> Iterator[memoryview]:
    for piece in pieces:
        for begin in range(0, len(piece), _CHUNK):
            if stopped():
                return
            yield piece[begin : begin + _CHUNK]
