"""The problems of an evaluation: drawn once, kept in the run's folder, the same at every look."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.store.files import write_atomic
from engine.tasks.conditional.config import ConditionalEvaluationSection
from engine.tasks.conditional.data import Layout
from engine.tasks.conditional.sampling import Split, boundary_split

_FOLDER = "splits"


def draw_splits(tokens: Tensor, options: ConditionalEvaluationSection, layout: Layout) -> dict[int, Split]:
    """X_c and X_e of each block by mode: 1, 2 and 3, and those of 4 and 5, which score what 2 and 3 score.

    Args:
        tokens: (N, L) int64, the blocks.
        options: seed and boundary.
        layout: knows the splits of training.
    """
    rows, length = tokens.shape
    nothing = torch.zeros_like(tokens, dtype=torch.bool)
    generator = torch.Generator().manual_seed(options.split_seed)
    boundary = boundary_split(rows, length, options.boundary_pct_min, options.boundary_pct_max, generator)
    found = {1: Split(nothing, ~nothing), 2: boundary, 4: Split(nothing, boundary.scored)}
    if layout.kind != "baseline":
        trained = layout.split(tokens, layout.draws(rows, length, generator))
        found |= {3: trained, 5: Split(nothing, trained.scored)}
    return found


def kept_splits(
    folder: Path | None, part: str, tokens: Tensor, options: ConditionalEvaluationSection, layout: Layout
) -> dict[int, Split]:
    """The same, read from the run's folder if they were drawn before, else drawn and written there.

    Splits of other blocks or options are drawn anew, under another name.

    Args:
        folder: the run's; without one nothing is kept.
        part: val or test.
        tokens, options, layout: see `draw_splits`.
    """
    if folder is None:
        return draw_splits(tokens, options, layout)
    known = (options.split_seed, options.boundary_pct_min, options.boundary_pct_max, layout.kind, layout.rules)
    key = hashlib.sha256(repr((known, layout.options.pad_is_eos)).encode())
    key.update(tokens.numpy().tobytes())
    path = folder / _FOLDER / f"{part}-{key.hexdigest()[:12]}.npz"
    read = _read(path, tokens.shape)
    if read is not None:
        return read
    drawn = draw_splits(tokens, options, layout)
    arrays: dict[str, Any] = {
        f"{name}_{mode}": np.packbits(getattr(split, name).numpy(), axis=1)
        for mode, split in drawn.items()
        for name in Split._fields
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    path.parent.mkdir(exist_ok=True)
    write_atomic(path, buffer.getvalue())
    return drawn


def _read(path: Path, shape: torch.Size) -> dict[int, Split] | None:
    """The splits in a file; None where there is none, or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            modes = sorted({int(name.rpartition("_")[2]) for name in arrays.files})
            return {
                mode: Split(*(_unpack(arrays[f"{name}_{mode}"], shape) for name in Split._fields)) for mode in modes
            }
    except Exception:  # noqa: BLE001  whatever is wrong with it, the same can be drawn again
        return None


def _unpack(packed: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], shape: torch.Size) -> Tensor:
    rows, length = shape
    if packed.shape[0] != rows:
        raise ValueError("of other blocks")
    return torch.from_numpy(np.unpackbits(packed, axis=1, count=length).astype(bool))
