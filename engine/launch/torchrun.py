"""The command line that trains an attempt: the trainer itself, or torchrun with several of them."""

from __future__ import annotations

import math
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.store.paths import program

if TYPE_CHECKING:  # pydantic takes a while to load
    from engine.config.sections import RunConfig

_SIGNALS = "SIGTERM,SIGINT,SIGUSR1,SIGUSR2"
_SPARE_SECONDS = 30


@dataclass(frozen=True)
class Processes:
    """How many processes train together: `on_each` on each of `nodes` machines, which meet at `endpoint`."""

    on_each: int = 1
    nodes: int = 1
    endpoint: str | None = None
    """HOST:PORT on the first machine; None where all are on one."""

    @property
    def world_size(self) -> int:
        """All of them."""
        return self.on_each * self.nodes


def of_config(config: RunConfig) -> Processes:
    """What a config says of it. Several machines meet at this one; a command of the user's own is one process."""
    options = getattr(config, "parallel", None)
    if options is None:
        return Processes()
    endpoint = f"{socket.getfqdn()}:{_free_port()}" if options.nodes > 1 else None
    return Processes(options.procs, options.nodes, endpoint)


def _free_port() -> int:
    """A port that nobody uses now; torchrun on the first machine takes it seconds later."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def command_of(
    trainer: tuple[str, ...], processes: Processes, *, meeting: str, grace_seconds: float
) -> tuple[str, ...]:
    """What trains an attempt. The same line starts it on each of several machines.

    Args:
        trainer: the command of one process.
        processes: how many, and where.
        meeting: the name under which several machines meet.
        grace_seconds: how long a stop may wait for the last checkpoint; torchrun's own patience is 30 s.
    """
    if processes.world_size == 1:
        return trainer
    where = ["--standalone"]
    if processes.nodes > 1:
        assert processes.endpoint is not None, "several machines must know where to meet"
        where = ["--rdzv-backend=c10d", f"--rdzv-endpoint={processes.endpoint}", f"--rdzv-id={meeting}"]
    return (
        *program("torch.distributed.run"),
        f"--nnodes={processes.nodes}",
        f"--nproc-per-node={processes.on_each}",
        *where,
        "--max-restarts=0",  # a new attempt is a supervisor's to start, from a checkpoint
        f"--signals-to-handle={_SIGNALS}",
        f"--shutdown-timeout={math.ceil(grace_seconds) + _SPARE_SECONDS}",
        "--no-python",  # torchrun's own way of starting Python lets the working folder decide which code trains
        *trainer,
    )
