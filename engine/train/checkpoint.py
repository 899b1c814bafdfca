"""Checkpoints on disk: safetensors and JSON only, written aside, synced, renamed; every byte hashed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.errors import HeatsError, MachineError
from engine.store import checkpoints as stored
from engine.store.files import fsync_folder
from engine.store.paths import RunPaths
from engine.store.retention import REPLACED, is_leftover
from engine.store.shards import spread_tensors, tensor_files
from engine.store.tensors import read_header
from engine.train.parallel import is_sharded
from engine.train.parts import read_whole
from engine.train.staging import BufferSet
from engine.train.tensor_file import Stopped, digest, lay_out, pieces_in_place, write_synced

_SPARE = 1.2
Pieces = dict[str, list[memoryview]]
"""The content of a checkpoint's files, by name."""


def model_tensors(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A model's tensors by name, and the names that are aliases of others (tied weights)."""
    tensors: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    first: dict[tuple[object, ...], str] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        place: tuple[object, ...] = ("sharded", id(tensor))
        tensor = tensor.detach()
        if not is_sharded(tensor):
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


class Contents:
    """What one checkpoint's files will hold, still in the memory of model and optimizer.

    Args:
        model, optimizer: what is saved, from whatever device.
        state: everything else that influences training, as JSON; it is turned into bytes at once.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        weights, aliases = model_tensors(model)
        moments = optimizer_tensors(optimizer, model)
        self._state = memoryview(json.dumps(state).encode())
        self.files = [(lay_out(weights, {"aliases": json.dumps(aliases)}), weights), (lay_out(moments), moments)]
        self.sizes = [layout.size for layout, _ in self.files]
        self.pinned = any(tensor.is_cuda for tensor in weights.values())

    def in_place(self) -> Pieces:
        """The files' content where it stands: right only for as long as training stands still."""
        return self._named([pieces_in_place(layout, tensors) for layout, tensors in self.files])

    def copied(self, buffers: BufferSet) -> Pieces:
        """The files' content copied into buffers: training may go on."""
        return self._named(buffers.take(self.files))

    def _named(self, bodies: list[list[memoryview]]) -> Pieces:
        return dict(zip(stored.FILES, [*bodies, [self._state]], strict=True))


@dataclass(frozen=True)
class About:
    """What a checkpoint's manifest says of it.

    Args:
        step: optimizer steps completed.
        attempt: which attempt writes.
        reason: `scheduled`, `best`, `stop`, `request`, `final` or `emergency`.
        settings: the bit-relevant settings.
        metric: the value of the run's best metric at this step, if evaluated.
        emergency: kept apart, never resumed from by itself.
    """

    step: int
    attempt: int
    reason: str
    settings: dict[str, Any]
    metric: float | None = None
    emergency: bool = False


class Abandoned(Exception):
    """A save was left off midway, as asked."""


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
        model, optimizer, state: see `Contents`.
        step, attempt, reason, settings, metric, emergency: see `About`.

    Raises:
        MachineError: the disk is full or fails; nothing that was there before is touched.
    """
    about = About(step, attempt, reason, settings, metric, emergency)
    pieces = Contents(model, optimizer, state).in_place()
    return put_in_place(run, about, write_aside(run, about, pieces, lambda: False))


def write_aside(run: RunPaths, about: About, pieces: Pieces, stopped: Stopped) -> Path:
    """Write a whole checkpoint to where no reader looks, and make it safe; `put_in_place` does the rest.

    Returns:
        The temporary folder.

    Raises:
        MachineError: the disk is full or fails.
        Abandoned: `stopped` said so; a part of it is left for `clear_leftovers`.
    """
    final = run.checkpoints / stored.folder_name(about.step, emergency=about.emergency)
    temporary = run.checkpoints / f".{final.name}.{socket.gethostname()}.{os.getpid()}"
    with _failures(run, about, pieces, temporary):
        run.checkpoints.mkdir(exist_ok=True)
        if run.checkpoints.is_symlink():  # nothing is ever resumed from what lies behind a link
            raise OSError(errno.ELOOP, "the folder `checkpoints` is a link")
        check_space(run.checkpoints, space_needed(pieces))
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        files = _write_and_hash(temporary, pieces, stopped)
        manifest = {
            "schema": 1,
            "step": about.step,
            "attempt": about.attempt,
            "reason": about.reason,
            "created": time.time(),
            "metric": about.metric,
            "settings": about.settings,
            # The safetensors files hold nothing but the tensors in a fixed order: their hashes are the digests.
            "digests": {"model": files[stored.MODEL]["sha256"], "optimizer": files[stored.OPTIMIZER]["sha256"]},
            "files": files,
        }
        text = memoryview(json.dumps(manifest, indent=1).encode())
        write_synced(temporary / stored.MANIFEST, [text], lambda: False)
        fsync_folder(temporary)
    return temporary


def _write_and_hash(folder: Path, pieces: Pieces, stopped: Stopped) -> dict[str, dict[str, Any]]:
    """The manifest's table of files. Hashing runs beside writing and syncing: in turns they took twice as long."""
    failed = threading.Event()

    def leave_off() -> bool:
        return failed.is_set() or stopped()

    with ThreadPoolExecutor(1, thread_name_prefix="checkpoint-hash") as hasher:
        try:
            digests = {name: hasher.submit(digest, parts, leave_off) for name, parts in pieces.items()}
            sizes = {name: write_synced(folder / name, parts, leave_off) for name, parts in pieces.items()}
            files = {name: {"bytes": sizes[name], "sha256": digests[name].result()} for name in pieces}
        except BaseException:  # `LeaveNow`, which a second signal raises anywhere, is no Exception
            failed.set()  # nobody waits for hashes of what couldn't be written
            raise
    if stopped():
        raise Abandoned
    return files


def put_in_place(run: RunPaths, about: About, temporary: Path) -> Path:
    """Give a checkpoint that was written aside its name.

    Raises:
        MachineError: the disk fails.
    """
    final = run.checkpoints / stored.folder_name(about.step, emergency=about.emergency)
    with _failures(run, about, {}, temporary):
        _rename_over(temporary, final)
        fsync_folder(run.checkpoints)
    return final


@contextlib.contextmanager
def _failures(run: RunPaths, about: About, pieces: Pieces, temporary: Path) -> Iterator[None]:
    """Turn what goes wrong with the disk into one sentence, and give back the room that was taken."""
    try:
        yield
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        why = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            why += f"; it needs {space_needed(pieces):,} bytes and {free_space(run) or 0:,} are free"
        raise MachineError(f"the checkpoint of step {about.step} can't be saved ({why})") from error


def space_needed(pieces: Pieces) -> int:
    """Bytes that should be free before a save: a little more than it will take."""
    return int(_SPARE * sum(len(piece) for parts in pieces.values() for piece in parts))


def free_space(run: RunPaths) -> int | None:
    """Bytes that are free where a run's checkpoints go; None if the disk doesn't say."""
    try:
        return shutil.disk_usage(run.folder).free
    except OSError:
        return None


def check_space(folder: Path, needed: int) -> None:
    """Make sure that a folder's disk has room.

    Raises:
        OSError: it hasn't.
    """
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, "the disk is too full")


