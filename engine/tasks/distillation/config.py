"""The options of the task `distillation`. Pydantic only: forms and help read this without torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from engine.config.sections import (
    ClipSection,
    EvaluationSection,
    NonNegativeFloat,
    NonNegativeInt,
    OptimSection,
    PositiveFloat,
    PositiveInt,
    PrecisionSection,
    ScheduleSection,
    Section,
    Share,
    TaskConfig,
    TrainSection,
)
from engine.tasks.vision.config import VisionDataSection

NetworkName = Literal[
    "resnet8", "resnet14", "resnet20", "resnet32", "resnet56", "resnet110", "resnet112", "wide16-2", "wide40-2"
]
MethodName = Literal[
    "none", "logit", "logit_std", "dkd", "attention_transfer", "fitnets", "factor_transfer", "rkd", "similarity",
    "nst", "crd",
]  # fmt: skip
Layer = Annotated[int, Field(ge=0, le=2)]


class ModelSection(Section):
    """The network that is trained."""

    network: NetworkName = "resnet20"
    """resnetN has 6n + 2 layers (resnet112 is another name of resnet110), wideN-W has 6n + 4 and is W times as wide."""


class TeacherSection(Section):
    """Who teaches."""

    from_run: str | None = None
    """A run of this task, by its id in the same store or by its folder; its best checkpoint teaches."""
    network: Literal[
        "any", "resnet8", "resnet14", "resnet20", "resnet32", "resnet56", "resnet110", "resnet112", "wide16-2",
        "wide40-2",
    ] = "any"  # fmt: skip
    """Which network the teacher must be; any: whichever its run has trained."""


class LossSection(Section):
    """What the student learns from. Each term is logged, and can be measured and checked, on its own."""

    method: MethodName = "none"
    """How the teacher teaches; none trains without one."""
    mix: Literal["ce", "alpha"] = "ce"
    """ce: cross entropy + weight * the method's loss; alpha: (1 - alpha) * cross entropy + alpha * weight * it."""
    alpha: Share = 0.5
    """alpha mixing: the part of the method's loss."""
    weight: NonNegativeFloat | None = None
    """The coefficient of the method's loss; without it the published one under ce mixing (rkd has one for each of its
    two terms), and 1 under alpha mixing."""
    label_smoothing: Share = 0.1
    """Smoothing of the labels without a teacher; with one there is none."""
    temperature: PositiveFloat | None = None
    """logit, logit_std and dkd; without it the published one: 4, 2 and 4."""


class DkdSection(Section):
    """Decoupled distillation."""

    target_weight: NonNegativeFloat = 1.0
    """Of the target class against all others."""
    others_weight: NonNegativeFloat = 8.0
    """Among the others."""
    warmup_epochs: NonNegativeFloat = 20.0
    """Both weights rise linearly over so many epochs."""


class FitnetsSection(Section):
    """Hints."""

    guided_layer: Layer = 0
    """The student's group that is led."""
    hint_layer: Layer = 1
    """The teacher's group that leads it."""


class FactorSection(Section):
    """Factor transfer: phase 1 trains paraphrasers on the teacher, phase 2 the student."""

    channels: PositiveInt = 64
    """Of the factors."""
    steps: PositiveInt = 1000
    """Optimizer steps of phase 1, counted in train.max_steps."""
    lr: PositiveFloat = 0.01
    """Peak learning rate of phase 1; it falls as that of phase 2 does."""
    from_run: str | None = None
    """Take the paraphrasers from this run's end of phase 1 instead of training them: then phase 2 is all there is."""


class RkdSection(Section):
    """Relational distillation."""

    distance_weight: NonNegativeFloat | None = None
    """Of the distances; without it 25, or 1 under alpha mixing. loss.weight multiplies it."""
    angle_weight: NonNegativeFloat | None = None
    """Of the angles; without it 50, or 2 under alpha mixing. loss.weight multiplies it."""
    angle: Literal["triplet", "pairwise"] = "triplet"
    """triplet: angles at each sample between any two others, N^3 of them; pairwise: between samples as seen from zero.
    """
    form: Literal["repaired", "naive"] = "repaired"
    """naive computes distances as a known defect did, whose gradients are NaN in fp16: for showing that only."""


