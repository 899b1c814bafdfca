"""What a rank other than the first has in place of a recorder: it takes part in everything and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from engine.config.sections import TaskConfig
from engine.store import checkpoints as stored
from engine.store.paths import AttemptPaths, RunPaths
from engine.train.control import Control
from engine.train.figures import Row
from engine.train.guard_policy import Decision, Finding
from engine.train.recorder import Recorder
from engine.train.sharded_saves import ShardedSaves
from engine.train.state import TrainState
from engine.train.watch import Watch


class Follower(Recorder):
    """A recorder that records nothing; the run's files have one writer, the first rank.

    Args:
        run, attempt: of which the first rank writes.
        config: the resolved config.
        control: the wishes that reach this process.
        resumed_from_step: the step that this attempt starts from, None for the first.
    """

    def __init__(
        self,
        run: RunPaths,
        attempt: AttemptPaths,
        config: TaskConfig,
        control: Control,
        resumed_from_step: int | None = None,
    ) -> None:
        self.run = run
        self.attempt = attempt
        self.config = config
        self.control = control
        self.last_step: int | None = None
        self._resumed_from = resumed_from_step
        self._first_step = resumed_from_step or 0
        self._sharded = ShardedSaves(run, attempt.number, lambda: None, resumed_from_step)
        # Never started: the first rank, which waits for this one in each step, tells of a stall.
        self.watch = Watch(config.guard, run.folder, lambda *_, **__: None, lambda _: None)

    def begin(self, state: TrainState, settings: dict[str, Any], samples: int, batches_per_epoch: int) -> None:
        self._first_step = state.step

    def show(self, pictures: Mapping[str, Tensor]) -> None:
        pass

    def record(self, rows: list[Row], *, to_tensorboard: bool = False) -> None:
        if rows:
            self.last_step = rows[-1].step

    def decided(self, decision: Decision, step: int) -> None:
        pass

    def rolled_back(self, state: TrainState, from_step: int, finding: Finding, batches: int) -> None:
        self._sharded.newest = state.step

    def suspect(self, step: int, facts: dict[str, Any]) -> None:
        pass

    def evaluated(self, measured: dict[str, float], state: TrainState, improved: bool) -> None:
        pass

    def tested(self, measured: dict[str, float], step: int, checkpoint: int) -> None:
        pass

    def phase(self, name: str, step: int) -> None:
        pass

    def good_checkpoints(self) -> dict[int, stored.Checkpoint]:
        return {}  # the first rank chooses, and evaluates

    def _save(self, state: TrainState, settings: dict[str, Any], reason: str, metric: float | None) -> bool:
        # What can't be saved is told by the first rank.
        return not state.parallel.sharded or self._sharded.save(state, settings, reason, metric) is not None

    def save_emergency(self, state: TrainState, settings: dict[str, Any], cause: str) -> None:
        if self.config.guard.keep_emergency:
            state.collect()
            self._save(state, settings, "emergency", None)

    def alert(self, cause: str, message: str, step: int, **facts: Any) -> None:
        pass

    def alert_over(self, cause: str, message: str, step: int, **facts: Any) -> None:
        pass

    def abandon(self) -> None:
        pass

    def end(self, word: str, step: int, **facts: Any) -> None:
        self.control.seal()
