"""Tensors that several files hold together: the checkpoints of runs whose processes each keep a part of the model.

The parts are safetensors files as torch.distributed.checkpoint writes them: where in the whole tensor each part lies
stands in their headers' metadata. Read without torch.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from engine.errors import HeatsError
from engine.store.tensors import read_header

SUFFIX = ".safetensors"
_SHARD = re.compile(r"(model|optimizer)-([0-9]{5})-of-([0-9]{5})\.safetensors")
_SHARDING = "DCP_SHARDING_INFO"


def shard_name(whole: str, number: int, of: int) -> str:
    """`model-00001-of-00002.safetensors`: one of the files in place of the whole `model.safetensors`."""
    return f"{whole.removesuffix(SUFFIX)}-{number:05d}-of-{of:05d}{SUFFIX}"


def is_shard(name: str) -> bool:
    """Whether a file of this name is a part."""
    return _SHARD.fullmatch(name) is not None


def missing_shards(names: Iterable[str]) -> list[str]:
    """The parts that should be among these names but aren't."""
    there, wanted = set(names), set()
    for name in there:
        match = _SHARD.fullmatch(name)
        if match is not None:
            count = int(match[3])
            wanted |= {shard_name(match[1] + SUFFIX, number, count) for number in range(1, min(count, 99_999) + 1)}
    return sorted(wanted - there)


def tensor_files(folder: Path, whole: str) -> list[Path]:
    """The files of a checkpoint's folder that hold the tensors of `model.safetensors` or `optimizer.safetensors`."""
    if os.path.lexists(folder / whole):
        return [folder / whole]
    start = whole.removesuffix(SUFFIX) + "-"
    try:
        found = sorted(name for name in os.listdir(folder) if is_shard(name) and name.startswith(start))
    except OSError:
        return []
    return [folder / name for name in found]


@dataclass(frozen=True)
class Part:
    """Where a part of a tensor lies in its file, and in the whole tensor."""

    path: Path
    begin: int
    end: int
    shape: tuple[int, ...]
    offsets: tuple[int, ...]


@dataclass(frozen=True)
class Spread:
    """A tensor in one or several parts."""

    dtype: str
    parts: tuple[Part, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole."""
        first = self.parts[0]
        return tuple(
            max(part.offsets[axis] + part.shape[axis] for part in self.parts) for axis in range(len(first.shape))
        )

    def read(self) -> bytes:
        """The whole tensor's bytes.

        Raises:
            HeatsError: the parts don't make a whole.
            OSError: a file can't be read.
        """
        if len(self.parts) == 1 and not any(self.parts[0].offsets):
            return _read(self.parts[0])
        import numpy as np

        shape = self.shape
        if sum(prod(part.shape) for part in self.parts) != prod(shape):
            raise HeatsError("its parts don't make whole tensors", place=str(self.parts[0].path))
        width = (self.parts[0].end - self.parts[0].begin) // max(1, prod(self.parts[0].shape))
        whole = np.zeros((*shape, width), np.uint8)
        for part in self.parts:
            place = tuple(slice(at, at + size) for at, size in zip(part.offsets, part.shape, strict=True))
            whole[place] = np.frombuffer(_read(part), np.uint8).reshape(*part.shape, width)
        return whole.tobytes()


def _read(part: Part) -> bytes:
    with open(os.open(part.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        file.seek(part.begin)
        return file.read(part.end - part.begin)


def spread_tensors(files: Iterable[Path]) -> dict[str, Spread]:
    """The tensors that files hold together, by name.

    Raises:
        HeatsError: one is no safetensors file, or doesn't say where its parts belong.
    """
    parts: dict[str, list[Part]] = {}
    dtypes: dict[str, str] = {}
    for path in files:
        header = read_header(path)
        start = _start(path)
        metadata = header.pop("__metadata__", None)
        try:
            places = json.loads((metadata or {}).get(_SHARDING, "{}"))
            for name, entry in header.items():
                begin, end = entry["data_offsets"]
                shape = tuple(int(size) for size in entry["shape"])
                offsets = tuple(int(at) for at in places[name]["saved_offsets"]) if places else (0,) * len(shape)
                if len(offsets) != len(shape) or min((*offsets, *shape, begin, end - begin), default=0) < 0:
                    raise ValueError
                if dtypes.setdefault(name, str(entry["dtype"])) != entry["dtype"]:
                    raise ValueError
                parts.setdefault(name, []).append(Part(path, start + begin, start + end, shape, offsets))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise HeatsError("is no readable safetensors file (its header is damaged)", place=str(path)) from None
    return {name: Spread(dtypes[name], tuple(found)) for name, found in parts.items()}


def _start(path: Path) -> int:
    with open(path, "rb") as file:
        return 8 + int.from_bytes(file.read(8), "little")


def whole_header(tensors: dict[str, Spread], metadata: dict[str, str] | None = None) -> tuple[bytes, list[str]]:
    """The first bytes of one file with all these tensors, and the order in which they follow, widest numbers first."""

    def size(name: str) -> int:
        return sum(part.end - part.begin for part in tensors[name].parts)

    def width(name: str) -> int:
        return size(name) // max(1, prod(tensors[name].shape))

    order = sorted(tensors, key=lambda name: (-width(name), name))
    entries: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name in order:
        begin, end = end, end + size(name)
        entries[name] = {
            "dtype": tensors[name].dtype, "shape": list(tensors[name].shape), "data_offsets": [begin, end],
        }  # fmt: skip
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, order
