"""Back to the last good checkpoint without leaving the process, and on from there with the batches that follow."""

from __future__ import annotations

import logging

from engine.errors import HeatsError
from engine.store.checkpoints import scan
from engine.train.checkpoint import Loaded
from engine.train.guard import GuardStopped
from engine.train.guard_policy import Finding
from engine.train.recorder import Recorder
from engine.train.state import TrainState

log = logging.getLogger("heats")


def roll_back(state: TrainState, recorder: Recorder, finding: Finding) -> None:
    """Put the state of the newest good checkpoint from before the trouble back, as a resume would.

    Only the data position isn't put back: the batches since are skipped. Which checkpoint is chosen depends on the
    config and on the steps of the trouble alone (never on one that was asked for by hand, say), so that a run that was
    interrupted goes the same way as one that wasn't.

    Raises:
        GuardStopped: there is none.
    """
    from_step, position, earlier = state.step, state.position, state.guard.policy.rollbacks
    loaded = _load_best(state, recorder, finding.step)
    state.load(loaded)
    skipped = position - state.position
    state.position = position
    state.guard.policy.rolled_back(earlier, from_step, state.step)
    recorder.rolled_back(state, from_step, finding, skipped)


def _load_best(state: TrainState, recorder: Recorder, before: int) -> Loaded:
    loaded = _newest_good(state, recorder, before) if state.ranks.is_first else None
    step = state.ranks.tell(loaded.step if loaded else None)
    if step is None:
        raise GuardStopped(f"there is no good checkpoint from before step {before:,} to roll back to")
    if loaded is None:  # another rank has chosen
        loaded = Loaded(next(item for item in scan(recorder.run) if item.usable and item.step == step))
    return loaded


def _newest_good(state: TrainState, recorder: Recorder, before: int) -> Loaded | None:
    there = recorder.good_checkpoints()
    for step in state.guard.rollback_steps(before):
        if step not in there:
            continue
        try:
            return Loaded(there[step])
        except HeatsError as error:
            log.warning("can't roll back to step %s: %s", f"{step:,}", error)
    return None
