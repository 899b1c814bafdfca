"""Many small reads of a store, one after the other where they are quick and side by side where each is a round trip."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_TRIED = 32
_SLOW_SECONDS = 0.0005
"""A read of a local disk's cache takes a hundredth of that; of a server across a network several times as much."""
_AT_ONCE = 16


def read_each(read: Callable[[Item], Result], items: Sequence[Item], reads_each: int = 1) -> list[Result]:
    """What `read` gives for each item, in their order.

    The first ones show whether reads wait for something: time that passes while this process does nothing.

    Args:
        read: reads files and changes nothing that another item's read needs.
        items: what to read.
        reads_each: about how many reads one call makes.
    """
    first = items[:_TRIED]
    began, used, waits = time.perf_counter(), time.thread_time(), _waits()
    found = [read(item) for item in first]
    waited = (time.perf_counter() - began) - (time.thread_time() - used)
    rest = items[_TRIED:]
    # A busy machine makes time pass as well, but doesn't make a process wait of its own accord.
    slow = waited > _SLOW_SECONDS * len(first) * reads_each and _waits() - waits >= len(first)
    if not rest or not slow:
        return found + [read(item) for item in rest]
    from concurrent.futures import ThreadPoolExecutor  # where disks are quick nobody pays for it

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return found + list(pool.map(read, rest))


def _waits() -> int:
    """How often this thread has given up the processor to wait for something."""
    return resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)).ru_nvcsw
