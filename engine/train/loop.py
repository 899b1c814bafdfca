"""The loop: one straight line from the first batch to the last word, for every task."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from engine.config.sections import TaskConfig
from engine.errors import HeatsError
from engine.store import checkpoints as stored
from engine.store.checkpoints import Checkpoint
from engine.store.retention import PHASE
from engine.train import determinism, optim, preflight
from engine.train.chance import suspicion, worse_than_guessing
from engine.train.checkpoint import Loaded, model_tensors, optimizer_tensors, restore_model
from engine.train.evaluation import evaluate
from engine.train.figures import StepFigures
from engine.train.guard import Flag, GuardStopped, step_unless
from engine.train.guard_policy import Decision
from engine.train.loader import IndexLoader, to_device
from engine.train.parallel import Parallel, local, whole
from engine.train.phases import Phase, beginning, phase_at
from engine.train.precision import Precision, choose_dtype
from engine.train.ranks import Ranks
from engine.train.recorder import Recorder
from engine.train.rollback import roll_back
from engine.train.shares import gradient_shares
from engine.train.startup import skip_compiler_import
from engine.train.state import TrainState, refuse_non_finite
from engine.train.task import Batch, StepContext, Task
from engine.train.watch import BATCH, EVALUATION, STEP, Watch
from engine.train.weights import fingerprint

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
    reset_scaler: bool = False,
    ranks: Ranks | None = None,
) -> Outcome:
    """Train a task to its last step, or until the recorder's control asks to end.

    Args:
        config: the resolved config.
        task: what to train.
        recorder: where figures, events and checkpoints go, and whence requests come.
        resume_from: continue from this checkpoint, to the last bit as if never interrupted.
        accept_settings: continue although bit-relevant settings differ from the checkpoint's.
        reset_scaler: continue with a fresh loss scale.
        ranks: this process among those that train together; all of them call this. Alone without it.

    Raises:
        HeatsError: the checkpoint can't be used, or a loss term can't be trained.
        GuardStopped: the guard has ended the run.
    """
    if not config.train.compile:
        skip_compiler_import()
    determinism.apply_settings(config)
    device = determinism.choose_device(config.train.device)
    ranks = ranks or Ranks()
    ranks.meet(device)
    precision = Precision(choose_dtype(config.precision.dtype, device), device)
    determinism.seed_everything(config.seed)
    data = ranks.in_turn(task.build_data)
    config = task.config = recorder.config = task.settle(len(data))
    # Seeded again, so that arms of a study that differ in their data still start from the same weights.
    determinism.seed_everything(config.seed)
    model = task.build_model()
    if resume_from is None:
        task.warm_start(model)
    model = model.to(device)
    parallel = Parallel(model, ranks, config.parallel.kind)
    trainable = task.trainable_module(model)
    groups = task.param_groups(model) or optim.default_groups(config.optim, trainable)
    optimizer = optim.build_optimizer(config.optim, groups, device, sharded=parallel.sharded)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if config.train.compile:
        model.compile()
    settings = determinism.bit_relevant_settings(config, device, precision.dtype, optim.describe(optimizer), ranks.size)
    state = TrainState(config, task, model, optimizer, precision, device, parallel)
    loader = IndexLoader(data, config.train.batch_size, config.seed, config.data, ranks.rank, ranks.size)
    determinism.seed_everything(determinism.rank_seed(config.seed, ranks.rank))
    model.train()
    if resume_from is not None:
        loaded = Loaded(resume_from)
        _compare_settings(loaded.settings, settings, accept_settings)
        if resume_from.emergency:
            refuse_non_finite(loaded)
        state.load(loaded, reset_scaler=reset_scaler)
    steps_per_epoch = max(1, loader.batches_per_epoch // config.train.accumulation)
    state.guard.begin(steps_per_epoch, lambda: _fingerprint(state, parameters))
    recorder.begin(state, settings, len(data), loader.batches_per_epoch)
    if resume_from is None:
        recorder.show(task.pictures())
    watch = recorder.watch
    phases = task.phases()
    if config.guard.preflight and resume_from is None:
        for phase in phases:
            context = StepContext(phase.start, config.train.max_steps, device, state.generator)
            preflight.check(state, to_device(loader.one_batch(0), device), context)

    batches = loader.batches(state.position)
    figures = StepFigures(device)
    measured: dict[str, float] = {}
    last_read = time.monotonic()
    asked = ranks.ask(recorder.control).ending  # while torch was imported, say
    if asked is not None:
        return Outcome(asked, state.step, recorder.control.reason)
    while state.step < config.train.max_steps:
        phase = phase_at(phases, state.step)
        lr = task.learning_rate(state.step) * state.guard.policy.lr_multiplier(state.step)
        context = StepContext(state.step, config.train.max_steps, device, state.generator)
        measure_shares = config.guard.share_every and state.step % config.guard.share_every == 0
        for parameter in parameters:
            parameter.grad = None
        loss, terms = _backward(config, task, state, batches, context, device, watch, bool(measure_shares))
        loss, terms = ranks.share_step(recorder.control, loss, terms)
        bad, norm, bound = _update(state, parameters, loss, lr)
        state.step += 1
        task.step = watch.step = state.step
        begins = beginning(phases, state.step)

        row: dict[str, float | Tensor] = {"train/loss": loss, "train/lr": lr, "train/grad_norm": norm}
        if bound is not None:
            row["train/clip_bound"] = bound
        row["train/skipped"] = bad
        if precision.scaler is not None:
            row["train/loss_scale"] = precision.scale()
        figures.add(state.step, row | terms | context.figures)
        due = state.step % config.train.log_every == 0 or state.step == config.train.max_steps or begins is not None
        if due or time.monotonic() - last_read > _READ_SECONDS:
            _read(figures, state, recorder, to_tensorboard=due)
            last_read = time.monotonic()
        if due:  # decisions fall at fixed steps only, or a run couldn't be repeated
            decision = state.guard.decide(state.step, lambda: _fingerprint(state, parameters))
            if _follow(decision, state, settings, recorder):
                continue
        if begins is not None:
            _begin_phase(begins, state, recorder)

        improved = False
        metric = None
        measured = {}
        if _evaluation_due(config, state, loader.batches_per_epoch):
            _read(figures, state, recorder)
            with watch.doing(EVALUATION):
                measured = _evaluate(state, device)
            if phase.judged:
                metric = measured.get(config.evaluation.best_metric)
                improved = state.best.take(metric, state.step)
            recorder.evaluated(measured, state, improved)
            if task.num_classes is not None:
                epochs = (state.position - phase.start * config.train.accumulation) / loader.batches_per_epoch
                finding = worse_than_guessing(task, measured, state.step, epochs)
                _follow(state.guard.judge_evaluation(state.step, finding), state, settings, recorder)
        if _due_by_config(config, state, improved) or begins is not None:
            state.guard.anchor(state.step)
        wishes = ranks.agreed(recorder.control, state.step)
        ending = wishes.ending
        if state.best.exhausted and ending is None and state.step < config.train.max_steps:
            _read(figures, state, recorder)
            recorder.save(state, settings, "final", metric)
            reason = f"early: no gain in {state.best.stale} evaluations"
            _conclude(config, task, measured, state, recorder)
            return Outcome("finished", state.step, reason)
        save_reason = _save_reason(config, state, begins, improved, wishes.save_now, ending)
        if save_reason:
            _read(figures, state, recorder)
            recorder.save(state, settings, save_reason, metric)
        if ending is not None and state.step < config.train.max_steps:
            return Outcome(ending, state.step, recorder.control.reason)
        if recorder.steps_taken(state.step) == 1:
            gc.collect()
            gc.freeze()  # what stands now stays: the collector needn't walk it again
            watch.needed_bytes = _checkpoint_bytes(state)
    _conclude(config, task, measured, state, recorder)
    return Outcome("finished", state.step)


def _read(figures: StepFigures, state: TrainState, recorder: Recorder, *, to_tensorboard: bool = False) -> None:
    """Read the figures of the steps so far, for the guard and for the record."""
    rows = figures.read()
    state.guard.take(rows)
    recorder.record(rows, to_tensorboard=to_tensorboard)


def _follow(decision: Decision, state: TrainState, settings: dict[str, Any], recorder: Recorder) -> bool:
    """Say and do what the guard has decided; whether the run was rolled back.

    Raises:
        GuardStopped: it was to stop.
    """
    recorder.decided(decision, state.step)
    if decision.finding is None:
        return False
    recorder.save_emergency(state, settings, decision.finding.cause)
    if decision.action == "stop":
        raise GuardStopped(decision.reason)
    if decision.action == "rollback":
        roll_back(state, recorder, decision.finding)
        return True
    return False


def _backward(
    config: TaskConfig,
    task: Task[Any],
    state: TrainState,
    batches: Iterator[Batch],
    context: StepContext,
    device: torch.device,
    watch: Watch,
    measure_shares: bool,
) -> tuple[Tensor, dict[str, float | Tensor]]:
    """Gradients of one optimizer step; the mean total loss and each term's mean value, detached."""
    accumulation = config.train.accumulation
    scaler = state.precision.scaler
    total: Tensor | None = None
    sums: dict[str, Tensor] = {}
    shares: dict[str, float | Tensor] = {}
    for number in range(accumulation):
        watch.place = BATCH
        batch = to_device(next(batches), device)
        watch.place = STEP
        state.position += 1
        last = number == accumulation - 1
        with state.parallel.accumulating(last):
            with state.precision.autocast():
                terms = state.parallel.run(partial(task.loss, state.model, batch, context), last=last)
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
    norm = whole(torch.nn.utils.get_total_norm(gradients))
    bad = state.guard.judge(loss, norm)
    bound = state.clipper.bound(lr)
    # Where the host can see that the factor is 1, multiplying by it is left out. The margin is that of torch's sum.
    within = isinstance(bad, bool) and isinstance(bound, float) and norm.item() * (1 + 1e-6) + 1e-6 <= bound
    if bound is not None and not within:
        # The bound may be a tensor on the device, which the signature doesn't say.
        torch.nn.utils.clip_grads_with_norm_(parameters, bound, norm)  # type: ignore[arg-type]
    for group in state.optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)
    # The scaler has unscaled: its own step would do the same, but knows nothing of updates that the guard drops.
    step_unless(state.optimizer, bad)
    if scaler is not None:
        scaler.update()
    state.clipper.accept(norm, bad)
    return bad, norm, bound


