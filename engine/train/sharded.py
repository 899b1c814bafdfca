"""Checkpoints of a model whose weights and moments are spread over processes: each writes and reads its own part."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engine.errors import HeatsError, MachineError
from engine.store import checkpoints as stored
from engine.store.files import fsync_folder
from engine.store.paths import RunPaths
from engine.store.shards import shard_name
from engine.train.checkpoint import About, Loaded, check_space, model_tensors, optimizer_tensors, put_in_place
from engine.train.parallel import is_sharded
from engine.train.parts import read_parts, write_parts
from engine.train.ranks import Ranks

if TYPE_CHECKING:
    from engine.train.state import TrainState

_FILES = (stored.MODEL, stored.OPTIMIZER)


def write_sharded(run: RunPaths, about: About, state: TrainState, flush: Callable[[], None]) -> Path:
    """Write a checkpoint by all ranks, which all call this; readers see nothing of it before it is whole and safe.

    Args:
        run: whose.
        about: what its manifest says of it.
        state: what to save; others' random states have been collected.
        flush: called by the first rank before the checkpoint becomes visible.

    Returns:
        The checkpoint's folder.

    Raises:
        MachineError: the disk is full or fails, for whichever rank; all of them raise it.
    """
    ranks, module = state.ranks, state.task.trainable_module(state.model)
    _same_buffers(module)
    weights, aliases = model_tensors(module)
    moments = optimizer_tensors(state.optimizer, module)
    content = state.to_json() | {"aliases": aliases}
    final = run.checkpoints / stored.folder_name(about.step, emergency=about.emergency)
    temporary = Path(ranks.tell(str(run.checkpoints / f".{final.name}.{socket.gethostname()}.{os.getpid()}")))
    size = sum(tensor.numel() * tensor.element_size() for tensor in (*weights.values(), *moments.values()))
    try:
        ranks.all_or_none(lambda: _prepare(temporary, size) if ranks.is_first else None)
        for name, tensors in zip(_FILES, (weights, moments), strict=True):
            if tensors:
                ranks.all_or_none(lambda name=name, tensors=tensors: write_parts(  # type: ignore[misc]
                    temporary / name, tensors, ranks.control_group
                ))  # fmt: skip
        names = ranks.tell(ranks.all_or_none(lambda: _give_names(temporary) if ranks.is_first else []))
        own = ranks.all_or_none(lambda: _secure(temporary, names[ranks.rank :: ranks.size]))
        files = dict(sorted(entry for table in ranks.gather(own) for entry in table.items()))
        ranks.all_or_none(lambda: _finish(run, about, temporary, content, files, flush) if ranks.is_first else None)
    except OSError as error:
        if ranks.is_first:
            shutil.rmtree(temporary, ignore_errors=True)
        why = error.strerror or str(error)
        raise MachineError(f"the checkpoint of step {about.step} can't be saved ({why})") from error
    return final


def _same_buffers(module: nn.Module) -> None:
    """The first rank's buffers (running statistics) for all: there is one of each in a checkpoint."""
    import torch.distributed as dist

    with torch.no_grad():
        for buffer in module.buffers():
            if not is_sharded(buffer):
                dist.broadcast(buffer, 0)


def _prepare(temporary: Path, size: int) -> None:
    temporary.parent.mkdir(exist_ok=True)
    check_space(temporary.parent, size)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()


def _give_names(temporary: Path) -> list[str]:
    """Move the parts to where they belong, by the names that everybody gives to such files."""
    names = []
    for whole in _FILES:
        parts = sorted((temporary / whole).glob("*.safetensors"))
        for number, part in enumerate(parts, start=1):
            names.append(shard_name(whole, number, len(parts)))
            os.rename(part, temporary / names[-1])
        shutil.rmtree(temporary / whole, ignore_errors=True)
    return names


def _secure(folder: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """What the manifest says of some files, which are safe on the disk afterwards."""
    table = {}
    for name in names:
        with open(folder / name, "rb") as file:
            os.fsync(file.fileno())
        table[name] = {"bytes": (folder / name).stat().st_size, "sha256": stored.hash_file(folder / name)}
    return table


def _finish(
    run: RunPaths,
    about: About,
    temporary: Path,
    content: dict[str, Any],
    files: dict[str, dict[str, Any]],
    flush: Callable[[], None],
) -> None:
    _write(temporary / stored.STATE, json.dumps(content))
    files = files | _secure(temporary, [stored.STATE])
    digests = {
        whole.partition(".")[0]: hashlib.sha256("".join(
            entry["sha256"] for name, entry in sorted(files.items()) if name.startswith(whole.partition(".")[0])
        ).encode()).hexdigest()
        for whole in _FILES
    }  # fmt: skip
    manifest = {
        "schema": 1, "step": about.step, "attempt": about.attempt, "reason": about.reason, "created": time.time(),
        "metric": about.metric, "settings": about.settings, "digests": digests, "files": files,
    }  # fmt: skip
    _write(temporary / stored.MANIFEST, json.dumps(manifest, indent=1))
    fsync_folder(temporary)
    flush()
    put_in_place(run, about, temporary)


def _write(path: Path, text: str) -> None:
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def restore_sharded(module: nn.Module, optimizer: torch.optim.Optimizer, loaded: Loaded, ranks: Ranks) -> None:
    """Put a checkpoint of any number of processes, or of one, into a model and an optimizer that are spread over these.

    Raises:
        HeatsError: a tensor is missing, left over, or of another shape.
    """
    weights, _ = model_tensors(module)
    shapes = loaded.shapes[stored.MODEL]
    for name in sorted(weights.keys() | shapes.keys()):
        if name not in weights or name not in shapes or tuple(weights[name].shape) != tuple(shapes[name]):
            raise HeatsError(
                f"the checkpoint doesn't fit the model at `{name}`", remedy="undo the override that changed the model"
            )
    parameters = dict(module.named_parameters())
    optimizer.state.clear()
    moments: dict[str, Tensor] = {}
    for name, shape in loaded.shapes[stored.OPTIMIZER].items():
        parameter_name, _, key = name.rpartition("//")
        parameter = parameters.get(parameter_name)
        if parameter is None:
            raise HeatsError(f"the checkpoint has optimizer state of `{parameter_name}`, which the model lacks")
        own = tuple(shape) == tuple(parameter.shape)
        fused = bool(optimizer.defaults.get("fused") or optimizer.defaults.get("capturable"))
        device = parameter.device if own or fused else torch.device("cpu")
        # Step counters are no bigger than a number, and whole everywhere.
        moments[name] = torch.empty_like(parameter.detach()) if own else torch.zeros(shape, device=device)
        optimizer.state[parameter][key] = moments[name]
    targets = weights | moments
    if loaded.sharded:
        read_parts(loaded.folder, targets, ranks.control_group)
        return
    with torch.no_grad():
        for name, saved in (loaded.model | loaded.optimizer).items():
            _fill(targets[name], saved)


def _fill(target: Tensor, whole: Tensor) -> None:
    """Copy what belongs to this process out of a whole tensor."""
    if not is_sharded(target):
        target.copy_(whole)
        return
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(target, DTensor)
    own = distribute_tensor(whole.to(target.device), target.device_mesh, target.placements, src_data_rank=None)
    target.to_local().copy_(own.to_local())
