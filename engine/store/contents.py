"""What is inside a checkpoint's files, as far as it can be told without loading them. Nothing is ever unpickled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import HeatsError
from engine.store.files import read_json
from engine.store.shards import is_shard, tensor_files
from engine.store.tensors import tensor_names

MANIFEST = "MANIFEST.json"
MODEL = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
FILES = (MODEL, OPTIMIZER, STATE)
_LARGEST_STATE_BYTES = 1 << 28


@dataclass(frozen=True)
class Contents:
    """What a resume would find. None where it can't be told."""

    optimizer: bool | None = None
    """Whether the optimizer has any state (plain SGD has none)."""
    scaler: bool | None = None
    """Whether there is a loss scale (only fp16 has one)."""
    random: bool | None = None
    """Whether the states of the random generators are there."""
    problems: tuple[str, ...] = ()


def look_inside(folder: Path, step: int) -> Contents:
    """Read the headers of a checkpoint's tensor files, and its state, and say what doesn't fit.

    Args:
        folder: the checkpoint, whose files have been found to be plain files.
        step: the step that its name says.
    """
    problems: list[str] = []
    optimizer = None
    sharded = any(is_shard(path.name) for path in tensor_files(folder, MODEL))  # an optimizer may have no state then
    for name in (MODEL, OPTIMIZER):
        tensors: dict[str, object] = {}
        for path in tensor_files(folder, name) or ([] if name == OPTIMIZER and sharded else [folder / name]):
            try:
                tensors |= tensor_names(path)
            except HeatsError as error:
                problems.append(f"{path.name} {error.message}")
            else:
                optimizer = bool(tensors) if name == OPTIMIZER else optimizer
    state = read_json(folder / STATE) if _is_small(folder / STATE) else None
    if state is None:
        return Contents(optimizer, problems=(*problems, f"{STATE} is no JSON object"))
    inside = state.get("step", step)
    if inside != step or isinstance(inside, bool):
        problems.append(f"its name says step {step} but its {STATE} {inside!r}"[:200])
    return Contents(optimizer, state.get("scaler") is not None, bool(state.get("random")), tuple(problems))


def _is_small(path: Path) -> bool:
    try:
        return path.lstat().st_size <= _LARGEST_STATE_BYTES
    except OSError:
        return False
