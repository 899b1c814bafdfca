"""Has any weight moved? A fingerprint of all weights, in one pass over them and with one number read each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def fingerprint(tensors: Sequence[Tensor]) -> str:
    """A short text that changes whenever any bit of any of these tensors does (up to chance)."""
    sums = [_bits(tensor).sum(dtype=torch.int64) for tensor in tensors]
    numbers = torch.stack(sums).tolist() if sums else []
    return hashlib.sha256(repr(numbers).encode()).hexdigest()[:16]


def _bits(tensor: Tensor) -> Tensor:
    plain = torch.view_as_real(tensor.detach()) if tensor.is_complex() else tensor.detach()
    return plain.view(_INTEGERS[plain.element_size()])