def _rename_over(temporary: Path, final: Path) -> None:
    """Put the new checkpoint in place. One that an earlier, abandoned stretch left at this step goes aside first."""
    if final.exists():
        aside = final.with_name(f"{REPLACED}{final.name}.{os.getpid()}")
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(final, aside)
        try:
            os.rename(temporary, final)
        except OSError:
            os.rename(aside, final)
            raise
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
        self.folder = checkpoint.folder
        self.sharded = checkpoint.sharded
        try:
            self.shapes = {
                file: {name: tensor.shape for name, tensor in spread_tensors(tensor_files(self.folder, file)).items()}
                for file in (stored.MODEL, stored.OPTIMIZER)
            }
            if not self.sharded:
                self.model = load_file(checkpoint.folder / stored.MODEL)
                self.optimizer = load_file(checkpoint.folder / stored.OPTIMIZER)
                self.aliases = _read_aliases(checkpoint.folder / stored.MODEL)
            self.state: dict[str, Any] = json.loads((checkpoint.folder / stored.STATE).read_bytes())
            if not isinstance(self.state, dict):
                raise ValueError(f"{stored.STATE} is no object")
            if self.sharded:
                self.aliases = _checked_aliases(self.state.get("aliases", {}))
        except (OSError, ValueError, RecursionError, SafetensorError, HeatsError) as error:
            raise HeatsError(f"the checkpoint can't be read ({error})", place=str(checkpoint.folder)) from None

    # Of a sharded checkpoint only who isn't sharded needs the whole tensors.

    @cached_property
    def model(self) -> dict[str, Tensor]:
        """The model's tensors, whole."""
        return read_whole(self.folder, self.shapes[stored.MODEL])

    @cached_property
    def optimizer(self) -> dict[str, Tensor]:
        """The optimizer's tensors, whole."""
        return read_whole(self.folder, self.shapes[stored.OPTIMIZER])


def _read_aliases(path: Path) -> dict[str, str]:
    return _checked_aliases(json.loads((read_header(path).get("__metadata__") or {}).get("aliases", "{}")))


def _checked_aliases(found: object) -> dict[str, str]:
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


def load_own_state(task: Any, loaded: Loaded) -> None:
    """Give a task what it had of its own when a checkpoint was saved, for whoever evaluates without training.

    Raises:
        HeatsError: it doesn't fit the task's options.
    """
    own = loaded.state.get("task")
    if not own:
        return
    try:
        task.load_state_dict(own)
    except (KeyError, TypeError, ValueError) as error:
        raise HeatsError(f"the checkpoint of step {loaded.step} doesn't fit: {error}") from None