class CrdSection(Section):
    """Contrastive distillation."""

    width: PositiveInt = 128
    """Of the embeddings."""
    negatives: PositiveInt = 16384
    """Samples of other classes that each sample is told from, drawn from the training set."""
    temperature: PositiveFloat = 0.07
    """Of the similarities."""
    momentum: Share = 0.5
    """How much of a memory stays when its sample is seen again."""


class DistillationTrainSection(TrainSection):
    """How long and on what to train."""

    batch_size: PositiveInt = 64
    """Samples in one batch."""
    max_steps: PositiveInt = 4000
    """Optimizer steps over the whole run, resumed attempts included."""
    channels_last: bool = False
    """Keep pictures and weights with the channels innermost, which some devices' convolutions prefer."""


class DistillationOptimSection(OptimSection):
    """The optimizer."""

    name: Literal["adamw", "sgd"] = "sgd"
    """Which optimizer."""
    lr: PositiveFloat = 0.05
    """Peak learning rate."""
    weight_decay: NonNegativeFloat = 5e-4
    """Decay of the weights, by published custom of all of them; see decay_norms."""
    decay_norms: bool = True
    """Decay biases and the weights of norms as well."""
    min_lr_ratio: Share = 0.0
    """The schedule ends at this share of the peak rate."""


class DistillationScheduleSection(ScheduleSection):
    """The learning rate as a function of the step."""

    warmup_steps: NonNegativeInt = 0
    """Steps over which the rate rises linearly from zero; at most a tenth of the run is used."""


class Config(TaskConfig):
    """All options of the task."""

    summary: ClassVar[str] = "ResNets learn from larger ones: which way of teaching helps?"
    metrics: ClassVar[tuple[str, ...]] = (
        "val/accuracy", "val/cross_entropy", "val/top5_accuracy", "val/reconstruction", "test/accuracy",
        "test/cross_entropy", "test/top5_accuracy", "train/loss", "train/accuracy", "train/grad_norm",
    )  # fmt: skip

    train: DistillationTrainSection = DistillationTrainSection()
    optim: DistillationOptimSection = DistillationOptimSection()
    schedule: DistillationScheduleSection = DistillationScheduleSection()
    clip: ClipSection = ClipSection(kind="none")
    precision: PrecisionSection = PrecisionSection()
    evaluation: EvaluationSection = EvaluationSection(
        every=0, every_epochs=1, best_metric="val/accuracy", best_mode="max", test_at_end=True
    )
    data: VisionDataSection = VisionDataSection()
    model: ModelSection = ModelSection()
    teacher: TeacherSection = TeacherSection()
    loss: LossSection = LossSection()
    dkd: DkdSection = DkdSection()
    fitnets: FitnetsSection = FitnetsSection()
    factor: FactorSection = FactorSection()
    rkd: RkdSection = RkdSection()
    crd: CrdSection = CrdSection()

    @model_validator(mode="after")
    def _phases_fit(self) -> Config:
        if self.first_phase_steps >= self.train.max_steps:
            raise ValueError(
                f"factor.steps ({self.factor.steps}) leaves nothing of train.max_steps ({self.train.max_steps}) for "
                "the student; raise train.max_steps"
            )
        return self

    @model_validator(mode="after")
    def _classifier_learns(self) -> Config:
        of_logits = self.loss.method in ("none", "logit", "logit_std", "dkd")
        if self.loss.mix == "alpha" and self.loss.alpha == 1 and not of_logits:
            raise ValueError(
                f"loss.alpha = 1 leaves nothing to train the classifier by: {self.loss.method} says nothing of the "
                "logits; choose less"
            )
        return self

    @model_validator(mode="after")
    def _memories_are_of_one_process(self) -> Config:
        if self.loss.method == "crd" and self.parallel.world_size > 1:
            raise ValueError(
                "loss.method = crd remembers every sample, and of several processes each would remember its own only; "
                "set parallel.procs and parallel.nodes to 1"
            )
        return self

    @property
    def first_phase_steps(self) -> int:
        """Optimizer steps before the student's training begins."""
        trains_paraphrasers = self.loss.method == "factor_transfer" and self.factor.from_run is None
        return self.factor.steps if trains_paraphrasers else 0

    def slug(self) -> str:
        """`rkd-resnet20`."""
        return f"{self.loss.method.replace('_', '-')}-{self.model.network}"