def _fingerprint(state: TrainState, parameters: list[nn.Parameter]) -> str:
    """Changes whenever a weight does, on whichever rank."""
    if not state.parallel.sharded:
        return fingerprint(parameters)
    return "-".join(state.ranks.gather(fingerprint([local(parameter.detach()) for parameter in parameters])))


def _evaluate(state: TrainState, device: torch.device, split: Literal["val", "test"] = "val") -> dict[str, float]:
    """The first rank's evaluation, for all; the others take part where they hold parts of the model."""
    measured: dict[str, float] = {}
    if state.ranks.is_first or state.parallel.sharded:
        measured = state.parallel.look(lambda: evaluate(state.task, state.model, split, device, state.precision))
    return state.ranks.tell(measured)


def _evaluation_due(config: TaskConfig, state: TrainState, batches_per_epoch: int) -> bool:
    options = config.evaluation
    if state.step == config.train.max_steps or (options.every and state.step % options.every == 0):
        return True
    if not options.every_epochs:
        return False
    length = options.every_epochs * batches_per_epoch
    return state.position // length > (state.position - config.train.accumulation) // length


def _due_by_config(config: TaskConfig, state: TrainState, improved: bool) -> bool:
    """Whether a checkpoint of this step is due whatever anybody asks for."""
    every = config.train.save_every
    return bool(every and state.step % every == 0) or (improved and config.checkpoint.keep_best > 0)


