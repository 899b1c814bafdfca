"""Everything that influences training, in one object that is saved and restored as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from engine.config.sections import EvaluationSection, TaskConfig
from engine.errors import HeatsError
from engine.store.checkpoints import OPTIMIZER
from engine.train import determinism, random_state
from engine.train.checkpoint import Loaded, optimizer_tensors, restore_model, restore_optimizer
from engine.train.clipping import Clipper
from engine.train.guard import Guard
from engine.train.parallel import Parallel
from engine.train.precision import Precision
from engine.train.ranks import Ranks
from engine.train.sharded import restore_sharded
from engine.train.task import Task

_TASK_STREAM = 0x7A51
_DEAD_SCALE = 2.0**-16
"""No gradient needs a loss scale below this: only a loss whose gradient is never finite drives it there. And at such a
scale ordinary gradients underflow to zero in fp16, while it takes 2,000 good steps to double."""


@dataclass
class BestTracker:
    """The best evaluation so far, and for how many evaluations there was no gain."""

    options: EvaluationSection
    value: float = math.nan
    step: int = 0
    stale: int = 0

    def take(self, value: float | None, step: int) -> bool:
        """Take in an evaluation; whether it is the best so far. NaN and absent metrics never are."""
        if value is None or math.isnan(value) or not self._beats(value):
            self.stale += 1
            return False
        self.value, self.step, self.stale = value, step, 0
        return True

    def _beats(self, value: float) -> bool:
        if math.isnan(self.value):
            return True
        gain = value - self.value if self.options.best_mode == "max" else self.value - value
        return gain > self.options.min_gain

    @property
    def exhausted(self) -> bool:
        """Whether early stopping is due."""
        return 0 < self.options.patience <= self.stale

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value.hex(), "step": self.step, "stale": self.stale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value, self.step, self.stale = float.fromhex(state["value"]), state["step"], state["stale"]


class TrainState:
    """The model, the optimizer and all that goes with them. `step` counts optimizer steps, `position` batches."""

    def __init__(
        self,
        config: TaskConfig,
        task: Task[Any],
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        precision: Precision,
        device: torch.device,
        parallel: Parallel | None = None,
    ) -> None:
        self.parallel = parallel or Parallel(model, Ranks(), "ddp")
        self.ranks = self.parallel.ranks
        self._others: list[dict[str, Any]] = []
        self._seed = config.seed
        self.task = task
        self.model = model
        self.optimizer = optimizer
        self.precision = precision
        self.clipper = Clipper(config.clip, config.optim.lr, device)
        self.guard = Guard(config.guard, device)
        self.best = BestTracker(config.evaluation)
        self.generator = torch.Generator().manual_seed(config.seed * 1_000_003 + _TASK_STREAM)
        self.step = 0
        self.position = 0

    def collect(self) -> None:
        """Bring what each rank has of its own to the first one, which saves it. Called by all ranks before a save."""
        if self.ranks.several:
            self._others = self.ranks.gather(self._own())[1:]

    def _own(self) -> dict[str, Any]:
        """What each rank has of its own."""
        return {
            "task": self.task.state_dict(),
            "task_generator": random_state.encode_generator(self.generator.get_state()),
            "random": random_state.capture(),
        }

    def to_json(self) -> dict[str, Any]:
        """All state but tensors of model and optimizer, random generators last; of other ranks as last collected."""
        scaler = self.precision.scaler
        others = {"ranks": self._others} if self.ranks.several else {}
        return others | {
            "schema": 1,
            "step": self.step,
            "position": self.position,
            "scaler": _exact(scaler.state_dict()) if scaler is not None else None,
            "clipper": self.clipper.state_dict(),
            "guard": self.guard.state_dict(),
            "best": self.best.state_dict(),
            "optimizer_tensors": sorted(optimizer_tensors(self.optimizer, self.task.trainable_module(self.model))),
            **self._own(),
        }

    def load(self, loaded: Loaded, *, reset_scaler: bool = False) -> None:
        """Restore a checkpoint. The global generators come last: nothing may be drawn before the first batch.

        Args:
            loaded: the checkpoint.
            reset_scaler: start with a fresh loss scale instead of the saved one.

        Raises:
            HeatsError: something is missing, doesn't fit, or can't be trained on from.
        """
        module = self.task.trainable_module(self.model)
        if self.parallel.sharded:
            restore_sharded(module, self.optimizer, loaded, self.ranks)
        else:
            restore_model(module, loaded.model, loaded.aliases)
            restore_optimizer(self.optimizer, module, loaded.optimizer)
        state = loaded.state
        try:
            # Of a model in parts each process has read its own only; the files' heads tell all names.
            there = loaded.shapes[OPTIMIZER] if self.parallel.sharded else loaded.optimizer
            _check_names(state["optimizer_tensors"], there, loaded.step)
            self.step = state["step"]
            self.position = state["position"]
            self._load_scaler(None if reset_scaler else state["scaler"])
            self.clipper.load_state_dict(state["clipper"])
            self.guard.load_state_dict(state["guard"])
            self.best.load_state_dict(state["best"])
            self._load_own(state)
        except KeyError as error:
            raise HeatsError(
                f"the checkpoint of step {loaded.step} lacks {error}", remedy="resume from another with --from"
            ) from None
        except (TypeError, ValueError) as error:
            raise HeatsError(f"the checkpoint of step {loaded.step} doesn't fit: {error}") from None

    def _load_own(self, state: dict[str, Any]) -> None:
        """What each rank has of its own. A rank that the checkpoint doesn't know begins with random states anew."""
        saved = [state, *state.get("ranks", [])]
        known = self.ranks.rank < len(saved)
        own = saved[self.ranks.rank] if known else state
        self.task.load_state_dict(own["task"])
        self.generator.set_state(random_state.decode_generator(own["task_generator"]))
        if known:
            random_state.restore(own["random"])
        else:
            determinism.seed_everything(determinism.rank_seed(self._seed + self.step, self.ranks.rank))

    def _load_scaler(self, saved: dict[str, Any] | None) -> None:
        scaler = self.precision.scaler
        if scaler is None or saved is None:
            return
        values = {key: float.fromhex(value) if isinstance(value, str) else value for key, value in saved.items()}
        if not values["scale"] >= _DEAD_SCALE:
            raise HeatsError(
                f"the loss scale in this checkpoint has fallen to {values['scale']:.3g}, at which weights stand still "
                "or turn into NaN",
                remedy="mend the loss that drove it there, and start with a fresh one: heats resume RUN --reset-scaler",
            )
        scaler.load_state_dict(values)


def refuse_non_finite(loaded: Loaded) -> None:
    """An emergency checkpoint may hold anything: only finite weights and moments can be trained on from.

    Raises:
        HeatsError: naming the first tensor that isn't finite.
    """
    for name, tensor in (loaded.model | loaded.optimizer).items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise HeatsError(
                f"the emergency checkpoint of step {loaded.step} can't be trained on from: `{name}` is not finite",
                remedy="resume without --emergency",
            )


def _check_names(expected: list[str], there: Iterable[str], step: int) -> None:
    missing = sorted(set(expected) ^ set(there))
    if missing:
        raise HeatsError(f"the checkpoint of step {step} lacks optimizer state of `{missing[0]}`")


def _exact(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value.hex() if isinstance(value, float) else value for key, value in values.items()}
