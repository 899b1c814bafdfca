"""How an attempt is asked to end, or to save now: signals and request files, both seen at step boundaries only."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Literal

from engine.store.paths import RunPaths
from engine.store.requests import read_stop, take_checkpoint_request

Ending = Literal["stopped", "preempted"]
PREEMPTED_EXIT_CODE = 75
"""EX_TEMPFAIL: the attempt was preempted and should be queued again."""


class LeaveNow(BaseException):
    """Raised in the main thread when the run must end without a last checkpoint."""


class Control:
    """The wishes of people and schedulers. Handlers only set flags.

    SIGTERM and SIGINT ask to stop, a second one to leave at once; SIGUSR1 and SIGUSR2 mean preemption, and so does a
    SIGTERM under SLURM that no stop request goes with. SIGHUP is ignored.
    """

    def __init__(self, run: RunPaths, attempt: int, stop_at: int | None = None, *, rank: int | None = None) -> None:
        """Of a run and its attempt.

        Args:
            run, attempt: whose requests are looked for.
            stop_at: see the attribute.
            rank: which of several processes of the run this is; None for one alone.
        """
        self.stop_at = stop_at
        """Stop of itself after this step, for tests that need a cut at an exact place."""
        self._run = run
        self._attempt = attempt
        self.ending: Ending | None = None
        self.save_now = False
        self.asked = False
        """Whether a person's request to stop has been seen."""
        self._may_leave = True
        self._signalled = False
        self._takes_requests = rank in (None, 0)  # a wish to save is taken by whoever sees it
        self._keeper = os.getppid() if rank is not None else None
        self.reason = ""
        """Why it is to end, where nobody asked for it."""

    def ending_at(self, step: int) -> Ending | None:
        """How the run is to end at this step boundary, or None if it goes on."""
        if self.ending is None and step == self.stop_at:
            self.ending = "stopped"
        return self.ending

    def install(self) -> None:
        """Take over the signals. Main thread only."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, self._on_preempt)

    def look(self) -> None:
        """Look for request files; called now and then from the metrics thread, never in a step."""
        request = read_stop(self._run)
        if request is not None and request.attempt == self._attempt:
            self.asked = True
            self.ending = self.ending or "stopped"
        if self._takes_requests and take_checkpoint_request(self._run.requests):
            self.save_now = True
        if self._keeper is not None and os.getppid() != self._keeper and self.ending is None:
            self.reason = "torchrun, which kept its processes, has died"
            self.ending = "stopped"

    def seal(self) -> None:
        """From now on nothing interrupts: the last words are being written."""
        self._may_leave = False

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        if self.ending == "stopped" and self._signalled:
            if self._may_leave:
                self._may_leave = False
                raise LeaveNow
            return
        self._signalled = True
        request = read_stop(self._run)
        asked = request is not None and request.attempt == self._attempt
        if request is not None and asked and request.now and self._may_leave:
            self._may_leave = False
            raise LeaveNow
        self.ending = "preempted" if "SLURM_JOB_ID" in os.environ and not asked else "stopped"

    def _on_preempt(self, number: int, frame: FrameType | None) -> None:
        if self.ending is None:
            self.ending = "preempted"
