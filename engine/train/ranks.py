"""The processes that train one run together: what each is told, what they agree on, and who of them has gone."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from engine.errors import HeatsError, MachineError
from engine.store import host
from engine.store.paths import AttemptPaths
from engine.store.rank_words import FAILED, RankWord, heard, say

if TYPE_CHECKING:  # its first words must come before torch is imported
    import torch
    from torch import Tensor

    from engine.train.control import Control, Ending

Value = TypeVar("Value")
_PATIENCE = timedelta(hours=2)
"""How long the others may take for an evaluation or a last checkpoint. (Whoever dies is noticed at once.)"""
_CAUSE_SECONDS = 3.0


@dataclass(frozen=True)
class Wishes:
    """What people and schedulers want at a step boundary, the same for all ranks."""

    ending: Ending | None = None
    save_now: bool = False


@dataclass(frozen=True)
class Peer:
    """The process of a rank."""

    rank: int
    host: str
    boot_id: str | None
    pid: int
    ticks: int | None

    def has_died(self) -> bool:
        """Whether it is known to have gone; of other machines nothing is known."""
        here = (self.host, self.boot_id) == (host.host_name(), host.boot_id())
        return here and host.process_state(self.pid, self.ticks) in ("gone", "zombie")


class Ranks:
    """This process among those of the run; alone unless told otherwise.

    Args:
        attempt: where the ranks leave their last words; None for a process alone.
        rank: which one this is; rank 0 writes the run's records.
        size: how many there are.
        local_rank: which one on this machine.
    """

    def __init__(self, attempt: AttemptPaths | None = None, rank: int = 0, size: int = 1, local_rank: int = 0) -> None:
        self.attempt = attempt
        self.rank = rank
        self.size = size
        self.local_rank = local_rank
        self.parting = False
        """Set once this process ends: from then on others that have gone are of no concern."""
        self.met = size == 1
        """Whether all have found each other."""
        self._peers: list[Peer] = []
        self.control_group: Any = None
        """The process group of small things, on CPUs by gloo."""
        self._flags = (0.0, 0.0, 0.0)

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.size > 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes the run's records."""
        return self.rank == 0

    # --- meeting and parting ---

    def meet(self, device: torch.device) -> None:
        """Find the others.

        Raises:
            HeatsError: they don't train on the same kind of device.
        """
        if not self.several:
            return
        import torch.distributed as dist

        if int(os.environ.get("LOCAL_WORLD_SIZE", self.size)) == self.size:
            # All on one machine: names of hosts that nothing resolves needn't matter.
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        if device.type == "cuda":
            dist.init_process_group("cpu:gloo,cuda:nccl", device_id=device)
            self.control_group = dist.new_group(backend="gloo", timeout=_PATIENCE)
        else:
            dist.init_process_group("gloo", timeout=_PATIENCE)
            self.control_group = dist.group.WORLD
        me = Peer(self.rank, host.host_name(), host.boot_id(), os.getpid(), host.start_ticks(os.getpid()))
        found = self.gather((me, device.type))
        self._peers = [peer for peer, _ in found if peer.rank != self.rank]
        self.met = True
        kinds = sorted({kind for _, kind in found})
        if len(kinds) > 1:
            raise HeatsError(
                f"some of the {self.size} processes would train on {kinds[0]} and others on {kinds[1]}",
                remedy="start at most one process a GPU, or set train.device=cpu",
            )

    def part(self) -> None:
        """Training is over: wait until it is for all of them, so that none seems to have died."""
        if self.several:
            self.parting = True
            self.barrier()

    # --- collective: all ranks call these at the same place ---

    def barrier(self) -> None:
        """Wait for all others."""
        if self.several:
            self.gather(None)

    def gather(self, value: Value) -> list[Value]:
        """Everybody's value, by rank, for everybody. Small things only."""
        if not self.several:
            return [value]
        import torch.distributed as dist

        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value, group=self.control_group)
        return found

    def tell(self, value: Value) -> Value:
        """The first rank's value, for everybody."""
        if not self.several:
            return value
        import torch.distributed as dist

        box = [value]
        dist.broadcast_object_list(box, src=0, group=self.control_group)
        return box[0]

    def in_turn(self, work: Callable[[], Value]) -> Value:
        """Do something on the first rank, then on all others: what it leaves on the disk they find there."""
        if not self.several:
            return work()
        if self.is_first:
            made = work()
            self.barrier()
            return made
        self.barrier()
        return work()

    def all_or_none(self, work: Callable[[], Value]) -> Value:
        """Do something on each rank.

        Raises:
            OSError: it failed on one; then all ranks raise this, with what went wrong first.
        """
        made, problem = None, None
        try:
            made = work()
        except (OSError, MachineError) as error:
            problem = str(getattr(error, "strerror", None) or error)
        problem = next(filter(None, self.gather(problem)), None)
        if problem is not None:
            raise OSError(problem)
        return made  # type: ignore[return-value]

    def ask(self, control: Control) -> Wishes:
        """What is wished for now, outside of a step."""
        if not self.several:
            return Wishes(control.ending, control.save_now)
        import torch
        import torch.distributed as dist

        flags = torch.tensor(_flags(control), dtype=torch.float64)
        dist.all_reduce(flags, group=self.control_group)
        self._flags = tuple(flags.tolist())
        return self._wishes()

    def share_step(
        self, control: Control, loss: Tensor, terms: Mapping[str, float | Tensor]
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        """The means of loss and terms over all ranks; what each is asked for travels with them (see `agreed`).

        On CPUs all of it is one collective; elsewhere the figures stay on the device and the flags go by themselves.
        """
        if not self.several:
            return loss, dict(terms)
        import torch
        import torch.distributed as dist

        names = list(terms)
        if loss.device.type == "cpu":
            numbers = [*_flags(control), loss.item(), *(float(terms[name]) for name in names)]
            vector = torch.tensor(numbers, dtype=torch.float64)
            dist.all_reduce(vector, group=self.control_group)
            self._flags = tuple(vector[:3].tolist())
            means = (vector[3:] / self.size).unbind()
        else:
            values = [torch.as_tensor(terms[name], device=loss.device).detach().float() for name in names]
            vector = torch.stack([loss.detach().float(), *values])
            dist.all_reduce(vector)
            means = (vector / self.size).unbind()
            self.ask(control)
        return means[0], dict(zip(names, means[1:], strict=True))

    def agreed(self, control: Control, step: int) -> Wishes:
        """What is to be done at the end of this step, the same on all ranks."""
        ending = control.ending_at(step)
        if not self.several:
            return Wishes(ending, control.save_now)
        wishes = self._wishes()
        # The step to stop at is the same for all; anything else that was asked meanwhile is agreed on with the next.
        if step == control.stop_at and wishes.ending is None:
            return Wishes("stopped", wishes.save_now)
        return wishes

    def _wishes(self) -> Wishes:
        stopped, preempted, save = self._flags
        return Wishes("stopped" if stopped else "preempted" if preempted else None, save > 0)

    # --- the others' fate ---

    def trouble(self) -> RankWord | None:
        """Why the run can't go on, if another has left its last word or has died."""
        if not self.several or self.parting or self.attempt is None:
            return None
        words = [word for word in heard(self.attempt, self.size) if word.rank != self.rank]
        if words:
            return words[0]
        for peer in self._peers:
            if peer.has_died():
                return RankWord(peer.rank, time.time(), error=_died(peer), secondary=True)
        return None

    def say(
        self, word: Literal["failed", "left"], error: str = "", trace: str = "", *, secondary: bool = False
    ) -> None:
        """Leave this rank's last word for the others. A disk that can't take it keeps nobody from ending."""
        if self.attempt is not None:
            with contextlib.suppress(MachineError):
                say(self.attempt, self.rank, word, error, trace, secondary=secondary)

    def say_failed(self, error: str, trace: str = "") -> RankWord:
        """What the run has failed of: another rank's word if one failed before, or has died; else this one's own.

        Args:
            error, trace: what was raised here. Once a rank has gone, that is no more than what its absence causes.
        """
        found = self.trouble()
        if found is None and _is_of_a_collective(trace):
            found = self.cause()
        if found is None:
            found = RankWord(self.rank, time.time(), FAILED, error, trace)
            self.say("failed", error, trace)
        elif found.secondary:  # nobody else can say it for the one that has died
            self.say("failed", found.error, secondary=True)
        return found

    def cause(self, wait_seconds: float = _CAUSE_SECONDS) -> RankWord | None:
        """The same after a collective has failed here: the others' words, or their deaths, are waited for."""
        deadline = time.monotonic() + wait_seconds
        while True:
            found = self.trouble()
            if found is not None or not self.several or time.monotonic() >= deadline:
                return found
            time.sleep(0.05)


def _flags(control: Control) -> tuple[float, float, float]:
    return float(control.ending == "stopped"), float(control.ending == "preempted"), float(control.save_now)


def _is_of_a_collective(trace: str) -> bool:
    """Whether what was raised is what gloo or NCCL raise where another process has gone."""
    return any(
        word in trace for word in ("torch.distributed", "torch/distributed", "gloo", "NCCL", "Connection closed")
    )


def _died(peer: Peer) -> str:
    return f"the process of rank {peer.rank} (pid {peer.pid}) has died, killed from outside or for want of memory"


def from_environment(attempt: AttemptPaths) -> Ranks:
    """This process's place as torchrun tells it; alone where it tells nothing."""
    try:
        size = int(os.environ.get("WORLD_SIZE", "1"))
        # Some machines set sizes and ranks for everybody; only torchrun gives its processes this.
        if size > 1 and "TORCHELASTIC_RUN_ID" in os.environ:
            return Ranks(attempt, int(os.environ["RANK"]), size, int(os.environ["LOCAL_RANK"]))
    except (KeyError, ValueError):
        pass
    return Ranks(attempt)


def only_own_gpu(local_rank: int) -> None:
    """Let this process see one GPU only: whatever it allocates, seeds or saves is that one's. Before torch's import."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(local_rank)
        return
    devices = [word.strip() for word in given.split(",") if word.strip()]
    os.environ["CUDA_VISIBLE_DEVICES"] = devices[local_rank] if local_rank < len(devices) else ""
