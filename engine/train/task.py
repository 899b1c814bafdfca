"""What a task is to the loop: its data, model, loss terms and evaluation. Everything else is the loop's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from engine.config.sections import TaskConfig
from engine.errors import HeatsError
from engine.train import schedule
from engine.train.phases import ONE_PHASE, Phase

ConfigType = TypeVar("ConfigType", bound=TaskConfig)
Batch = dict[str, Tensor]
LossTerms = dict[str, tuple[float, Tensor]]
"""By name, the weight of a term and its value, a scalar tensor. The total is the weighted sum."""

_MIX = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class BatchKey:
    """Names one batch of a run. Whatever is random in it must come from `generator`, so that neither the number of
    loader workers nor a resume changes it."""

    seed: int
    epoch: int
    index: int

    def generator(self) -> torch.Generator:
        """A CPU generator that depends on (seed, epoch, index) alone."""
        mixed = (self.seed * 1_000_003 + self.epoch) * _MIX + self.index * 0xBF58476D1CE4E5B9
        return torch.Generator().manual_seed(mixed & 0x7FFF_FFFF_FFFF_FFFF)


class BatchSampler(Protocol):
    """Which samples make up each batch, for data that mixes them in its own way. Must hold no changing state."""

    @property
    def batches_per_epoch(self) -> int:
        """How many batches an epoch has."""
        ...

    def batch(self, epoch: int, index: int) -> Tensor:
        """What the data's `gather` is given for a batch, (..., B): a function of these two numbers and nothing else."""
        ...


class TrainingData(Protocol):
    """Samples in memory or memory-mapped, gathered a batch at a time by index. Must hold no changing state.

    An attribute `sampler` (a `BatchSampler`) decides which samples make up a batch; without it each epoch shows them
    all in an order of its own.
    """

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def gather(self, indices: Tensor, key: BatchKey) -> Batch:
        """The batch of these samples.

        Args:
            indices: (B,) int64.
            key: which batch this is; the source of randomness for augmentation.
        """
        ...


@dataclass
class StepContext:
    """What a loss may know of the step it is computed for."""

    step: int
    """Optimizer steps completed before this one."""
    max_steps: int
    device: torch.device
    generator: torch.Generator
    """The task's own CPU generator: saved and restored, so coins go on where they were."""
    figures: dict[str, float | Tensor] = field(default_factory=dict)
    """Further figures to log, by full name (`train/tf_probability`): numbers or scalar tensors."""


class Task(ABC, Generic[ConfigType]):
    """One kind of training. Subclasses hold no state that influences training except through `state_dict`."""

    num_classes: int | None = None
    """How many classes a task of classification tells apart: then the guard knows what guessing would give."""
    cross_entropy_figure: str = "cross_entropy"
    """Which figure of `evaluate` is the mean cross entropy over the classes, in nats."""
    accuracy_figure: str = "accuracy"
    """Which figure of `evaluate` is the share of samples that are classified right."""
    store: Path | None = None
    """The folder of the run's store, for tasks that take something from other runs; set before anything is built."""
    folder: Path | None = None
    """The run's own folder, for tasks that keep something beside its checkpoints; set before anything is built."""
    modes: tuple[int, ...] = ()
    """The numbers of the ways of evaluating among which `heats evaluate --modes` chooses; most tasks have one way."""
    step: int = 0
    """Optimizer steps completed, for evaluations that depend on the phase; kept by whoever trains or evaluates."""

    def __init__(self, config: ConfigType) -> None:
        self.config = config

    @abstractmethod
    def build_model(self) -> nn.Module:
        """A freshly initialised model on the CPU. Called with the global generator seeded by the run's seed."""

    @abstractmethod
    def build_data(self) -> TrainingData:
        """The training samples. Called once, before the model is built; also prepares what `evaluate` needs."""

    def settle(self, samples: int) -> ConfigType:
        """The config with what only the data could tell, such as how many steps so many epochs are.

        Args:
            samples: how many there are to train on.
        """
        return self.config

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch, context: StepContext) -> LossTerms:
        """The terms of the loss of one batch, already on the device. Runs under autocast where that is on."""

    @abstractmethod
    def evaluate(self, model: nn.Module, split: str, device: torch.device) -> dict[str, float]:
        """Figures on a split (`val` or `test`) by short name (`loss`, `exact_match`). Runs without gradients, in
        evaluation mode, under autocast where that is on; must not draw from the global generators."""

    def choose_modes(self, modes: tuple[int, ...]) -> None:
        """From now on `evaluate` in these of `modes` only.

        Raises:
            HeatsError: this config can't be evaluated so.
        """
        raise HeatsError("the task has no evaluation modes to choose from", remedy="leave out --modes")

    def trainable_module(self, model: nn.Module) -> nn.Module:
        """The part that is trained and saved; a frozen teacher stays outside."""
        return model

    def param_groups(self, model: nn.Module) -> list[dict[str, Any]] | None:
        """Groups for the optimizer, or None for the usual two: decayed matrices and the rest."""
        return None

    def phases(self) -> tuple[Phase, ...]:
        """The parts of the run that train different things, by ascending start; the first starts at 0.

        Where one begins, a checkpoint is saved and kept, and the running levels of guard and clipping begin anew.
        """
        return ONE_PHASE

    def learning_rate(self, step: int) -> float:
        """The rate of the optimizer step that follows `step` completed ones: a function of the config and that."""
        return schedule.learning_rate(self.config, step)

    def warm_start(self, model: nn.Module) -> None:
        """Give a freshly built model, still on the CPU, the weights it starts from. Never called on a resume."""

    def pictures(self) -> dict[str, Tensor]:
        """What of the data is worth looking at, by name: (C, H, W) uint8. Kept as files and shown in TensorBoard."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Further state that influences training, as JSON-able values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        assert not state, "a task that saves state must also load it"


TaskFactory = Callable[[Any], Task[Any]]
"""The attribute `TASK` of a task package's module `task`."""
