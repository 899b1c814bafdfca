"""One seed governs everything; the settings that change bits are written down with each checkpoint."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import torch

from engine.config.sections import TaskConfig


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's generators, those of all devices included."""
    random.seed(seed)
    np.random.seed(seed % (1 << 32))
    torch.manual_seed(seed)


def rank_seed(seed: int, rank: int) -> int:
    """The seed of one of several processes: dropout mustn't be the same in each. That of the first is the run's."""
    return (seed + rank * 0x9E3779B97F4A7C15) & 0x7FFF_FFFF_FFFF_FFFF


def apply_settings(config: TaskConfig) -> None:
    """Set the process-wide switches that a config asks for, before any model is built."""
    train = config.train
    if train.num_threads:
        torch.set_num_threads(train.num_threads)
    if train.compile:
        torch.use_deterministic_algorithms(train.deterministic)
    else:  # the same switch without the compiler's, whose import takes seconds
        torch.set_deterministic_debug_mode("error" if train.deterministic else "default")
    # Filling fresh memory costs 5 to 13 % and only catches reads of uninitialised memory, which tests do.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.deterministic = train.deterministic
    torch.backends.cudnn.benchmark = not train.deterministic
    torch.backends.cuda.matmul.allow_tf32 = config.precision.tf32
    torch.backends.cudnn.allow_tf32 = config.precision.tf32
    if train.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def choose_device(wanted: str) -> torch.device:
    """The device for a config's `train.device`.

    Raises:
        ValueError: it was asked for by name but isn't there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    if not available[wanted]:
        raise ValueError(f"train.device is {wanted} but torch finds no such device here")
    return torch.device(wanted)


def bit_relevant_settings(
    config: TaskConfig, device: torch.device, dtype: str, optimizer: str, world_size: int = 1
) -> dict[str, Any]:
    """What changes the bits of a run at equal seeds; a resume under others is refused unless told."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    memory = {"channels_last": config.train.channels_last} if hasattr(config.train, "channels_last") else {}
    return memory | {
        "torch": torch.__version__,
        "device": name,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "optimizer": optimizer,
        "compile": config.train.compile,
        "dtype": dtype,
        "tf32": config.precision.tf32,
        "deterministic": config.train.deterministic,
        "world_size": world_size,
        "batch_size": config.train.batch_size,
        "accumulation": config.train.accumulation,
        **({"parallel": config.parallel.kind} if world_size > 1 else {}),
    }
