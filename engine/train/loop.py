"""The loop: one straight line from the first batch to the last word, for every task."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from engine.config.sections import TaskConfig
from engine.errors import HeatsError
from engine.store.checkpoints import Checkpoint
from engine.train import determinism, optim
from engine.train.checkpoint import Loaded
from engine.train.evaluation import evaluate
from engine.train.figures import StepFigures
from engine.train.guard import Flag, TooManySkips, step_unless
from engine.train.loader import IndexLoader, to_device
from engine.train.precision import Precision, choose_dtype
from engine.train.recorder import Recorder
from engine.train.schedule import learning_rate
from engine.train.shares import gradient_shares
from engine.train.startup import skip_compiler_import
from engine.train.state import TrainState
from engine.train.task import Batch, StepContext, Task

_READ_SECONDS = 1.0
log = logging.getLogger("heats")


@dataclass(frozen=True)
class Outcome:
    """How training ended, and at which step."""

    word: Literal["finished", "stopped", "preempted"]
    step: int
    reason: str = ""


def train(
    config: TaskConfig,
    task: Task[Any],
    recorder: Recorder,
    *,
    resume_from: Checkpoint | None = None,
    accept_settings: bool = False,
) -> Outcome:
    """Train a task to its last step, or until the recorder's control asks to end.

    Args:
        config: the resolved config.
        task: what to train.
        recorder: where figures, events and checkpoints go, and whence requests come.
        resume_from: continue from this checkpoint, to the last bit as if never interrupted.
        accept_settings: continue although bit-relevant settings differ from the checkpoint's.

    Raises:
        HeatsError: the checkpoint can't be used.
        TooManySkips: the gradients stay non-finite.
    """
    if not config.train.compile:
        skip_compiler_import()
    determinism.apply_settings(config)
    device = determinism.choose_device(config.train.device)
    precision = Precision(choose_dtype(config.precision.dtype, device), device)
    determinism.seed_everything(config.seed)
    data = task.build_data()
    # Seeded again, so that arms of a study that differ in their data still start from the same weights.
    determinism.seed_everything(config.seed)
    model = task.build_model().to(device)
    trainable = task.trainable_module(model)
    groups = task.param_groups(model) or optim.decay_groups(trainable, config.optim.weight_decay)
    optimizer = optim.build_optimizer(config.optim, groups, device)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if config.train.compile:
        model.compile()
    settings = determinism.bit_relevant_settings(config, device, precision.dtype, optim.describe(optimizer))
    state = TrainState(config, task, model, optimizer, precision, device)
    loader = IndexLoader(data, config.train.batch_size, config.seed, config.data)
    determinism.seed_everything(config.seed)
    if resume_from is not None:
        loaded = Loaded(resume_from)
        _compare_settings(loaded.settings, settings, accept_settings)
        state.load(loaded)
    recorder.begin(state, settings, len(data), loader.batches_per_epoch)

    batches = loader.batches(state.position)
    figures = StepFigures(device)
    last_read = time.monotonic()
    model.train()
    asked = recorder.control.ending  # while torch was imported, say
    if asked is not None:
        return Outcome(asked, state.step)
    while state.step < config.train.max_steps:
        lr = learning_rate(config, state.step)
        context = StepContext(state.step, config.train.max_steps, device, state.generator)
        measure_shares = config.guard.share_every and state.step % config.guard.share_every == 0
        loss, terms = _backward(config, task, state, batches, context, device, bool(measure_shares))
        bad, norm, bound = _update(state, parameters, loss, lr)
        state.step += 1

        row: dict[str, float | Tensor] = {"train/loss": loss, "train/lr": lr, "train/grad_norm": norm}
        if bound is not None:
            row["train/clip_bound"] = bound
        row["train/skipped"] = bad
        if precision.scaler is not None:
            row["train/loss_scale"] = precision.scaler.get_scale()
        figures.add(state.step, row | terms | context.figures)
        due = state.step % config.train.log_every == 0 or state.step == config.train.max_steps
        if due or time.monotonic() - last_read > _READ_SECONDS:
            recorder.record(figures.read(), to_tensorboard=due)
            last_read = time.monotonic()
        if due:  # decisions fall at fixed steps only, or a run couldn't be repeated
            recorder.guard_report(state.guard.report(), state.step)

        improved = False
        metric = None
        if _evaluation_due(config, state, loader.batches_per_epoch):
            recorder.record(figures.read())
            measured = evaluate(task, model, "val", device, precision)
            metric = measured.get(config.evaluation.best_metric)
            improved = state.best.take(metric, state.step)
            recorder.evaluated(measured, state, improved)
        ending = recorder.control.ending_at(state.step)
        if state.best.exhausted and ending is None and state.step < config.train.max_steps:
            recorder.save(state, settings, "final", metric)
            recorder.record(figures.read())
            reason = f"early: no gain in {state.best.stale} evaluations"
            return Outcome("finished", state.step, reason)
        save_reason = _save_reason(config, state, improved, recorder.control.save_now, ending)
        if save_reason:
            recorder.record(figures.read())
            recorder.save(state, settings, save_reason, metric)
        if ending is not None and state.step < config.train.max_steps:
            return Outcome(ending, state.step)
        if recorder.steps_taken(state.step) == 1:
            gc.collect()
            gc.freeze()  # what stands now stays: the collector needn't walk it again
    return Outcome("finished", state.step)


def _backward(
    config: TaskConfig,
    task: Task[Any],
    state: TrainState,
    batches: Iterator[Batch],
    context: StepContext,
    device: torch.device,
    measure_shares: bool,
) -> tuple[Tensor, dict[str, float | Tensor]]:
    """Gradients of one optimizer step; the mean total loss and each term's mean value, detached."""
    state.optimizer.zero_grad(set_to_none=True)
    accumulation = config.train.accumulation
    scaler = state.precision.scaler
    total: Tensor | None = None
    sums: dict[str, Tensor] = {}
    shares: dict[str, float | Tensor] = {}
    for _ in range(accumulation):
        batch = to_device(next(batches), device)
        state.position += 1
        with state.precision.autocast():
            terms = task.loss(state.model, batch, context)
        loss = _weighted_sum(terms) if accumulation == 1 else _weighted_sum(terms) / accumulation
        if measure_shares and len(terms) > 1:
            shares = gradient_shares(terms, state.model)
            measure_shares = False
        (scaler.scale(loss) if scaler is not None else loss).backward()  # type: ignore[no-untyped-call]
        total = loss.detach() if total is None else total + loss.detach()
        if len(terms) > 1:
            for name, (_, value) in terms.items():
                part = value.detach() if accumulation == 1 else value.detach().float() / accumulation
                sums[name] = sums[name] + part if name in sums else part
    assert total is not None
    return total, {f"train/{name}": value for name, value in sums.items()} | shares


