"""Moments to kill at: each waits for something in the run's folder, so that kills fall into the middle of it."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from engine.store.records import read_launch
from tests.campaign.cast import Cast, Role
from tests.campaign.truth import facts, own_events

PATIENCE_SECONDS = 600.0
_TICK_SECONDS = 0.0002


class Ended(Exception):
    """The attempt has ended before its moment came."""


class Aim:
    """Waits for the moments of one attempt.

    Args:
        cast: its processes.
        chance: where all draws come from.
        loading_seconds: how long the attempt before took from its start to its first step.
        refused: whether there will be no such attempt, because resuming failed.
    """

    def __init__(self, cast: Cast, chance: random.Random, loading_seconds: float, refused: Callable[[], bool]) -> None:
        self.cast = cast
        self.chance = chance
        self.loading_seconds = loading_seconds
        self.refused = refused

    def wait(self, moment: str, target: str) -> None:
        """Return at the moment, or as soon after it as somebody of the target is there.

        Raises:
            Ended: it will not come any more.
        """
        MOMENTS[moment](self)
        role: Role = "trainer" if target == "trainer" else "supervisor"
        self._until(lambda: bool(self.cast.living(role)), refresh=True)

    def anywhere(self) -> None:
        """At a moment drawn over the whole life of an attempt, its start included."""
        self._pause(self.loading_seconds + 2.0)

    def supervisor_starting(self) -> None:
        self._until(lambda: bool(self.cast.living("supervisor")), refresh=True)
        self._pause(0.15)

    def trainer_starting(self) -> None:
        self._until(self._trainer_is_noted)
        self._pause(0.15)

    def loading(self) -> None:
        self._until(lambda: "started" in own_events(self.cast))
        self._pause(self.loading_seconds)

    def first_steps(self) -> None:
        self._until(lambda: "training" in own_events(self.cast))
        self._pause(0.05)

    def saving(self) -> None:
        """While a checkpoint is being written aside."""
        self._training()
        self._until(lambda: any(name.startswith(".step-") for name in _names(self.cast.run.checkpoints)))
        self._pause(0.01)

    def renamed(self) -> None:
        """Right after a checkpoint got its name: its event and the end of old ones are still to come."""
        self._training()
        there = set(_names(self.cast.run.checkpoints))
        self._until(lambda: any(name[0] != "." for name in set(_names(self.cast.run.checkpoints)) - there))
        self._pause(0.001)

    def metrics(self) -> None:
        """Right when metrics.jsonl grows."""
        self._training()
        size = _size(self.cast.attempt.metrics)
        self._until(lambda: _size(self.cast.attempt.metrics) != size)

    def _training(self) -> None:
        self._until(lambda: "training" in own_events(self.cast))
        self._pause(1.0)

    def _trainer_is_noted(self) -> bool:
        launch = read_launch(self.cast.attempt.launch)
        return launch is not None and launch.trainer_pid is not None

    def _until(self, check: Callable[[], bool], *, refresh: bool = False) -> None:
        began = looked = time.monotonic()
        while not check():
            now = time.monotonic()
            if refresh:
                self.cast.refresh()
            if now - looked > 0.5:
                looked = now
                found = facts(self.cast)
                if found.word is not None or (found.over and self.cast.known) or self.refused():
                    raise Ended
            if now - began > PATIENCE_SECONDS:
                raise Ended
            time.sleep(_TICK_SECONDS)

    def _pause(self, at_most_seconds: float) -> None:
        time.sleep(self.chance.random() * at_most_seconds)


MOMENTS: dict[str, Callable[[Aim], None]] = {
    "anywhere": Aim.anywhere,
    "supervisor starting": Aim.supervisor_starting,
    "trainer starting": Aim.trainer_starting,
    "loading": Aim.loading,
    "first steps": Aim.first_steps,
    "saving": Aim.saving,
    "renamed": Aim.renamed,
    "metrics": Aim.metrics,
}


def where_it_hit(cast: Cast) -> str:
    """What the kill fell into, by what it left behind."""
    events = own_events(cast)
    launch = read_launch(cast.attempt.launch)
    if launch is None or launch.trainer_pid is None:
        return "the supervisor's start"
    if "started" not in events:
        return "the trainer's start"
    if "training" not in events:
        return "loading"
    names = _names(cast.run.checkpoints)
    aside = [cast.run.checkpoints / name for name in names if name.startswith(".step-")]
    if aside:
        whole = all((folder / "MANIFEST.json").exists() for folder in aside)
        return "a save, before its rename" if whole else "a save or a deletion"
    if _logged_last(cast) < _newest(names):
        return "after a rename"
    modified = _modified(cast.attempt.metrics)
    if time.time() - modified < 0.02:
        return "a metric write"
    return "finishing" if events[-1] in ("finished", "stopped") else "training"


def _logged_last(cast: Cast) -> int:
    lines = cast.attempt.events.read_bytes().split(b"\n")[:-1]
    steps = [json.loads(line)["step"] for line in lines if b'"checkpoint"' in line or b'"training"' in line]
    return max((step for step in steps if step is not None), default=0)


def _newest(names: list[str]) -> int:
    return max((int(name[5:]) for name in names if name.startswith("step-")), default=0)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
