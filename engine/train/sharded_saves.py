"""Saving the checkpoints of a sharded model: what all ranks do alike, and together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.errors import MachineError
from engine.store import checkpoints as stored
from engine.store.paths import RunPaths
from engine.train.checkpoint import About
from engine.train.sharded import write_sharded
from engine.train.state import TrainState

LAST = ("final", "stop")
"""Reasons for a save after which nothing of the training is left in memory."""


class ShardedSaves:
    """The part of saving sharded checkpoints that all ranks do alike.

    Args:
        run, attempt: whose checkpoints, and the number of the attempt.
        flush: see `Saver`.
        resumed_from_step: of which there is a checkpoint already.
    """

    def __init__(self, run: RunPaths, attempt: int, flush: Callable[[], None], resumed_from_step: int | None) -> None:
        self.newest = resumed_from_step or None
        self.wrote = False
        """Whether the last call of `save` wrote anything."""
        self.problem = ""
        """Why it didn't, where it should have."""
        self._run = run
        self._attempt = attempt
        self._flush = flush

    def save(self, state: TrainState, settings: dict[str, Any], reason: str, metric: float | None) -> Path | None:
        """Save a checkpoint together; its folder, or None where that has failed.

        Raises:
            MachineError: it is the run's last checkpoint.
        """
        emergency = reason == "emergency"
        self.wrote, self.problem = False, ""
        if self.newest == state.step and not emergency:
            return self._run.checkpoints / stored.folder_name(state.step)
        about = About(state.step, self._attempt, reason, settings, metric, emergency)
        try:
            folder = write_sharded(self._run, about, state, self._flush)
        except MachineError as error:
            if reason in LAST:
                raise
            self.problem = error.message
            return None
        self.wrote = True
        if not emergency:
            self.newest = state.step
        return folder
