"""A thread beside training that looks after the other ranks: one that has gone may leave this one waiting forever."""

from __future__ import annotations

import logging
import os
import threading
import time

from engine.train.control import Control
from engine.train.follower import Follower
from engine.train.ranks import Ranks
from engine.train.recorder import Recorder

log = logging.getLogger("heats")
_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 10.0
"""On CPUs whoever waits for a process that has gone is told at once; on GPUs perhaps never."""


class Vigil:
    """Watches over one rank's peers, and looks for requests where no recorder does. Does nothing for a process alone.

    Args:
        ranks: this process among the others.
        control: the wishes that reach this process.
        recorder: says the last word if training is stuck.
    """

    def __init__(self, ranks: Ranks, control: Control, recorder: Recorder) -> None:
        self._ranks = ranks
        self._control = control
        self._recorder = recorder
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="vigil", daemon=True)

    def start(self) -> None:
        """Begin to watch, if there are others."""
        if self._ranks.several:
            self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _trouble(self) -> str | None:
        """Why training can't go on, if it can't."""
        found = self._ranks.trouble()
        if found is not None:
            return found.sentence()
        if self._ranks.parting or self._ranks.met or self._control.ending is None or self._control.asked:
            return None
        # Torchrun ends the others when one dies; whoever waits for that one to come doesn't hear it.
        return "it was told to end before all its processes had met; one of them may have died at its start"

    def _work(self) -> None:
        since: float | None = None
        while not self._ending.wait(_LOOK_SECONDS):
            if isinstance(self._recorder, Follower):
                self._control.look()
            reason = self._trouble()
            if reason is None:
                since = None
                continue
            since = time.monotonic() if since is None else since
            if time.monotonic() - since < _PATIENCE_SECONDS or self._ending.is_set():
                continue
            # The training thread should have noticed long ago: it is stuck in a collective.
            log.error("%s", reason)
            self._ranks.say("failed", reason, secondary=True)
            self._recorder.abandon()
            self._recorder.end("failed", self._recorder.last_step or 0, error=reason)
            os._exit(1)
