"""A quicker start: torch imports its compiler (seconds) on the first use of an optimizer, even if nothing compiles."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import torch


def skip_compiler_import() -> None:
    """Let torch's own guards against being compiled be no-ops, so that they needn't import the compiler.

    They wrap methods of torch's optimizers (`add_param_group`, `step`, ...) and, when first called, import
    torch._dynamo and triton only to say "don't compile this": 2 to 4 seconds at each start of a run. Only for runs
    that don't use torch.compile. Where a torch version does this otherwise, nothing is changed and nothing is lost.
    """
    if "torch._dynamo" in sys.modules:
        return
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        inner = getattr(getattr(torch.optim.Optimizer, name, None), "__wrapped__", None)
        if inner is not None and not hasattr(inner, "__dynamo_disable"):
            inner.__dynamo_disable = inner
    for kind in (torch.optim.Adam, torch.optim.SGD):  # AdamW is an Adam
        step = vars(kind).get("step")
        inner = getattr(step, "__wrapped__", None)
        code = getattr(step, "__code__", None)
        if inner is not None and code is not None and code.co_name == "_use_grad" and "_dynamo" in code.co_names:
            kind.step = _without_gradients(inner)  # type: ignore[method-assign]


def _without_gradients(step: Callable[..., Any]) -> Callable[..., Any]:
    """What torch's wrapper of `step` does, but for its word to the compiler."""

    @functools.wraps(step)
    def wrapped(self: torch.optim.Optimizer, *rest: Any, **named: Any) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return step(self, *rest, **named)

    return wrapped
