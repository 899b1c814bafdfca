"""The command line that trains an attempt: the trainer itself, or torchrun with several of them."""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import HeatsError
from engine.store.paths import RunPaths, program
from engine.store.records import LaunchRecord, read_launch

if TYPE_CHECKING:  # pydantic takes a while to load
    from engine.config.sections import RunConfig

_SIGNALS = "SIGTERM,SIGINT,SIGUSR1,SIGUSR2"
_SPARE_SECONDS = 30
_ENDPOINT = "--rdzv-endpoint="
_PLACE = re.compile(r"[\w.:\[\]-]+:[0-9]{1,5}", re.ASCII)


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
    endpoint = f"{socket.gethostname()}:{_free_port()}" if options.nodes > 1 else None
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
        where = ["--rdzv-backend=c10d", f"{_ENDPOINT}{processes.endpoint}", f"--rdzv-id={meeting}"]
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


def trainer_command(
    run: RunPaths, attempt: int, processes: Processes, *, grace_seconds: float, words: Sequence[str] = ()
) -> tuple[str, ...]:
    """What trains an attempt of one of our engine's runs.

    Args:
        run, attempt: which.
        processes: how many, and where.
        grace_seconds: how long a stop may wait for the last checkpoint.
        words: further words for the trainer.
    """
    trainer = (*program("engine.train"), str(run.folder), "--attempt", str(attempt), *words)
    return command_of(trainer, processes, meeting=f"{run.id}-{attempt}", grace_seconds=grace_seconds)


@dataclass(frozen=True)
class Joining:
    """What another machine does to take part in an attempt."""

    launch: LaunchRecord
    processes: Processes
    command: tuple[str, ...]


def plan_joining(run: RunPaths) -> Joining:
    """How this machine takes part in a run's newest attempt. Nothing is started.

    The command is made anew from where the machines meet: a folder from elsewhere must not bring commands with it.

    Raises:
        HeatsError: the attempt is over, or is of one machine.
    """
    from engine.store.evidence import gather
    from engine.store.hold import may_live
    from engine.store.status import decide

    attempts = run.attempts()
    launch = read_launch(attempts[-1].launch) if attempts else None
    if launch is None or launch.nodes == 1:
        raise HeatsError("it trains on one machine", place=run.id, remedy="launch it with --nodes M")
    status = decide(gather(run, attempts[-1]))
    if not may_live(status):
        raise HeatsError(f"it is not running: it is {status.state} ({status.reason})", place=run.id)
    endpoint = next((word for word in launch.command if word.startswith(_ENDPOINT)), "").removeprefix(_ENDPOINT)
    if _PLACE.fullmatch(endpoint) is None:
        raise HeatsError("its launch.json doesn't say where its machines meet", place=run.id)
    processes = Processes(max(1, launch.processes // launch.nodes), launch.nodes, endpoint)
    command = trainer_command(run, launch.attempt, processes, grace_seconds=launch.grace_seconds)
    return Joining(launch, processes, command)
