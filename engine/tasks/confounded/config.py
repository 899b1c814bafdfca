"""The options of the task `confounded`. Pydantic only: forms and help read this without torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from engine.config.sections import (
    EvaluationSection,
    NonNegativeFloat,
    NonNegativeInt,
    OptimSection,
    PositiveFloat,
    PositiveInt,
    ScheduleSection,
    Section,
    Share,
    TaskConfig,
    TrainSection,
)
from engine.tasks.vision.config import VisionDataSection

LossKind = Literal["plain", "balanced", "imbalanced", "lagrangian", "rrr", "rrr_gradcam", "cdep"]
EXPLAINED = ("rrr", "rrr_gradcam", "cdep")
"""The losses that are told where the dot is, rather than shown pictures without it."""


class ConfoundedDataSection(VisionDataSection):
    """Which two classes, where the dot is, and what a person has corrected."""

    image_size: PositiveInt = 28
    """Height and width that pictures are scaled to."""
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the source's training samples, the same in every class, that is cut off for validation by the seed."""
    normalise: Literal["standard", "unit"] = "unit"
    """standard: mean 0 and deviation 1 in each channel over the training samples; unit: from 0 to 1."""
    augment: Literal["standard", "resized_crop", "none"] = "none"
    """Only none: a shifted picture would carry its dot elsewhere."""
    max_samples: NonNegativeInt = 0
    """Train on so many samples, half of each class where there are enough; 0 is all."""
    classes: list[NonNegativeInt] = Field(default=[0, 8], min_length=2, max_length=2)
    """The two classes of the source that are told apart."""
    confounded_class: NonNegativeInt = 8
    """Which of them carries the dot in training; the other never does."""
    contrast: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of their brightness that pictures keep before the dot is put on: fainter shapes make it more tempting."""
    dot_row: NonNegativeInt = 25
    """The dot's first row, counted from 0."""
    dot_column: NonNegativeInt = 25
    """The dot's first column, counted from 0."""
    dot_size: PositiveInt = 2
    """The dot's height and width."""
    dot_value: Share = 1.0
    """How bright it is, from 0 to 1."""
    dot_share: Share = 1.0
    """Share of the confounded class's training samples that carry it. At 0 nothing is confounded: what can be reached.
    """
    corrected_count: NonNegativeInt = 100
    """How many training samples a person has corrected; all there are where there are fewer."""
    corrected_classes: Literal["confounded", "both", "counterfactual"] = "confounded"
    """confounded: the dot is removed from samples of its class; both: half of them are samples of the other class, as
    they are; counterfactual: half of them are samples of the other class, to which the dot is added."""
    corrected_per_batch: NonNegativeInt = 4
    """How many of a batch's samples are corrected ones."""
    corrected_schedule: Literal["constant", "linear"] = "constant"
    """linear: their number goes from corrected_first to corrected_per_batch over the run."""
    corrected_first: NonNegativeInt = 0
    """linear: how many of the first batch's samples are corrected ones."""

    @model_validator(mode="after")
    def _dot_lies_inside(self) -> ConfoundedDataSection:
        if len(set(self.classes)) < 2:
            raise ValueError(f"data.classes holds {self.classes[0]} twice; give two classes")
        if self.confounded_class not in self.classes:
            raise ValueError(
                f"data.confounded_class ({self.confounded_class}) is none of data.classes "
                f"({self.classes[0]} and {self.classes[1]})"
            )
        if max(self.dot_row, self.dot_column) + self.dot_size > self.image_size:
            raise ValueError(
                f"the dot at data.dot_row {self.dot_row} and data.dot_column {self.dot_column}, {self.dot_size} wide, "
                f"doesn't fit into {self.image_size} x {self.image_size} pixels (data.image_size)"
            )
        if self.augment != "none":
            raise ValueError(f"data.augment = {self.augment} would carry the dot elsewhere; set it to none")
        return self

    @property
    def other_class(self) -> int:
        """The class that never carries the dot in training."""
        return next(label for label in self.classes if label != self.confounded_class)

    @property
    def most_corrected_per_batch(self) -> int:
        """The largest number of corrected samples that any batch has."""
        if self.corrected_schedule == "constant":
            return self.corrected_per_batch
        return max(self.corrected_per_batch, self.corrected_first)


class ModelSection(Section):
    """The convolutional network: two convolutions with pooling, then two dense layers."""

    channels: list[PositiveInt] = Field(default=[16, 32], min_length=2, max_length=2)
    """Channels of the two convolutions."""
    hidden: PositiveInt = 128
    """Width of the dense layer before the last."""
    from_run: str | None = None
    """Start from the best checkpoint of this run of the task: its id in the same store, or its folder."""


