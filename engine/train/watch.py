"""A thread beside training that notices what a stuck main thread can't: no step for too long, a disk that fills."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from engine.config.sections import GuardSection

_POLL_SECONDS = 1.0
_DISK_SECONDS = 10.0
_GAPS = 50
_FACTOR = 10.0
_FIRST_FACTOR = 5.0
_ROOM_FACTOR = 1.5
"""A save wants 1.2 times its bytes; people want to hear of it earlier."""
_ROOM_BYTES = 1 << 16
_ENOUGH_FACTOR = 1.1

BATCH, STEP = "the data loader gives no batch", "a step is being computed"
EVALUATION, SAVE = "an evaluation is under way", "a checkpoint is being saved"


class Tell(Protocol):
    """How the watch speaks: writes an event. Called in the watch's thread."""

    def __call__(self, event: str, cause: str, message: str, **facts: Any) -> None: ...


class Watch:
    """Looks at the clock and the disk once a second. The training thread only sets two attributes.

    Args:
        options: the config's section.
        folder: whose file system the checkpoints lie on.
        tell: writes an alert or its end.
        give_up: called with the reason, in this thread, when `guard.stall` is stop.
    """

    def __init__(
        self,
        options: GuardSection,
        folder: Path,
        tell: Tell,
        give_up: Callable[[str], None],
        *,
        poll_seconds: float = _POLL_SECONDS,
    ) -> None:
        self.step = 0
        """Steps completed; set by the loop at the end of each."""
        self.place = STEP
        """What the training thread is doing; set by the loop."""
        self.needed_bytes = 0
        """The size of a checkpoint, once it is known."""
        self._options = options
        self._folder = folder
        self._tell = tell
        self._give_up = give_up
        self._poll_seconds = min(poll_seconds, options.stall_seconds / 4)
        self._gaps: deque[float] = deque(maxlen=_GAPS)
        self._longest = {EVALUATION: 0.0, SAVE: 0.0}
        self._seen_step = 0
        self._since = time.monotonic()
        self._warm = False
        self._stalled = False
        self._disk_alarm = False
        self._disk_looked = -math.inf
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watch", daemon=True)

    def start(self, step: int = 0) -> None:
        """Begin to watch a run that stands at a step."""
        self.step = self._seen_step = step
        self._since = time.monotonic()
        self._thread.start()

    def close(self) -> None:
        """End the thread. A stall that ended since its last look is said to be over first."""
        self._ending.set()
        if threading.current_thread() is self._thread:
            return
        if self._thread.is_alive():
            self._thread.join()
        if self._stalled and self.step != self._seen_step:
            self._look_at_clock(time.monotonic())

    @contextlib.contextmanager
    def doing(self, place: str) -> Iterator[None]:
        """Something long that is no step: it has a patience of its own, and isn't held against the next step."""
        before, began = self.place, time.monotonic()
        self.place, self._since = place, began
        try:
            yield
        finally:
            self._longest[place] = max(self._longest[place], time.monotonic() - began)
            self.place, self._since = before, time.monotonic()

    def saved(self, folder: Path) -> None:
        """A checkpoint was saved: the next will be as large; the room that is left is looked at at the next poll."""
        with contextlib.suppress(OSError):
            self.needed_bytes = sum(entry.stat().st_size for entry in os.scandir(folder))
        self.look_at_disk_soon()

    def look_at_disk_soon(self) -> None:
        """Look at the room that is left at the next poll."""
        self._disk_looked = -math.inf

    def _work(self) -> None:
        while not self._ending.wait(self._poll_seconds):
            now = time.monotonic()
            if self._options.stall != "ignore":
                self._look_at_clock(now)
            if self._options.disk != "ignore" and now - self._disk_looked >= _DISK_SECONDS:
                self._disk_looked = now
                self._look_at_disk()

    def _look_at_clock(self, now: float) -> None:
        step = self.step
        if step != self._seen_step:
            if self._warm and not self._stalled:  # neither the first steps nor a stall are a measure of what is usual
                self._gaps.append((now - self._since) / max(1, step - self._seen_step))
            self._seen_step, self._since, self._warm = step, now, True
            if self._stalled:
                self._stalled = False
                self._tell("alert_over", "stall", "steps are being completed again")
            return
        waited = now - self._since
        limit = self._patience()
        if waited <= limit or self._stalled:
            return
        self._stalled = True
        message = f"no step was completed for {waited:.0f} s: {self.place}"
        policy = self._options.stall
        self._tell("alert", "stall", message, policy=policy, value=waited, level=limit, place=self.place)
        if policy == "stop" and not self._ending.is_set():
            self._give_up(message)

    def _patience(self) -> float:
        """Seconds that may pass: ten times what is usual for what is being done, and never less than asked for."""
        least = self._options.stall_seconds
        if self.place in self._longest:
            known = self._longest[self.place]
            return max(least, _FACTOR * (known if known else least))
        if not self._gaps:  # the first step loads, compiles and warms up
            return _FIRST_FACTOR * least if self.place == STEP else least
        return max(least, _FACTOR * median(self._gaps))

    def _look_at_disk(self) -> None:
        if not self.needed_bytes:
            return
        needed = _ROOM_FACTOR * self.needed_bytes + _ROOM_BYTES
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError:
            return  # its next save will say what is wrong with it
        if free < needed and not self._disk_alarm:
            self._disk_alarm = True
            message = f"the disk is filling: {_megabytes(free)} are free, and a checkpoint needs {_megabytes(needed)}"
            self._tell("alert", "disk", message, policy="alert", value=float(free), level=needed)
        elif self._disk_alarm and free > _ENOUGH_FACTOR * needed:
            self._disk_alarm = False
            self._tell("alert_over", "disk", f"there is room again: {_megabytes(free)} are free")


def _megabytes(number: float) -> str:
    return f"{number / 1e6:,.1f} MB"
