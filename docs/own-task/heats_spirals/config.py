"""The options of the task `spirals`. Pydantic only: `heats tasks`, forms and studies read this without torch."""

from __future__ import annotations

from typing import ClassVar

from engine.config.sections import (
    EvaluationSection,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Section,
    TaskConfig,
    TrainSection,
)


class ModelSection(Section):
    """A perceptron with one hidden layer."""

    width: PositiveInt = 32
    """Units in the hidden layer."""


class SpiralsSection(Section):
    """The points."""

    samples: PositiveInt = 800
    """Points for training; a quarter as many are held out."""
    turns: PositiveFloat = 1.5
    """How often each spiral goes round."""
    noise: NonNegativeFloat = 0.05
    """Standard deviation of what is added to each point, drawn anew for each batch."""


class Config(TaskConfig):
    """All options: the sections of every task, and these two."""

    summary: ClassVar[str] = "tell two interleaved spirals apart (an example of a task outside heats)"
    metrics: ClassVar[tuple[str, ...]] = ("val/loss", "val/accuracy", "test/loss", "test/accuracy")

    model: ModelSection = ModelSection()
    spirals: SpiralsSection = SpiralsSection()
    train: TrainSection = TrainSection(batch_size=64, max_steps=1000)
    evaluation: EvaluationSection = EvaluationSection(best_metric="val/accuracy", best_mode="max")

    def slug(self) -> str:
        """What run ids show."""
        return f"w{self.model.width}"
