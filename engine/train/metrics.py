"""Logging of figures: one cheap call in the training thread, JSON lines and TensorBoard from a thread beside it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import orjson

from engine.store.files import encode_number
from engine.store.metrics import ROLLED_BACK
from engine.train.appender import LineAppender
from engine.train.pictures import Picture
from engine.train.tensorboard import EventWriter

_FLUSH_SECONDS = 0.5
_Row = tuple[int, float, dict[str, float], bool]


class MetricsWriter:
    """Writes an attempt's metrics.jsonl and its TensorBoard events; flushed at least once a second.

    Args:
        path: metrics.jsonl of the attempt.
        tensorboard: folder for event files, or None for none.
        resumed_from_step: the attempt's first step, past which earlier events are purged.
        on_flush: called in the writer's thread at each flush (for requests that need looking at now and then).
        options: what TensorBoard's table of runs shows of this one; nothing if not given.
        name: what that table calls it.
    """

    def __init__(
        self,
        path: Path,
        tensorboard: Path | None,
        resumed_from_step: int | None = None,
        on_flush: Callable[[], None] | None = None,
        *,
        options: Mapping[str, bool | float | str] | None = None,
        name: str = "",
    ) -> None:
        self._rows: deque[_Row] = deque()
        self._pictures: deque[tuple[int, str, Picture]] = deque()
        self._options, self._name = options, name
        self._appender = LineAppender(path)
        self._tensorboard_folder = tensorboard
        self._purge_step = None if resumed_from_step is None else resumed_from_step + 1
        self._tensorboard: EventWriter | None = None
        self._on_flush = on_flush
        self._ending = threading.Event()
        self._draining = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="metrics-writer", daemon=True)
        self._thread.start()

    @property
    def error(self) -> OSError | None:
        """Why figures can't be written at the moment; they are kept and written later."""
        return self._appender.error

    def log(
        self, step: int, figures: dict[str, float], *, moment: float | None = None, tensorboard: bool = True
    ) -> None:
        """Record the figures of a step. Takes about a microsecond; the dict must not be changed afterwards.

        Args:
            step: optimizer steps completed.
            figures: by full name (`train/loss`); any finite or non-finite float.
            moment: when, in seconds since 1970; now if not given.
            tensorboard: also write them to TensorBoard.
        """
        self._rows.append((step, time.time() if moment is None else moment, figures, tensorboard))

    def show(self, step: int, name: str, picture: Picture) -> None:
        """Put a picture into TensorBoard."""
        self._pictures.append((step, name, picture))

    def roll_back(self, step: int, from_step: int) -> None:
        """Say that what was recorded past a step no longer counts: readers shadow it, TensorBoard purges it."""
        self._rows.append((step, time.time(), {ROLLED_BACK: float(from_step)}, True))

    def flush(self) -> None:
        """Write everything logged so far before returning."""
        self._drain()

    def close(self) -> None:
        """Write everything and end the thread."""
        self._ending.set()
        self._thread.join()
        self._drain()
        self._appender.close()
        if self._tensorboard is not None:
            self._tensorboard.close()

    def _work(self) -> None:
        # TensorBoard's protobuf classes take a second to import; the first steps needn't wait for it.
        while not self._ending.wait(_FLUSH_SECONDS):
            self._drain()
            if self._on_flush is not None:
                self._on_flush()

    def _drain(self) -> None:
        with self._draining:
            rows = [self._rows.popleft() for _ in range(len(self._rows))]
            self._appender.append(b"".join(encode_row(step, moment, figures) for step, moment, figures, _ in rows))
            if self._tensorboard_folder is not None and (rows or self._pictures):
                self._to_tensorboard(rows)

    def _to_tensorboard(self, rows: list[_Row]) -> None:
        if self._tensorboard is None:
            assert self._tensorboard_folder is not None
            self._tensorboard = EventWriter(self._tensorboard_folder, self._purge_step)
            if self._options is not None:
                self._tensorboard.write_options(self._options, self._name)
        while self._pictures:
            step, name, picture = self._pictures.popleft()
            self._tensorboard.write_picture(step, name, picture.png, picture.height, picture.width)
        for step, moment, figures, wanted in rows:
            if ROLLED_BACK in figures:
                self._tensorboard.purge(step + 1)
            elif wanted:
                self._tensorboard.write(step, moment, figures)
        self._tensorboard.flush()


def encode_row(step: int, moment: float, figures: dict[str, float]) -> bytes:
    """One line of metrics.jsonl: `{"step": ..., "time": ..., "train/loss": ...}`; no bit of a float is lost."""
    line = orjson.dumps({"step": step, "time": moment, **figures})
    if b"null" in line:  # orjson erases non-finite numbers; spell them out
        spelled = {name: encode_number(value) for name, value in figures.items()}
        line = orjson.dumps({"step": step, "time": moment, **spelled})
    return line + b"\n"
