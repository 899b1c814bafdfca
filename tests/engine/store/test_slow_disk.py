"""Reading many small files where each read is a round trip."""

from __future__ import annotations

import threading
import time

from engine.store.slow_disk import read_each


def test_quick_reads_stay_in_this_thread_and_in_order() -> None:
    threads = set()

    def read(item: int) -> int:
        threads.add(threading.get_ident())
        return item * 2

    assert read_each(read, range(500)) == [2 * item for item in range(500)]
    assert threads == {threading.get_ident()}
    assert read_each(read, []) == []


def test_reads_that_wait_are_made_side_by_side_and_keep_their_order() -> None:
    threads = set()

    def read(item: int) -> int:
        threads.add(threading.get_ident())
        time.sleep(0.005)
        return item * 2

    assert read_each(read, range(200)) == [2 * item for item in range(200)]
    assert len(threads) > 4
