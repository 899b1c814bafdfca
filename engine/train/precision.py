"""Number formats: what autocast computes in, and the loss scaler that fp16 needs."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_dtype(wanted: str, device: torch.device) -> str:
    """fp32, bf16 or fp16 for a config's `precision.dtype`.

    auto stays at fp32 on a CPU: there bf16 only pays for wide models (slower below width 256, and far slower without
    AMX), and one config should give the same bits on a laptop and a server.
    """
    if wanted != "auto":
        return wanted
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


class Precision:
    """Autocast and the scaler of one run."""

    def __init__(self, dtype: str, device: torch.device) -> None:
        self.dtype = dtype
        self.device = device
        self.scaler = torch.amp.GradScaler(device.type) if dtype == "fp16" else None

    def scale(self) -> float | Tensor:
        """The loss scale, without waiting for the device; 1 where nothing is scaled."""
        if self.scaler is None:
            return 1.0
        if self.device.type == "cpu":
            return self.scaler.get_scale()
        kept: Tensor = self.scaler._get_scale_async()  # type: ignore[assignment]
        return kept.clone()  # it is changed in place

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The context for forward passes; nothing at fp32."""
        if self.dtype == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=_DTYPES[self.dtype])
