"""The run's memory: figures, events, checkpoints and their retention, and the log that people read."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import Any

from engine.config.sections import TaskConfig
from engine.store.paths import AttemptPaths, RunPaths
from engine.train import checkpoint
from engine.train.control import Control, LeaveNow
from engine.train.events import EventLog
from engine.train.figures import Row
from engine.train.guard import GuardReport
from engine.train.metrics import MetricsWriter
from engine.train.saving import Notice, Saver
from engine.train.state import TrainState

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
        self.metrics = MetricsWriter(attempt.metrics, run.tensorboard, resumed_from_step, control.look)
        self.saver = Saver(
            run, attempt.number, config, events, self._tell_of_saves, self.metrics.flush, resumed_from_step
        )
        self._first_step = resumed_from_step or 0
        self._resumed_from = resumed_from_step
        self.last_step: int | None = None
        self._last_figures: dict[str, float] = {}
        self._best: dict[str, float] = {}
        self._log_alarm = False
        with contextlib.suppress(OSError):
            attempt.reserve.write_bytes(bytes(_RESERVE_BYTES))
        self._last_logged = (time.monotonic(), self._first_step)

    def begin(self, state: TrainState, settings: dict[str, Any], samples: int, batches_per_epoch: int) -> None:
        """Training is about to take its first step."""
        self._first_step = state.step
        parameters = sum(parameter.numel() for parameter in state.model.parameters())
        checkpoint.clear_leftovers(self.run)
        self.events.write(
            "training",
            state.step,
            total_steps=self.config.train.max_steps,
            parameters=parameters,
            samples=samples,
            batches_per_epoch=batches_per_epoch,
            settings=settings,
        )
        start = f"resuming at step {state.step:,}" if self._resumed_from is not None else "starting"
        size = f"{parameters:,} parameters, {samples:,} samples, {self.config.train.max_steps:,} steps"
        log.info("%s: %s, %s on %s", start, size, settings["dtype"], settings["device"])
        self._last_logged = (time.monotonic(), state.step)

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

    def guard_report(self, report: GuardReport, step: int) -> None:
        """Say what the guard has seen since the last reading."""
        if report.new:
            many = f"{report.new} steps were" if report.new > 1 else "a step was"
            message = f"{many} skipped: loss or gradient not finite ({report.total} so far, {report.streak} in a row)"
            self.alert("non_finite", message, step, skipped=report.total, streak=report.streak)

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

    def save(self, state: TrainState, settings: dict[str, Any], reason: str, metric: float | None) -> None:
        """Save a checkpoint and let old ones go. A failing disk is an alert, and training goes on.

        Only last checkpoints are sure to be safe on return (see `Saver.save`).

        Raises:
            MachineError: it is the run's last checkpoint, and there was no room for it for a long time.
        """
        self.control.save_now = False
        self.saver.save(state, settings, reason, metric)

    def alert(self, cause: str, message: str, step: int, **facts: Any) -> None:
        """Tell people that something is wrong."""
        log.warning("alert (%s) at step %s: %s", cause, f"{step:,}", message)
        self.events.write("alert", step, cause=cause, message=message, **facts)

    def _tell_of_saves(self, notice: Notice) -> None:
        self.alert("disk", notice.message, notice.step, **notice.facts)

    def end(self, word: str, step: int, **facts: Any) -> None:
        """Write the last word, with the last figures, and close everything. A save under way is waited for."""
        try:
            self.saver.join()
        except LeaveNow:
            self.saver.abandon()
        except Exception:
            log.exception("a checkpoint couldn't be saved")  # the last word must be written all the same
        self.control.seal()
        self.saver.close()
        self.metrics.close()
        # On a full disk this is the room in which the run can still say how it ended, and its supervisor after it.
        self.attempt.reserve.unlink(missing_ok=True)
        if self._best:
            facts.setdefault("best", self._best)
        self.events.write(word, step, metrics=self._last_figures, **facts)
        self.events.close()
