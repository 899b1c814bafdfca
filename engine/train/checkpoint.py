"""Checkpoints on disk: safetensors and JSON only, written aside, synced, renamed; every byte hashed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from engine.errors import HeatsError, MachineError
from engine.store import checkpoints as stored
from engine.store.files import fsync_folder
from engine.store.paths import RunPaths
from engine.store.retention import REPLACED, is_leftover
from engine.store.tensors import read_header

_SPARE = 1.2


def model_tensors(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A model's tensors by name, and the names that are aliases of others (tied weights)."""
    tensors: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    first: dict[tuple[int, int, torch.Size, tuple[int, ...]], str] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        tensor = tensor.detach()
        place = (tensor.data_ptr(), tensor.storage_offset(), tensor.shape, tensor.stride())
        if tensor.numel() and place in first:
            aliases[name] = first[place]
            continue
        first[place] = name
        tensors[name] = tensor
    return tensors, aliases


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """An optimizer's state as `<parameter>//<key>`: names don't shift when groups are made differently."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    tensors = {}
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if value is None:
                continue
            assert isinstance(value, Tensor), f"the optimizer keeps {key} as a {type(value).__name__}"
            tensors[f"{names[id(parameter)]}//{key}"] = value.detach()
    return tensors


def _host_copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As safetensors wants them: on the CPU and contiguous."""
    return {name: tensor.to("cpu").contiguous() for name, tensor in tensors.items()}


def restore_model(model: nn.Module, tensors: dict[str, Tensor], aliases: dict[str, str]) -> None:
    """Copy saved values into a model of the same make, each tensor keeping its own memory layout.

    Raises:
        HeatsError: a tensor is missing, left over, or of another shape.
    """
    full = tensors | {name: tensors[source] for name, source in aliases.items() if source in tensors}
    _load(model, full)


