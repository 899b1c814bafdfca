"""Kept memory on the host that checkpoints are copied into, so that training needn't wait for the disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from engine.train.tensor_file import Layout, bytes_of

_COPIERS = 4
_WORTH_THREADS = 1 << 26


class BufferSet:
    """Memory for one checkpoint's files of tensors, as they will stand in the files.

    Args:
        sizes: bytes of each file's tensors.
        pinned: page-locked, for fast copies from a GPU.

    Raises:
        RuntimeError: there is too little memory.
    """

    def __init__(self, sizes: Sequence[int], *, pinned: bool) -> None:
        self.sizes = tuple(sizes)
        # Written to at once: the first touch of fresh memory takes longer than all later ones together.
        self.bodies = [torch.zeros(size, dtype=torch.uint8, pin_memory=pinned) for size in sizes]

    def take(self, files: Sequence[tuple[Layout, dict[str, Tensor]]]) -> list[list[memoryview]]:
        """Copy tensors from any device; the content of each file, valid until the next call.

        When this returns the tensors may change.
        """
        copies: list[tuple[Tensor, Tensor]] = []
        for body, (layout, tensors) in zip(self.bodies, files, strict=True):
            for name, (begin, end) in layout.places.items():
                tensor = tensors[name].detach()
                copies.append((body[begin:end].view(tensor.dtype).view(tensor.shape), tensor))
        _copy_all(copies)
        bodies = zip(self.bodies, files, strict=True)
        return [[memoryview(layout.header), bytes_of(body)] for body, (layout, _) in bodies]


def _copy_all(copies: list[tuple[Tensor, Tensor]]) -> None:
    """Several threads, because one alone doesn't use the memory's speed; copying changes no bit either way."""
    on_gpu = any(source.is_cuda for _, source in copies)
    threads = min(_COPIERS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    large = sum(target.nbytes for target, _ in copies) >= _WORTH_THREADS

    def work(number: int, among: int) -> None:
        with torch.no_grad():
            for target, source in copies[number::among]:
                target.copy_(source, non_blocking=source.is_cuda)

    if on_gpu or not large or threads == 1:
        work(0, 1)
    else:
        with ThreadPoolExecutor(threads - 1, thread_name_prefix="checkpoint-copy") as helpers:
            others = [helpers.submit(work, number, threads) for number in range(1, threads)]
            work(0, threads)
        for other in others:
            other.result()
    for device in {source.device for _, source in copies if source.is_cuda}:
        torch.cuda.synchronize(device)


def free_memory(read: Callable[[Path], str] = Path.read_text) -> int | None:
    """Bytes of memory that this process could still take on the host, its control group's limit included.

    Returns:
        None where the system doesn't say (no Linux).
    """
    try:
        words = dict(line.split(":", 1) for line in read(Path("/proc/meminfo")).splitlines() if ":" in line)
        free = int(words["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    try:
        groups = [line[3:] for line in read(Path("/proc/self/cgroup")).splitlines() if line.startswith("0::")]
        group = Path("/sys/fs/cgroup") / groups[0].lstrip("/")
        limit = int(read(group / "memory.max"))
        counts = dict(line.split() for line in read(group / "memory.stat").splitlines())
        # Cached files count as used, but give way to whoever needs the memory.
        return min(free, limit - int(read(group / "memory.current")) + int(counts["file"]))
    except (OSError, KeyError, ValueError, IndexError):  # no such group, or no limit ("max")
        return free
