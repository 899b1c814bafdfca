"""Counting floating-point operations as torch carries them out."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the operations of matrix products, convolutions and attention, backward passes included.

    By torch's own table of operators. Its FlopCounterMode also tells modules apart, by hooks that fail on models
    some of whose modules run without gradients (as in free-running decoding).
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        known = flop_registry.get(func._overloadpacket)
        if known is None and func is not torch.ops.prim.device.default:
            with self:  # an operator made of others is counted by its parts
                made = func.decompose(*args, **kwargs)
            if made is not NotImplemented:
                return made
        result = func(*args, **kwargs)
        if known is not None:
            self.total += int(known(*args, **kwargs, out_val=result))
        return result