def _save_reason(
    config: TaskConfig, state: TrainState, begins: Phase | None, improved: bool, asked: bool, ending: str | None
) -> str | None:
    if state.step == config.train.max_steps:
        return "final"
    if begins is not None:
        return PHASE
    if ending is not None:
        return "stop"
    if improved and config.checkpoint.keep_best:
        return "best"
    if config.train.save_every and state.step % config.train.save_every == 0:
        return "scheduled"
    return "request" if asked else None


def _begin_phase(phase: Phase, state: TrainState, recorder: Recorder) -> None:
    """What was running in the phase before says nothing of this one."""
    state.guard.forget_levels()
    state.clipper.forget()
    recorder.phase(phase.name, state.step)


def _conclude(
    config: TaskConfig, task: Task[Any], measured: dict[str, float], state: TrainState, recorder: Recorder
) -> None:
    """The run has finished and its last checkpoint is safe: is it suspect, and what does the test set say?"""
    facts = suspicion(task, measured)
    if facts is not None:
        recorder.suspect(state.step, facts)
    if config.evaluation.test_at_end:
        with recorder.watch.doing(EVALUATION):
            figures, step = _test(config, task, state, recorder)
        recorder.tested(figures, state.step, step)


def _test(config: TaskConfig, task: Task[Any], state: TrainState, recorder: Recorder) -> tuple[dict[str, float], int]:
    """The figures on the test set with the weights of the best checkpoint, and that checkpoint's step.

    Training is over, so the model may be overwritten. Without a usable best checkpoint the last weights are tested.
    """
    best = stored.best(recorder.good_checkpoints().values(), config.evaluation.best_mode)
    step = state.step
    if best is not None and best.step != state.step and state.parallel.sharded:
        log.warning("the last weights are tested, not the best: each process holds a part of them only")
    elif best is not None and best.step != state.step:
        try:
            loaded = Loaded(best)
            restore_model(task.trainable_module(state.model), loaded.model, loaded.aliases)
            step = best.step
        except HeatsError as error:
            log.warning("the last weights are tested, not the best: %s", error)
    task.step = step
    return _evaluate(state, state.precision.device, "test"), step


