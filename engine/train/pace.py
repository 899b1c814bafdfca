"""How fast a run trains and what memory it takes: for its last word, never among its metrics, which must repeat."""

from __future__ import annotations

import resource
import statistics
import sys
from collections import deque
from collections.abc import Iterable

import torch

from engine.train.figures import Row

_KEPT = 10_000
TOKENS = "train/tokens"
"""The figure by which tasks on text say how many tokens a step has predicted."""


class Pace:
    """Takes in the rows of steps as they are read; by the median, so pauses to evaluate and to save don't count."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_KEPT)
        self._tokens: deque[float] = deque(maxlen=_KEPT)
        self._last: Row | None = None

    def take(self, rows: Iterable[Row]) -> None:
        """Take in rows, in the order of their steps."""
        for row in rows:
            last, self._last = self._last, row
            if last is not None and row.step == last.step + 1:
                self._seconds.append(row.moment - last.moment)
                if TOKENS in row.figures:
                    self._tokens.append(row.figures[TOKENS])

    def facts(self) -> dict[str, float]:
        """`step_seconds`, the median; `tokens_per_second` where tokens are counted; `peak_memory_bytes` of the process
        and, on a GPU, `peak_gpu_bytes` of torch's tensors there."""
        found: dict[str, float] = {"peak_memory_bytes": peak_memory_bytes()}
        if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            found["peak_gpu_bytes"] = torch.cuda.max_memory_allocated()
        if self._seconds:
            found["step_seconds"] = statistics.median(self._seconds)
            if self._tokens and found["step_seconds"] > 0:
                found["tokens_per_second"] = statistics.fmean(self._tokens) / found["step_seconds"]
        return found


def peak_memory_bytes() -> int:
    """The most memory that this process has had resident."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
