"""Lightning's Trainer under heats: its logged metrics become the run's figures, a stop saves first and then ends it.

from engine.callbacks.lightning import HeatsCallback

trainer = Trainer(..., callbacks=[HeatsCallback()])
trainer.fit(model, data, ckpt_path=HeatsCallback.checkpoint())
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback

from engine import track
from engine.callbacks.together import Together


class HeatsCallback(Callback):  # type: ignore[misc]
    """Logs, and answers to stops and to wishes for a checkpoint. Does nothing in a script that heats didn't launch.

    Args:
        folder: where checkpoints of a stop go; the run's own folder for the script by default.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder
        self._run = track.start()
        self._logged = -1
        self._stops = False
        self._together = Together()

    @staticmethod
    def checkpoint() -> str | None:
        """The checkpoint from which this attempt goes on; None at the run's first start."""
        return track.start().checkpoint or None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Lightning has its own answer to SIGTERM by now, which ends without a checkpoint: ours comes first."""
        steps = trainer.estimated_stepping_batches
        self._run = track.start(total_steps=int(steps) if math.isfinite(steps) else None, take_signals=True)
        self._together.meet(self._run.launched)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Log as often as the Trainer does; asked to stop, save at this step and end after it."""
        step = trainer.global_step
        if step != self._logged and step % max(1, trainer.log_every_n_steps) == 0:
            self._logged = step
            track.log(step, trainer.logged_metrics)
        if self._stops:
            return
        stop, save = self._together.agree(track.should_stop(), track.should_save())
        if stop or save:
            self._save(trainer, step)
        if stop:
            self._stops = trainer.should_stop = True

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Log an evaluation, but not Lightning's check before training."""
        if not trainer.sanity_checking:
            track.log(trainer.global_step, trainer.callback_metrics)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """It has come to its end, unless it was stopped."""
        if not self._stops:
            track.log(trainer.global_step, trainer.callback_metrics)
            track.finish()

    def _save(self, trainer: Any, step: int) -> None:
        folder = Path(self._folder) if self._folder else self._run.folder or Path(trainer.default_root_dir)
        folder = Path(trainer.strategy.broadcast(str(folder)))  # a process that heats didn't launch knows of no run
        path = folder / f"heats-step-{step:08d}.ckpt"
        trainer.save_checkpoint(path)
        track.saved(step, path)
