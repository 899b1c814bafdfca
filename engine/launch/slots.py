"""Slots: claims on the GPUs, or on the CPU cores, of this machine. One file a claim, stale once its run's lock is free.

They lie beside the runs' locks, on node-local disk, one set for all stores of a user, and are changed under one lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.errors import HeatsError
from engine.store import lock
from engine.store.files import read_json, write_json
from engine.store.paths import RunPaths
from engine.store.records import from_fields

_ENVIRONMENT = "HEATS_SLOTS"


@dataclass(frozen=True)
class Slot:
    """Room for a process: a GPU (`device` is its UUID), or `cores` CPU cores.

    Of several for one run, name and device are lists with commas.
    """

    name: str
    device: str | None = None
    cores: int = 1

    def environment(self) -> dict[str, str]:
        """What a run in this slot must be told."""
        found = {"HEATS_SLOT": self.name, "OMP_NUM_THREADS": str(self.cores)}
        # By UUID: the order of indices differs between CUDA and NVML unless CUDA_DEVICE_ORDER is set.
        return found | ({"CUDA_VISIBLE_DEVICES": self.device} if self.device else {})


@dataclass(frozen=True)
class Claim:
    """Who holds a slot: a run of a store, through the lock that its processes hold. `time` in seconds since 1970."""

    slot: str
    store: str
    run: str
    lock: str
    time: float


def machine_slots() -> list[Slot]:
    """The slots of this machine: one a GPU; without GPUs one a core, or as many as HEATS_SLOTS says.

    Raises:
        HeatsError: HEATS_SLOTS is no positive number.
    """
    devices = _gpus()
    cores = os.cpu_count() or 1
    given = os.environ.get(_ENVIRONMENT)
    if given is not None and not (given.isascii() and given.isdigit() and 0 < int(given) <= 4096):
        raise HeatsError(f"{_ENVIRONMENT} is {given!r}", remedy="set it to a number of slots, or unset it")
    if devices:
        chosen = devices[: int(given)] if given else devices
        return [Slot(f"gpu{index}", device, max(1, cores // len(chosen))) for index, device in enumerate(chosen)]
    count = int(given) if given else cores
    return [Slot(f"cpu{index}", None, max(1, cores // count)) for index in range(count)]


def needed(run: RunPaths) -> int:
    """How many slots a run takes: one a process on this machine.

    Raises:
        HeatsError: its config is damaged.
    """
    from engine.store.stored_config import effective_config

    return effective_config(run).procs


def _gpus() -> list[str]:
    """UUIDs of the GPUs that this process may use, by nvidia-smi: it fails harmlessly where there is no driver."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None and allowed.strip() in ("", "-1"):
        return []
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=10, check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    found = [tuple(part.strip() for part in line.split(",")) for line in done.stdout.splitlines() if "," in line]
    if allowed is None:
        return [uuid for _, uuid in found]
    wanted = [word.strip() for word in allowed.split(",")]
    return [uuid for index, uuid in found if index in wanted or any(uuid.startswith(word) for word in wanted if word)]


def _folder() -> Path:
    folder = lock.lock_folder() / "slots"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextlib.contextmanager
def _alone() -> Iterator[Path]:
    """The folder of claims, under its lock."""
    folder = _folder()
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(descriptor)


def claims() -> list[Claim]:
    """All claims whose runs are alive, by slot; stale ones are passed over."""
    return [claim for claim in _read(_folder()) if lock.is_held(Path(claim.lock))]


def _read(folder: Path) -> list[Claim]:
    found = []
    for path in sorted(folder.glob("*.json")):
        content = read_json(path)
        claim: Claim | None = from_fields(Claim, content) if content is not None else None
        if claim is not None and claim.slot == path.stem:
            found.append(claim)
    return found


def claim(
    store_id: str, run_id: str, lock_path: Path, now: float, slots: list[Slot] | None = None, count: int = 1
) -> Slot | None:
    """Claim free slots for a run whose lock the caller holds already; None when there are too few.

    Args:
        store_id, run_id: whose slot it becomes.
        lock_path: the run's lock: the claim holds as long as the lock.
        now: seconds since 1970.
        slots: which there are; by default those of this machine.
        count: how many; one a process.
    """
    offered = machine_slots() if slots is None else slots
    with _alone() as folder:
        taken = set()
        for found in _read(folder):
            earlier = (found.store, found.run) == (store_id, run_id)  # its own: the lock is held by the caller
            if not earlier and lock.is_held(Path(found.lock)):
                taken.add(found.slot)
            else:
                (folder / f"{found.slot}.json").unlink(missing_ok=True)
        chosen = [slot for slot in offered if slot.name not in taken][:count]
        if len(chosen) < count:
            return None
        for slot in chosen:
            record = Claim(slot.name, store_id, run_id, str(lock_path), now)
            write_json(folder / f"{slot.name}.json", asdict(record))
    return _together(chosen)


def _together(chosen: list[Slot]) -> Slot:
    devices = [slot.device for slot in chosen if slot.device]
    names = ",".join(slot.name for slot in chosen)
    return Slot(names, ",".join(devices) or None, min(slot.cores for slot in chosen))


def release(slot: Slot) -> None:
    """Give a slot back before its run could start."""
    with _alone() as folder:
        for name in slot.name.split(","):
            (folder / f"{name}.json").unlink(missing_ok=True)


def note_waiting(store_id: str, root: Path, waits: bool) -> None:
    """Note that runs of a store wait for a slot, or that none do: slots belong to a user, queues to a store."""
    folder = _folder() / "waiting"
    path = folder / f"{store_id}.json"
    if waits:
        folder.mkdir(mode=0o700, exist_ok=True)
        write_json(path, {"schema": 1, "root": str(root)})
    else:
        path.unlink(missing_ok=True)


def waiting_stores(but: Path) -> list[Path]:
    """The folders of the stores whose runs wait for a slot, but one; notes of stores that have gone are removed."""
    found = []
    for path in sorted((_folder() / "waiting").glob("*.json")):
        root = (read_json(path) or {}).get("root")
        if not isinstance(root, str) or not os.path.isdir(root):
            path.unlink(missing_ok=True)
        elif Path(root) != but:
            found.append(Path(root))
    return found
