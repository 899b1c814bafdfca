"""What tensors a safetensors file holds, from its header alone: no torch, and nothing that a file could have run."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from engine.errors import HeatsError

LONGEST_HEADER_BYTES = 100_000_000
"""The bound that the safetensors library itself sets."""


def tensor_names(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The tensors of a safetensors file, by name with type and shape.

    Raises:
        HeatsError: it is no safetensors file.
    """
    header = read_header(path)
    header.pop("__metadata__", None)
    try:
        return {name: _tensor(entry) for name, entry in header.items()}
    except (KeyError, TypeError, ValueError):
        raise HeatsError("is no readable safetensors file (its header is damaged)", place=str(path)) from None


def read_header(path: Path) -> dict[str, Any]:
    """The JSON object at the start of a safetensors file.

    Raises:
        HeatsError: it is no safetensors file, is a link, or is no plain file.
    """
    try:
        # A pipe would make us wait forever, and a link could lead out of the store.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("it is no plain file")
            length = int.from_bytes(file.read(8), "little")
            if length > min(status.st_size - 8, LONGEST_HEADER_BYTES):
                raise ValueError("its header is cut off, or it never was one")
            header = json.loads(file.read(length))
        if not isinstance(header, dict):
            raise ValueError("its header is no object")
    except OSError as error:
        raise HeatsError(f"is no readable safetensors file ({error.strerror})", place=str(path)) from None
    except (ValueError, RecursionError) as error:
        raise HeatsError(f"is no readable safetensors file ({error})", place=str(path)) from None
    return header


def _tensor(entry: Any) -> tuple[str, tuple[int, ...]]:
    kind, shape = entry["dtype"], entry["shape"]
    if not isinstance(kind, str) or not isinstance(shape, list):
        raise TypeError
    if any(type(size) is not int or size < 0 for size in shape):
        raise ValueError
    return kind, tuple(shape)
