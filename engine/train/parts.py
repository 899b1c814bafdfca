"""Tensors that are spread over processes, to files and back: torch.distributed.checkpoint with safetensors files.

Its own format keeps its table in a pickle, which could run code when it is read. With these files it needs no table:
each says in its header where its parts belong. See torch.distributed.checkpoint.HuggingFaceStorageWriter.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.errors import HeatsError
from engine.store.shards import spread_tensors


def write_parts(folder: Path, tensors: dict[str, Tensor], group: Any) -> None:
    """Write each process's parts into a new folder; called by all of them.

    Raises:
        OSError: a process couldn't write.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
    try:
        save(dict(tensors), storage_writer=writer, process_group=group)
    except CheckpointException as error:
        causes = [str(found) for found, _ in error.failures.values()]
        raise OSError(causes[0] if causes else str(error)) from None


def read_parts(folder: Path, tensors: dict[str, Tensor], group: Any) -> None:
    """Fill tensors, spread over processes or not, with what the files of a folder hold; called by all processes.

    Raises:
        HeatsError: the files don't have it.
    """
    _load(folder, tensors, group, alone=False)


def read_whole(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Tensors as wholes, whatever parts they are in, for one process.

    Args:
        folder: where the files are.
        shapes: of the wholes, by name.

    Raises:
        HeatsError: the files don't have it.
    """
    spread = spread_tensors(sorted(folder.glob("*.safetensors")))
    tensors = {name: torch.empty(shape, dtype=_DTYPES[spread[name].dtype]) for name, shape in shapes.items()}
    _load(folder, tensors, None, alone=True)
    return tensors


def _load(folder: Path, tensors: dict[str, Tensor], group: Any, *, alone: bool) -> None:
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    if not tensors:
        return
    reader = HuggingFaceStorageReader(str(folder))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that one process alone reads is what is wanted
            load(tensors, storage_reader=reader, process_group=group, no_dist=alone)
    except CheckpointException as error:
        causes = [str(found) for found, _ in error.failures.values()]
        raise HeatsError(
            f"the checkpoint can't be read ({causes[0] if causes else error})", place=str(folder)
        ) from None


_DTYPES = {
    "U64": torch.uint64, "I64": torch.int64, "F64": torch.float64, "F32": torch.float32, "U32": torch.uint32,
    "I32": torch.int32, "BF16": torch.bfloat16, "F16": torch.float16, "U16": torch.uint16, "I16": torch.int16,
    "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