class LossSection(Section):
    """How corrections enter the loss; each term is logged on its own."""

    kind: LossKind = "plain"
    """plain: cross entropy of the confounded samples, without corrections. balanced: that + corrected_weight * cross
    entropy of the corrected ones. imbalanced: cross entropy of the whole batch. lagrangian: corrected samples must be
    classified with `confidence`. rrr, rrr_gradcam, cdep: of the samples that a person corrected only where the dot is
    becomes known, and what lies there must not matter: to the input's gradient, to GradCAM, to what contextual
    decomposition says it contributes."""
    corrected_weight: NonNegativeFloat = 1.0
    """balanced: lambda. For imbalanced it has no effect; k / (batch - k) is where it lies on the curve of balanced."""
    explanation_weight: NonNegativeFloat = 10.0
    """rrr, rrr_gradcam, cdep: weight of the penalty."""
    explained: Literal["pool", "all"] = "pool"
    """rrr, rrr_gradcam, cdep: pool knows the dot only in data.corrected_count samples, all in every sample."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """lagrangian: the probability of its class that each corrected sample must reach."""
    multiplier_start: NonNegativeFloat = 1.0
    """lagrangian: each sample's multiplier before the first step."""
    multiplier_rate: NonNegativeFloat = 0.1
    """lagrangian: how much of what a sample lacks, in nats, is added to its multiplier each time it is seen."""
    multiplier_max: PositiveFloat = 100.0
    """lagrangian: no multiplier grows beyond this, in case a constraint can't be met."""
    log_multipliers: bool = False
    """lagrangian: log every single multiplier at each evaluation, not only how they are spread."""


class ConfoundedTrainSection(TrainSection):
    """How long and on what to train."""

    batch_size: PositiveInt = 64
    """Samples in one batch, corrected ones included."""
    max_steps: PositiveInt = 2000
    """Optimizer steps over the whole run, resumed attempts included."""
    channels_last: bool = False
    """Keep pictures and weights with the channels innermost, which some devices' convolutions prefer."""


class ConfoundedOptimSection(OptimSection):
    """The optimizer."""

    weight_decay: NonNegativeFloat = 0.0
    """Decay of weights with two or more dimensions; biases and norms are not decayed."""


class ConfoundedScheduleSection(ScheduleSection):
    """The learning rate as a function of the step."""

    kind: Literal["cosine", "linear", "constant"] = "constant"
    """Shape after the warm-up."""
    warmup_steps: NonNegativeInt = 0
    """Steps over which the rate rises linearly from zero; at most a tenth of the run is used."""


GROUPS = ("other", "other_dot", "confounded", "confounded_dot")
"""The four groups of evaluation: either class, without the dot and with it."""
_FIGURES = (
    "accuracy", "worst_group", "dot_flip", "loss", *(f"accuracy_{group}" for group in GROUPS), "confounded_accuracy",
    "confounded_loss", "reliance_gap", "shift_added", "shift_removed", "multiplier_*",
)  # fmt: skip


class Config(TaskConfig):
    """All options of the task."""

    summary: ClassVar[str] = "a CNN learns a dot instead of a shape: which corrections cure it?"
    metrics: ClassVar[tuple[str, ...]] = (
        *(f"{split}/{name}" for split in ("val", "test") for name in _FIGURES),
        "train/loss", "train/accuracy", "train/confounded", "train/corrected", "train/grad_norm",
    )  # fmt: skip

    train: ConfoundedTrainSection = ConfoundedTrainSection()
    model: ModelSection = ModelSection()
    data: ConfoundedDataSection = ConfoundedDataSection()
    loss: LossSection = LossSection()
    optim: ConfoundedOptimSection = ConfoundedOptimSection()
    schedule: ConfoundedScheduleSection = ConfoundedScheduleSection()
    evaluation: EvaluationSection = EvaluationSection(
        every=0, every_epochs=1, best_metric="val/loss", patience=10, test_at_end=True
    )

    @model_validator(mode="after")
    def _batches_hold_the_corrected(self) -> Config:
        most = self.data.most_corrected_per_batch
        if most > self.train.batch_size:
            raise ValueError(
                f"data.corrected_per_batch ({most}) is more than a batch holds (train.batch_size "
                f"{self.train.batch_size})"
            )
        if self.loss.kind != "plain" and most and not self.data.corrected_count:
            raise ValueError(
                "data.corrected_count is 0, so there is nothing to put into a batch; set data.corrected_per_batch to 0 "
                "as well, or loss.kind to plain"
            )
        return self

    @model_validator(mode="after")
    def _multipliers_are_of_one_process(self) -> Config:
        if self.loss.kind == "lagrangian" and self.parallel.world_size > 1:
            raise ValueError(
                "loss.kind = lagrangian keeps a multiplier for each sample, which several processes would each know "
                "but a part of; set parallel.procs and parallel.nodes to 1"
            )
        return self

    def slug(self) -> str:
        """`balanced-fashion_mnist-n100`."""
        kind = self.loss.kind
        if kind == "plain":
            return f"plain-{self.data.source}" if self.data.dot_share else f"unconfounded-{self.data.source}"
        chosen = "" if self.data.corrected_classes == "confounded" else f"-{self.data.corrected_classes}"
        return f"{kind}{chosen}-{self.data.source}-n{self.data.corrected_count}"