def _load(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    try:
        model.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise HeatsError(
            f"the checkpoint doesn't fit the model: {first}", remedy="undo the override that changed the model"
        ) from None


def restore_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put an optimizer's state back, laid out in memory like its parameters.

    (Fused AdamW on a CPU walks weights and moments in step: contiguous moments of channels_last weights would give
    wrong updates without any error.)

    Raises:
        HeatsError: the state is of other parameters.
    """
    parameters = dict(model.named_parameters())
    optimizer.state.clear()
    for name, saved in tensors.items():
        parameter_name, _, key = name.rpartition("//")
        parameter = parameters.get(parameter_name)
        if parameter is None:
            raise HeatsError(f"the checkpoint has optimizer state of `{parameter_name}`, which the model lacks")
        if saved.shape == parameter.shape:
            restored = torch.empty_like(parameter, dtype=saved.dtype, requires_grad=False).copy_(saved)
        else:  # step counters: fused kernels want them beside the weights, the others on the CPU
            fused = bool(optimizer.defaults.get("fused") or optimizer.defaults.get("capturable"))
            restored = saved.to(parameter.device) if fused else saved.clone()
        optimizer.state[parameter][key] = restored


def write(
    run: RunPaths,
    *,
    step: int,
    attempt: int,
    reason: str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    settings: dict[str, Any],
    metric: float | None = None,
    emergency: bool = False,
) -> Path:
    """Write a checkpoint; readers see nothing of it before all of it is safe on disk.

    Args:
        run: whose.
        step: optimizer steps completed.
        attempt: which attempt writes.
        reason: `scheduled`, `best`, `stop`, `request`, `final` or `emergency`.
        model, optimizer: what is saved, from whatever device.
        state: everything else that influences training, as JSON.
        settings: the bit-relevant settings.
        metric: the value of the run's best metric at this step, if evaluated.
        emergency: kept apart, never resumed from by itself.

    Raises:
        MachineError: the disk is full or fails; nothing that was there before is touched.
    """
    tensors, aliases = model_tensors(model)
    moments = optimizer_tensors(optimizer, model)
    final = run.checkpoints / stored.folder_name(step, emergency=emergency)
    temporary = run.checkpoints / f".{final.name}.{socket.gethostname()}.{os.getpid()}"
    try:
        run.checkpoints.mkdir(exist_ok=True)
        if run.checkpoints.is_symlink():  # nothing is ever resumed from what lies behind a link
            raise OSError(errno.ELOOP, "the folder `checkpoints` is a link")
        _check_space(run.checkpoints, [*tensors.values(), *moments.values()])
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        save_file(_host_copies(tensors), temporary / stored.MODEL, metadata={"aliases": json.dumps(aliases)})
        save_file(_host_copies(moments), temporary / stored.OPTIMIZER)
        (temporary / stored.STATE).write_text(json.dumps(state))
        files = {name: _sync_and_hash(temporary / name) for name in stored.FILES}
        manifest = {
            "schema": 1,
            "step": step,
            "attempt": attempt,
            "reason": reason,
            "created": time.time(),
            "metric": metric,
            "settings": settings,
            # The safetensors files hold nothing but the tensors in a fixed order: their hashes are the digests.
            "digests": {"model": files[stored.MODEL]["sha256"], "optimizer": files[stored.OPTIMIZER]["sha256"]},
            "files": files,
        }
        (temporary / stored.MANIFEST).write_text(json.dumps(manifest, indent=1))
        _sync_and_hash(temporary / stored.MANIFEST)
        fsync_folder(temporary)
        _rename_over(temporary, final)
        fsync_folder(run.checkpoints)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise MachineError(f"the checkpoint of step {step} can't be saved ({why})") from error
    return final


def _check_space(folder: Path, tensors: list[Tensor]) -> None:
    needed = int(_SPARE * sum(tensor.numel() * tensor.element_size() for tensor in tensors))
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(errno.ENOSPC, f"it needs {needed:,} bytes and {free:,} are free")


def _sync_and_hash(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    return {"bytes": path.stat().st_size, "sha256": stored.hash_file(path)}


def _rename_over(temporary: Path, final: Path) -> None:
    """Put the new checkpoint in place. One that an earlier, abandoned stretch left at this step goes aside first."""
    if final.exists():
        aside = final.with_name(f"{REPLACED}{final.name}.{os.getpid()}")
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(final, aside)
        os.rename(temporary, final)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        os.rename(temporary, final)


class Loaded:
    """A checkpoint's contents in memory, verified."""

    def __init__(self, checkpoint: stored.Checkpoint) -> None:
        """Read and verify a checkpoint.

        Raises:
            HeatsError: a byte of it isn't what was written.
        """
        problems = stored.verify(checkpoint)
        if problems:
            raise HeatsError(f"the checkpoint can't be used: {problems[0]}", place=str(checkpoint.folder))
        self.step = checkpoint.step
        self.settings = checkpoint.settings
        try:
            self.model = load_file(checkpoint.folder / stored.MODEL)
            self.optimizer = load_file(checkpoint.folder / stored.OPTIMIZER)
            self.aliases = _read_aliases(checkpoint.folder / stored.MODEL)
            self.state: dict[str, Any] = json.loads((checkpoint.folder / stored.STATE).read_bytes())
            if not isinstance(self.state, dict):
                raise ValueError(f"{stored.STATE} is no object")
        except (OSError, ValueError, RecursionError, SafetensorError, HeatsError) as error:
            raise HeatsError(f"the checkpoint can't be read ({error})", place=str(checkpoint.folder)) from None


def _read_aliases(path: Path) -> dict[str, str]:
    found = json.loads((read_header(path).get("__metadata__") or {}).get("aliases", "{}"))
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise ValueError("its table of tied weights is damaged")
    return found


def clear_leftovers(run: RunPaths) -> None:
    """Tidy up after saves that were killed in mid-write. Only the run's one live attempt may call this."""
    with contextlib.suppress(OSError):
        for name in os.listdir(run.checkpoints):
            if name.startswith(REPLACED):
                original = run.checkpoints / name.removeprefix(REPLACED).partition(".")[0]
                if not original.exists():  # killed between the two renames: what was there before comes back
                    os.rename(run.checkpoints / name, original)
            if is_leftover(name):
                shutil.rmtree(run.checkpoints / name, ignore_errors=True)
