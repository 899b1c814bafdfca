"""The first look at a large store: its runs are read by several processes, which fill the index side by side.

Reading a run is opening some nine small files: on a local disk the interpreter is what takes the time, on a network's
the waiting is. Both go down with the number of processes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from engine.store.paths import Store, open_store, program

MANY = 3000
"""Fewer unknown runs than this are read sooner than other processes have started."""
_MOST = 8


def processes() -> int:
    """How many take part: as many as there are cores for us, up to eight."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST)


@contextlib.contextmanager
def helped(store: Store, count: int) -> Iterator[None]:
    """Let other processes read every share of a store's runs but the first; wait for them at the end.

    Whatever goes wrong with one of them, its runs just stay unknown to the index.

    Args:
        store: whose runs, those at places 0, count, 2 * count and so on left out.
        count: how many shares there are.
    """
    children = []
    for share in range(1, count):
        with contextlib.suppress(OSError):
            command = [*program("engine.store.first_look"), str(store.root), str(share), str(count)]
            null = subprocess.DEVNULL
            children.append(subprocess.Popen(command, stdin=null, stdout=null, stderr=null))
    try:
        yield
    finally:
        for child in children:
            child.wait()


def main(root: str, share: str, count: str) -> None:
    """Read one share of a store's runs into its index."""
    from engine.store.index import learn

    store = open_store(Path(root))
    learn(store, store.run_ids()[int(share) :: int(count)])


if __name__ == "__main__":
    main(*sys.argv[1:])
