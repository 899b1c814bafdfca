"""Are two checkpoints, or two histories, the same to the last bit? If not: where do they part? No torch needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.errors import HeatsError
from engine.store.checkpoints import MODEL, OPTIMIZER, STATE, tensor_names
from engine.store.files import read_json
from engine.store.metrics import RunHistory
from engine.store.paths import RunPaths
from engine.store.shards import is_shard, spread_tensors, tensor_files


def checkpoint_differences(first: Path, second: Path) -> list[str]:
    """What differs between two checkpoint folders: tensors by name, and keys of the state. Empty when nothing does.

    Raises:
        HeatsError: one of them is no readable checkpoint.
    """
    found = []
    for name in (MODEL, OPTIMIZER):
        found += [f"{name}: {difference}" for difference in _differences_of(first, second, name)]
    found += [f"{STATE}: {key}" for key in _different_keys(_state(first), _state(second))]
    return found


def _state(folder: Path) -> dict[str, Any]:
    state = read_json(folder / STATE)
    if state is None:
        raise HeatsError("is missing or damaged", place=str(folder / STATE))
    return state


def _differences_of(first: Path, second: Path, name: str) -> list[str]:
    files = tensor_files(first, name), tensor_files(second, name)
    in_parts = any(is_shard(path.name) for folder in (first, second) for path in tensor_files(folder, MODEL))
    if not in_parts:  # where it is in parts, an optimizer without any state has no file at all
        return _tensor_differences(first / name, second / name)
    tensors = spread_tensors(files[0]), spread_tensors(files[1])
    found = [f"only one has {missing}" for missing in sorted(tensors[0].keys() ^ tensors[1].keys())]
    for key in sorted(tensors[0].keys() & tensors[1].keys()):
        one, other = tensors[0][key], tensors[1][key]
        if (one.dtype, one.shape) != (other.dtype, other.shape):
            found.append(f"{key} is {(one.dtype, one.shape)} and {(other.dtype, other.shape)}")
        elif one.read() != other.read():
            found.append(key)
    return found


def _tensor_differences(first: Path, second: Path) -> list[str]:
    shapes = tensor_names(first), tensor_names(second)
    found = [f"only one has {name}" for name in sorted(shapes[0].keys() ^ shapes[1].keys())]
    if first.read_bytes() == second.read_bytes():
        return found
    tensors = _tensor_bytes(first), _tensor_bytes(second)
    for name in shapes[0]:
        if name not in shapes[1]:
            continue
        if shapes[0][name] != shapes[1][name]:
            found.append(f"{name} is {shapes[0][name]} and {shapes[1][name]}")
        elif tensors[0][name] != tensors[1][name]:
            found.append(name)
    return found


def _tensor_bytes(path: Path) -> dict[str, bytes]:
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8:start])
    try:
        return {
            name: content[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]]
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (KeyError, TypeError, IndexError) as error:
        raise HeatsError(f"is no readable safetensors file ({error})", place=str(path)) from None


def _different_keys(first: Any, second: Any, prefix: str = "") -> list[str]:
    if isinstance(first, dict) and isinstance(second, dict):
        keys = sorted(first.keys() | second.keys())
        return [
            difference
            for key in keys
            for difference in _different_keys(
                first.get(key, _MISSING), second.get(key, _MISSING), f"{prefix}.{key}" if prefix else key
            )
        ]
    # As text NaN equals NaN, and -0.0 differs from 0.0 and 1.0 from 1.
    return [] if _as_text(first) == _as_text(second) else [prefix]


_MISSING = object()


def _as_text(value: Any) -> str:
    return "missing" if value is _MISSING else json.dumps(value, sort_keys=True)


def metric_differences(first: RunPaths, second: RunPaths, *, after_step: int = 0) -> list[str]:
    """Where two runs' effective histories part: each metric with the first step at which it differs. Exact.

    Args:
        first, second: the runs.
        after_step: compare only what lies past this step.
    """
    histories = RunHistory(first), RunHistory(second)
    for history in histories:
        history.refresh()
    found = []
    for name in sorted(histories[0].series.keys() | histories[1].series.keys()):
        points = []
        for history in histories:
            series = history.series.get(name)
            pairs = zip(series.steps, series.values, strict=True) if series else ()
            # repr tells NaN from NaN as equal, and -0.0 from 0.0 as different
            points.append([(step, repr(value)) for step, value in pairs if step > after_step])
        if points[0] != points[1]:
            parted, _ = min(set(points[0]) ^ set(points[1]))
            found.append(f"{name} from step {parted}")
    return found
