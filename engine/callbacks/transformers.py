"""Hugging Face's Trainer under heats: its log becomes the run's figures, a stop saves first and then ends it.

from engine.callbacks.transformers import HeatsCallback

trainer = Trainer(..., callbacks=[HeatsCallback()])
trainer.train(resume_from_checkpoint=HeatsCallback.checkpoint())
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from engine import track
from engine.callbacks.together import Together


class HeatsCallback(TrainerCallback):  # type: ignore[misc]
    """Logs, and answers to stops and to wishes for a checkpoint. Does nothing in a script that heats didn't launch."""

    def __init__(self) -> None:
        self._stops = False
        self._together = Together()

    @staticmethod
    def checkpoint() -> str | None:
        """The checkpoint from which this attempt goes on; None at the run's first start."""
        return track.start().checkpoint or None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The Trainer knows by now how many steps it will take."""
        run = track.start(total_steps=state.max_steps if state.max_steps > 0 else None)
        self._together.meet(run.launched)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Figures of training and of evaluations."""
        track.log(state.global_step, logs or {})

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Asked to stop, the Trainer saves at this step and ends after it."""
        stop, save = self._together.agree(track.should_stop(), track.should_save())
        if stop or save:
            control.should_save = True
        if stop:
            self._stops = control.should_training_stop = True
        return control

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The Trainer has written a checkpoint."""
        path = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if path.is_dir():
            track.saved(state.global_step, path)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """It has come to its end, unless it was stopped."""
        if not self._stops:
            track.finish()
