"""What the processes of a script are asked for, agreed on at each step.

Signals and requests reach the processes of a script at different steps. One that saved or stopped by itself would wait
for ever for others that go on, so all of them act at the first step at which any of them was asked.
"""

from __future__ import annotations

import sys
from typing import Any


class Together:
    """This process among those of the script's default process group; alone where there is none."""

    def __init__(self) -> None:
        self._group: Any = None

    def meet(self, launched: bool) -> None:
        """Before the first step, in all processes: find out whether heats launched any of them.

        Args:
            launched: whether it launched this one.
        """
        dist = _several()
        self._group = None
        if dist is None:
            return
        found: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(found, launched)
        if any(found):
            # On CPUs: it must not wait for what a GPU is still computing.
            self._group = dist.group.WORLD if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")

    def agree(self, stop: bool, save: bool) -> tuple[bool, bool]:
        """Whether any process was asked to stop, and any to save. All of them call this once a step."""
        if self._group is None:
            return stop, save
        import torch
        import torch.distributed as dist

        flags = torch.tensor([float(stop), float(save)])
        dist.all_reduce(flags, op=dist.ReduceOp.MAX, group=self._group)
        return bool(flags[0]), bool(flags[1])


def _several() -> Any:
    """torch.distributed, where this process is one of several by it."""
    dist: Any = sys.modules.get("torch.distributed")
    if dist is None or not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return None
    return dist
