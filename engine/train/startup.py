"""A quicker start: torch imports its compiler (seconds) on the first call of an optimizer, even if nothing compiles."""

from __future__ import annotations

import sys

import torch


def skip_compiler_import() -> None:
    """Let torch's own guards against being compiled be no-ops, so that they needn't import the compiler.

    They wrap methods of torch's Optimizer (`add_param_group`, ...) and, when first called, import torch._dynamo and
    triton only to say "don't compile this": 3 to 4 seconds at each start of a run. Only for runs
    that don't use torch.compile. Where a torch version does this otherwise, nothing is changed and nothing is lost.
    """
    if "torch._dynamo" in sys.modules:
        return
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        inner = getattr(getattr(torch.optim.Optimizer, name, None), "__wrapped__", None)
        if inner is not None and not hasattr(inner, "__dynamo_disable"):
            inner.__dynamo_disable = inner