def _weighted_sum(terms: dict[str, tuple[float, Tensor]]) -> Tensor:
    parts = [value.float() * weight if weight != 1.0 else value.float() for weight, value in terms.values()]
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum()


def _update(
    state: TrainState, parameters: list[nn.Parameter], loss: Tensor, lr: float
) -> tuple[Flag, Tensor, Tensor | float | None]:
    """Clip and step, unless loss or gradient is non-finite. Returns whether it was, the norm, and the bound."""
    scaler = state.precision.scaler
    if scaler is not None:
        scaler.unscale_(state.optimizer)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    bad = state.guard.judge(loss, norm)
    bound = state.clipper.bound(lr)
    if bound is not None:
        # The bound may be a tensor on the device, which the signature doesn't say.
        torch.nn.utils.clip_grads_with_norm_(parameters, bound, norm)  # type: ignore[arg-type]
    for group in state.optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)
    if scaler is not None:
        scaler.step(state.optimizer)
        scaler.update()
    else:
        step_unless(state.optimizer, bad)
    state.clipper.accept(norm, bad)
    return bad, norm, bound


def _evaluation_due(config: TaskConfig, state: TrainState, batches_per_epoch: int) -> bool:
    options = config.evaluation
    if state.step == config.train.max_steps or (options.every and state.step % options.every == 0):
        return True
    if not options.every_epochs:
        return False
    length = options.every_epochs * batches_per_epoch
    return state.position // length > (state.position - config.train.accumulation) // length


def _save_reason(config: TaskConfig, state: TrainState, improved: bool, asked: bool, ending: str | None) -> str | None:
    if state.step == config.train.max_steps:
        return "final"
    if ending is not None:
        return "stop"
    if improved and config.checkpoint.keep_best:
        return "best"
    if config.train.save_every and state.step % config.train.save_every == 0:
        return "scheduled"
    return "request" if asked else None


def _compare_settings(saved: dict[str, Any], here: dict[str, Any], accepted: bool) -> None:
    differing = [f"{key} {saved.get(key)!r} -> {here[key]!r}" for key in here if saved.get(key) != here[key]]
    if not differing:
        return
    text = f"settings that change bits differ from the checkpoint's: {', '.join(differing)}"
    if not accepted:
        raise HeatsError(text, remedy="resume with --accept-settings to go on all the same")
    log.warning("%s (accepted)", text)


__all__ = ["Outcome", "TooManySkips", "train"]