def _checkpoint_bytes(state: TrainState) -> int:
    module = state.task.trainable_module(state.model)
    tensors = [*model_tensors(module)[0].values(), *optimizer_tensors(state.optimizer, module).values()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _compare_settings(saved: dict[str, Any], here: dict[str, Any], accepted: bool) -> None:
    before, now = _shown_parallel(saved), _shown_parallel(here)
    if before != now:  # so the config says, which is changed on the record only
        log.warning("saved by %s, it goes on with %s: the bits are others from here on", before, now)
    ignored = _OF_PARALLEL if before != now else ()
    differing = [
        f"{key} {saved.get(key)!r} -> {here[key]!r}"
        for key in here
        if saved.get(key) != here[key] and key not in ignored
    ]
    if not differing:
        return
    text = f"settings that change bits differ from the checkpoint's: {', '.join(differing)}"
    if not accepted:
        raise HeatsError(text, remedy="resume with --accept-settings to go on all the same")
    log.warning("%s (accepted)", text)


_OF_PARALLEL = ("world_size", "parallel", "threads")


def _shown_parallel(settings: dict[str, Any]) -> str:
    size, kind = settings.get("world_size", 1), settings.get("parallel", "")
    return "1 process" if size == 1 else f"{size} processes ({kind})"


__all__ = ["GuardStopped", "Outcome", "train"]
