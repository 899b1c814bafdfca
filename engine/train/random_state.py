"""The state of every random generator, as JSON, and back."""

from __future__ import annotations

import base64
import random
from typing import Any

import numpy as np
import torch
from torch import Tensor


def encode_generator(state: Tensor) -> str:
    """A torch generator's state (uint8) as text."""
    return base64.b64encode(state.numpy().tobytes()).decode()


def decode_generator(text: str) -> Tensor:
    """The inverse of encode_generator."""
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)


def capture() -> dict[str, Any]:
    """The states of Python's, NumPy's, torch's and each device's global generator."""
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "python": [version, list(words), gauss],
        "numpy": [kind, np.asarray(keys).tolist(), position, has_gauss, cached],
        "torch": encode_generator(torch.get_rng_state()),
        "cuda": [encode_generator(state) for state in devices],
    }


def restore(states: dict[str, Any]) -> None:
    """Put all global generators back. The last act before the first batch.

    Raises:
        ValueError: the state is of another number of GPUs.
    """
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(decode_generator(states["torch"]))
    devices = states["cuda"]
    if torch.cuda.is_available() and devices:
        if len(devices) != torch.cuda.device_count():
            raise ValueError(
                f"the checkpoint has random states of {len(devices)} GPUs, here are {torch.cuda.device_count()}"
            )
        torch.cuda.set_rng_state_all([decode_generator(state) for state in devices])
