"""The run's memory: figures, events, checkpoints and their retention, and the log that people read."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from engine.config.sections import TaskConfig
from engine.errors import MachineError
from engine.store import checkpoints as stored
from engine.store import retention
from engine.store.paths import AttemptPaths, RunPaths
from engine.store.records import read_launch
from engine.train import checkpoint
from engine.train.control import Control, LeaveNow
from engine.train.events import EventLog
from engine.train.figures import Row
from engine.train.guard_policy import Decision, Finding
from engine.train.hparams import shown_options
from engine.train.metrics import MetricsWriter
from engine.train.pace import Pace
from engine.train.patience import Patience
from engine.train.pictures import Picture
from engine.train.saving import Notice, Saver
from engine.train.state import TrainState
from engine.train.watch import SAVE, Watch

log = logging.getLogger("heats")
_LOG_SECONDS = 10.0
_RESERVE_BYTES = 1 << 15


class Recorder:
    """Everything that one attempt writes into its run's folder.

    Args:
        run, attempt: where to write.
        config: the resolved config.
        control: the wishes of people and schedulers, which requests in the run's folder are added to.
        events: the attempt's event log.
        resumed_from_step: the step that this attempt starts from, None for the first.
    """

    def __init__(
        self,
        run: RunPaths,
        attempt: AttemptPaths,
        config: TaskConfig,
        control: Control,
        events: EventLog,
        resumed_from_step: int | None = None,
    ) -> None:
        self.run = run
        self.attempt = attempt
        self.config = config
        self.control = control
        self.events = events
        self.metrics = MetricsWriter(
            attempt.metrics,
            run.tensorboard,
            resumed_from_step,
            control.look,
            options=shown_options(config),
            name=run.id,
        )
        self.watch = Watch(config.guard, run.folder, self._tell, self._give_up)
        self.saver = Saver(
            run, attempt.number, config, events, self._tell_of_saves, self.metrics.flush, self.watch.saved,
            resumed_from_step, Patience.of(read_launch(attempt.launch)),
        )  # fmt: skip
        self._first_step = resumed_from_step or 0
        self._resumed_from = resumed_from_step
        self.last_step: int | None = None
        self._last_figures: dict[str, float] = {}
        self._pace = Pace()
        self._best: dict[str, float] = {}
        self._log_alarm = False
        with contextlib.suppress(OSError):
            attempt.reserve.write_bytes(bytes(_RESERVE_BYTES))
        self._last_logged = (time.monotonic(), self._first_step)

    def begin(self, state: TrainState, settings: dict[str, Any], samples: int, batches_per_epoch: int) -> None:
        """Training is about to take its first step."""
        self._first_step = state.step
        parameters = sum(parameter.numel() for parameter in state.model.parameters())
        module = state.task.trainable_module(state.model)
        trainable = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
        checkpoint.clear_leftovers(self.run)
        self.events.write(
            "training",
            state.step,
            total_steps=self.config.train.max_steps,
            parameters=parameters,
            trainable=trainable,
            samples=samples,
            batches_per_epoch=batches_per_epoch,
            settings=settings,
        )
        start = f"resuming at step {state.step:,}" if self._resumed_from is not None else "starting"
        size = f"{parameters:,} parameters, {samples:,} samples, {self.config.train.max_steps:,} steps"
        log.info("%s: %s, %s on %s", start, size, settings["dtype"], settings["device"])
        self._last_logged = (time.monotonic(), state.step)
        self.watch.start(state.step)

    def show(self, pictures: Mapping[str, Tensor]) -> None:
        """Keep pictures of the data, (C, H, W) uint8 by name, as files, and show them in TensorBoard."""
        for name, tensor in pictures.items():
            picture = Picture.of(tensor)
            self.metrics.show(self._first_step, f"data/{name}", picture)
            with contextlib.suppress(
                OSError, MachineError
            ):  # they can be drawn again, and no training ends for want of them
                picture.save(self.run.pictures / "data" / f"{name}.png")

    def steps_taken(self, step: int) -> int:
        """Optimizer steps of this attempt so far."""
        return step - self._first_step

    def record(self, rows: list[Row], *, to_tensorboard: bool = False) -> None:
        """Take in the figures of steps; the last of them goes to TensorBoard too if wanted."""
        for number, row in enumerate(rows, start=1):
            shown = to_tensorboard and number == len(rows)
            self.metrics.log(row.step, row.figures, moment=row.moment, tensorboard=shown)
        if not rows:
            return
        newest = rows[-1].figures
        step = self.last_step = rows[-1].step
        self._last_figures |= newest
        self._pace.take(rows)
        now = time.monotonic()
        logged, logged_step = self._last_logged
        if now - logged >= _LOG_SECONDS:
            pace = (step - logged_step) / (now - logged)
            left = (self.config.train.max_steps - step) / pace if pace else 0.0
            place = f"step {step:,} of {self.config.train.max_steps:,}"
            loss, rate = newest["train/loss"], newest["train/lr"]
            log.info("%s  loss %.4g  lr %.3g  %.3g steps/s  %.0f s left", place, loss, rate, pace, left)
            self._last_logged = (now, step)
        self._watch_log(step)
        self.saver.hear()

    def _watch_log(self, step: int) -> None:
        error = self.metrics.error
        if error is not None and not self._log_alarm:
            self.alert("disk", f"figures can't be written ({error.strerror}); they are kept in memory", step)
        self._log_alarm = error is not None

    def decided(self, decision: Decision, step: int) -> None:
        """Say what the guard has to say."""
        for note in decision.notes:
            if note.event == "alert":
                self.alert(note.cause, note.message, step, **note.facts)
            else:
                self.alert_over(note.cause, note.message, step, **note.facts)
        if decision.action == "cut_lr" and decision.finding is not None:
            log.warning("the learning rate is cut at step %s (%s)", f"{step:,}", decision.finding.cause)
            self.events.write("lr_cut", step, cause=decision.finding.cause, factor=self.config.guard.cut_factor)

    def rolled_back(self, state: TrainState, from_step: int, finding: Finding, batches: int) -> None:
        """The state of an earlier checkpoint is back: everything past its step is shadowed from here on.

        Checkpoints of the stretch that was given up go first: were this process killed right after, none of them could
        be taken for the newest.
        """
        step = state.step
        for found in stored.scan(self.run):
            if not found.emergency and found.step > step:
                with contextlib.suppress(OSError):
                    retention.remove(found)
        message = f"rolled back from step {from_step:,} to {step:,}, past {batches:,} batches: {finding.message}"
        log.warning("%s", message)
        self.metrics.roll_back(step, from_step)
        self.metrics.flush()
        self.events.write(
            "rolled_back", step, from_step=from_step, cause=finding.cause, batches=batches, message=message
        )
        self.saver.went_back(step)
        self._last_figures.clear()
        self._best = {"step": float(state.best.step), self.config.evaluation.best_metric: state.best.value}
        if not state.best.step:
            self._best = {}
        self._last_logged = (time.monotonic(), step)

    def good_checkpoints(self) -> dict[int, stored.Checkpoint]:
        """By step, the checkpoints that a rollback may go back to; one that is being saved is waited for."""
        self.saver.join()
        return {item.step: item for item in stored.scan(self.run) if item.usable}

    def suspect(self, step: int, facts: dict[str, Any]) -> None:
        """The run has finished, but hardly learnt anything."""
        log.warning("suspect: %s", facts["message"])
        self.events.write("suspect", step, **facts)

    def evaluated(self, measured: dict[str, float], state: TrainState, improved: bool) -> None:
        """Take in an evaluation."""
        self.metrics.log(state.step, measured)
        self._last_figures |= measured
        if improved:
            self._best = {"step": float(state.step), self.config.evaluation.best_metric: state.best.value}
        facts: dict[str, Any] = {"metrics": measured, "improved": improved}
        if self._best:
            facts["best"] = self._best
        self.events.write("evaluated", state.step, **facts)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in list(measured.items())[:4])
        log.info("evaluated at step %s: %s%s", f"{state.step:,}", shown, "  (best)" if improved else "")

    def tested(self, measured: dict[str, float], step: int, checkpoint: int) -> None:
        """Take in the one look at the test set, with the weights of the checkpoint of this step."""
        self.metrics.log(step, measured)
        self._last_figures |= measured
        self.events.write("tested", step, metrics=measured, checkpoint=checkpoint)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in measured.items())
        log.info("tested the weights of step %s: %s", f"{checkpoint:,}", shown)

    def phase(self, name: str, step: int) -> None:
        """Another phase of the run begins."""
        log.info("phase `%s` begins at step %s", name, f"{step:,}")
        self.events.write("phase", step, phase=name)

    def save(self, state: TrainState, settings: dict[str, Any], reason: str, metric: float | None) -> None:
        """Save a checkpoint and let old ones go. A failing disk is an alert, and training goes on.

        Only last checkpoints are sure to be safe on return (see `Saver.save`).

        Raises:
            MachineError: it is the run's last checkpoint, and there was no room for it for a long time.
        """
        self.control.save_now = False
        state.collect()
        with self.watch.doing(SAVE):
            self._save(state, settings, reason, metric)

    def _save(self, state: TrainState, settings: dict[str, Any], reason: str, metric: float | None) -> bool:
        if state.parallel.sharded:
            return self.saver.save_sharded(state, settings, reason, metric)
        return self.saver.save(state, settings, reason, metric)

    def save_emergency(self, state: TrainState, settings: dict[str, Any], cause: str) -> None:
        """Keep the state as it is, apart from the others; nothing resumes from it unasked. Never raises."""
        if not self.config.guard.keep_emergency:
            return
        began = time.monotonic()
        state.collect()
        with self.watch.doing(SAVE):
            saved = self._save(state, settings, "emergency", None)
        if saved:
            self.events.write("emergency", state.step, cause=cause, seconds=time.monotonic() - began)

    def alert(self, cause: str, message: str, step: int, **facts: Any) -> None:
        """Tell people that something is wrong."""
        log.warning("alert (%s) at step %s: %s", cause, f"{step:,}", message)
        self.events.write("alert", step, cause=cause, message=message, **facts)

    def alert_over(self, cause: str, message: str, step: int, **facts: Any) -> None:
        """Tell people that something is no longer wrong."""
        log.info("alert over (%s) at step %s: %s", cause, f"{step:,}", message)
        self.events.write("alert_over", step, cause=cause, message=message, **facts)

    def _tell_of_saves(self, notice: Notice) -> None:
        self.alert(notice.cause, notice.message, notice.step, **notice.facts)

    def _tell(self, event: str, cause: str, message: str, **facts: Any) -> None:
        tell = self.alert if event == "alert" else self.alert_over
        tell(cause, message, self.watch.step, **facts)

    def _give_up(self, reason: str) -> None:
        """End the process from the watch's thread: the training thread is stuck and can't be asked to."""
        self.saver.abandon()
        self.end("failed", self.watch.step, error=reason)
        os._exit(1)

    def abandon(self) -> None:
        """Leave off saving: from now on no checkpoint becomes visible."""
        self.saver.abandon()

    def end(self, word: str, step: int, **facts: Any) -> None:
        """Write the last word, with the last figures, and close everything. A save under way is waited for."""
        self.watch.close()
        try:
            self.saver.join()
        except LeaveNow:
            self.saver.abandon()
        except Exception:  # whatever the writer's thread died of (see `Saver.join`): the last word must be written
            log.exception("a checkpoint couldn't be saved")
        self.control.seal()
        self.saver.close()
        self.metrics.close()
        # On a full disk this is the room in which the run can still say how it ended, and its supervisor after it.
        self.attempt.reserve.unlink(missing_ok=True)
        if self._best:
            facts.setdefault("best", self._best)
        pace = self._pace.facts()
        if "step_seconds" in pace:
            tokens = f", {pace['tokens_per_second']:,.0f} tokens/s" if "tokens_per_second" in pace else ""
            memory = pace["peak_memory_bytes"] / 2**20
            log.info("%.3g ms a step%s, at most %.0f MiB of memory", 1e3 * pace["step_seconds"], tokens, memory)
        self.events.write(word, step, metrics=self._last_figures, **pace, **facts)
        self.events.close()
