"""A model trained by several processes: DDP, or FSDP2, around whatever a task does with it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from engine.train.ranks import Ranks

Result = TypeVar("Result")


class Parallel:
    """How uses of a model, and their gradients, are spread over the ranks. Alone it does nothing.

    Tasks use their models as they like: by their forward, by other methods, or by parts of them. So DDP and FSDP
    wrap the use and not the model: within `run` they see its forward pass begin and end.

    Args:
        model: on its device; FSDP shards it in place, so that the optimizer must be built afterwards.
        ranks: this process among the others.
        kind: `ddp` or `fsdp`.
    """

    def __init__(self, model: nn.Module, ranks: Ranks, kind: str) -> None:
        self.ranks = ranks
        self.sharded = ranks.several and kind == "fsdp"
        self._ddp: nn.parallel.DistributedDataParallel | None = None
        self._fsdp: Any = None
        if not ranks.several:
            return
        within = _Within(model)
        if self.sharded:
            self._fsdp = _shard(within, next(model.parameters()).device.type, ranks.size)
        else:
            # Where DDP looks for unused weights it never makes its buckets anew after the first step, which would
            # give a resumed run's first step other sums than an undisturbed run's; and weights that a batch doesn't
            # use are no error, just as in one process.
            self._ddp = nn.parallel.DistributedDataParallel(within, find_unused_parameters=True)

    def run(self, work: Callable[[], Result], *, last: bool = True) -> Result:
        """Use the model for a forward pass that is followed by a backward pass.

        Args:
            work: gives loss terms, in dicts, lists or tuples.
            last: whether gradients are to be summed over the ranks in the backward pass.
        """
        if self._fsdp is not None:
            self._fsdp.set_requires_gradient_sync(last)
            self._fsdp.set_is_last_backward(last)
            result: Result = self._fsdp(work)
        else:
            result = self._ddp(work) if self._ddp is not None else work()
        return result

    def accumulating(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """Around forward and backward: gradients stay this rank's own until the last batch of a step."""
        if self._ddp is not None and not last:
            return self._ddp.no_sync()
        return contextlib.nullcontext()

    def look(self, work: Callable[[], Result]) -> Result:
        """Use the model without gradients, on all ranks where it is sharded."""
        if self._fsdp is None:
            return work()
        with torch.no_grad():
            result: Result = self._fsdp(work)
        self._fsdp.reshard()  # the root waits for a backward pass, which doesn't come
        return result


class _Within(nn.Module):
    """Calls whatever uses a model, as a module's forward pass."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, work: Callable[[], Any]) -> Any:
        return work()


def _shard(within: _Within, device: str, size: int) -> Any:
    """FSDP2 by the blocks of the model's lists, and by the rest."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    with torch.no_grad():
        for parameter in within.parameters():  # FSDP takes no other layout (channels_last, say)
            parameter.data = parameter.data.contiguous()
    mesh = init_device_mesh(device, (size,))
    for module in within.modules():
        if isinstance(module, nn.ModuleList):
            for block in module:
                if any(True for _ in block.parameters()):
                    fully_shard(block, mesh=mesh)
    return fully_shard(within, mesh=mesh)


def local(tensor: Tensor) -> Tensor:
    """This rank's part of a sharded tensor; any other as it is."""
    return tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def whole(tensor: Tensor) -> Tensor:
    """All of a sharded tensor, gathered on all ranks; any other as it is."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def is_sharded(tensor: Tensor) -> bool:
    """Whether this is a part of a tensor that is spread over the ranks."""
    return hasattr(tensor, "full_tensor")
