"""What a run takes from another one: its best weights, every byte verified."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from engine.config.sections import TaskConfig
from engine.errors import HeatsError
from engine.store.checkpoints import best, choose, scan
from engine.store.names import find_run
from engine.store.paths import RunPaths, default_root, open_store
from engine.store.records import read_run
from engine.store.stored_config import training_config
from engine.train.checkpoint import Loaded, restore_model

log = logging.getLogger("heats")


@dataclass(frozen=True)
class SourceRun:
    """A run that another one takes something from."""

    run: RunPaths
    config: TaskConfig
    checkpoint: Loaded
    """Its best one, or the latest where it has evaluated none."""

    def copy_weights(self, model: nn.Module, *, place: str) -> None:
        """Copy the weights into a model of the same make.

        Args:
            model: where to.
            place: the option that names the run, for messages.

        Raises:
            HeatsError: the models differ in a tensor.
        """
        try:
            restore_model(model, self.checkpoint.model, self.checkpoint.aliases)
        except HeatsError as error:
            raise HeatsError(
                f"the weights of {self.run.id} don't fit this run's model: {error.message.partition(': ')[2]}",
                place=place, remedy="name a run with the same options under `model` and `data`",
            ) from None  # fmt: skip
        log.info("starting from the weights of %s at step %s", self.run.id, f"{self.checkpoint.step:,}")


def open_run(store: Path | None, wanted: str, task: str, *, place: str) -> SourceRun:
    """A run with its best checkpoint, verified to the last byte.

    Args:
        store: the folder of the store that the asking run lies in; that of HEATS_RUNS_DIR is looked in after it.
        wanted: a run's id, what a user would type for it, or the path of its folder.
        task: what it must be a run of.
        place: the option that names the run, for messages.

    Raises:
        HeatsError: there is no such run, it is of another task, or it has no checkpoint that can be used.
    """
    run = _find(store, wanted, place)
    record = read_run(run.record)
    if record is None:
        raise HeatsError(f"{run.id} has no run.json that can be read", place=place)
    if record.task != task:
        raise HeatsError(f"{run.id} is a run of {record.task}, not of {task}", place=place)
    config = training_config(run)
    judged = best(scan(run), config.best_mode) is not None
    chosen = choose(run, "best" if judged else "latest", config.best_mode).checkpoint
    if chosen is None:
        raise HeatsError(
            f"{run.id} has no checkpoint that can be used yet", place=place, remedy="wait for it, or name another run"
        )
    return SourceRun(run, config, Loaded(chosen))


def _find(store: Path | None, wanted: str, place: str) -> RunPaths:
    folder = Path(wanted).expanduser()
    if folder.is_absolute() or "/" in wanted:
        if not (folder / "run.json").exists():
            raise HeatsError(f"{wanted} is no run's folder", place=place)
        return RunPaths(folder.absolute())
    roots = [root for root in (store, default_root()) if root is not None and root.is_dir()]
    problem: HeatsError | None = None
    for root in dict.fromkeys(root.absolute() for root in roots):
        try:
            return find_run(open_store(root), wanted)
        except HeatsError as error:
            problem = problem or error
    if problem is None:
        raise HeatsError(f"there is no store to find {wanted} in", place=place)
    raise HeatsError(problem.message, place=place, remedy=problem.remedy)
