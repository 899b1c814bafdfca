"""The options of the task `multiplication`. Pydantic only: forms and help read this without torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from engine.config.sections import (
    ClipSection,
    DataSection,
    EvaluationSection,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    Section,
    Share,
    TaskConfig,
    TrainSection,
)

HELD_OUT_SHARE = 10
"""One pair in so many is for validation, and as many are for testing."""
FEWEST_PAIRS = 100
"""Below this a held-out split has fewer than ten pairs, and its figures say nothing."""


def count_pairs(min_digits: int, max_digits: int) -> int:
    """How many unordered pairs (a <= b) there are of operands with min_digits to max_digits digits.

    Operands have no leading zeros, so zero itself is none: one digit is 1 to 9, one or two digits are 1 to 99.
    """
    operands: int = 10**max_digits - 10 ** (min_digits - 1)
    return operands * (operands + 1) // 2


class ModelSection(Section):
    """The encoder-decoder transformer."""

    kind: Literal["simple", "latent"] = "latent"
    """simple: the decoder attends to the encoder's memory; latent: only to a few latent tokens that read it."""
    d_model: PositiveInt = 384
    """Width."""
    num_layers: PositiveInt = 4
    """Layers of the encoder, and as many of the decoder."""
    num_heads: PositiveInt = 8
    """Attention heads; must divide d_model."""
    num_latent: PositiveInt = 8
    """latent: how many latent tokens."""
    latent_rounds: PositiveInt = 1
    """latent: how often the latents read the memory and think; all rounds share their weights."""
    positions: Literal["learned", "abacus"] = "learned"
    """learned: one embedding a place; abacus: one a digit's significance within its number (arXiv 2405.17399), the
    same for operands and a product written in reverse, and one for which operand it belongs to."""
    dropout: Share = 0.0
    """Share of activations dropped in training."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelSection:
        if self.d_model % self.num_heads:
            raise ValueError(f"model.num_heads ({self.num_heads}) must divide model.d_model ({self.d_model})")
        return self


class MultiplicationDataSection(DataSection):
    """Which products to learn."""

    min_digits: PositiveInt = 1
    """Fewest digits of an operand. Operands have no leading zeros: one digit is 1 to 9."""
    max_digits: PositiveInt = 2
    """Most digits of an operand."""
    reverse: bool = True
    """Write the product with its least significant digit first, the order in which carries run."""
    pad_operands: bool = False
    """Write operands with leading zeros up to max_digits."""
    max_pairs: PositiveInt = 1_000_000
    """Where there are more unordered pairs than this, so many are sampled without replacement."""
    max_eval_pairs: PositiveInt = 2500
    """Most held-out pairs used in one evaluation, each in both orders; the rest of the split is left out."""

    @model_validator(mode="after")
    def _range_holds_pairs(self) -> MultiplicationDataSection:
        if self.min_digits > self.max_digits:
            raise ValueError(
                f"data.min_digits ({self.min_digits}) is above data.max_digits ({self.max_digits}); swap them"
            )
        if self.max_digits > 9:
            raise ValueError(f"data.max_digits ({self.max_digits}) is above 9, the most that is supported")
        pairs = count_pairs(self.min_digits, self.max_digits)
        if pairs < FEWEST_PAIRS:
            raise ValueError(
                f"data.min_digits ({self.min_digits}) to data.max_digits ({self.max_digits}) holds {pairs} unordered "
                f"pairs, too few to hold a tenth out for validation and a tenth for testing (at least {FEWEST_PAIRS} "
                f"are needed); raise data.max_digits"
            )
        if self.max_pairs < FEWEST_PAIRS:
            raise ValueError(
                f"data.max_pairs ({self.max_pairs}) leaves too few pairs to hold a tenth out for validation and a "
                f"tenth for testing; give at least {FEWEST_PAIRS}"
            )
        return self


class LossSection(Section):
    """Terms of the loss; each is logged on its own."""

    accuracy_weight: NonNegativeFloat = 0.5
    """Weight of 1 - mean probability of the whole answer, a differentiable stand-in for exact match."""
    column_sum_weight: NonNegativeFloat = 0.0
    """Weight of an auxiliary head that predicts the running column sum of every digit, the products of digits that
    fall into its column plus the carry (arXiv 2510.00184); there is no such head at 0."""


class TeacherForcingSection(Section):
    """How likely a training batch is teacher-forced rather than fed the decoder's own greedy prefix."""

    schedule: Literal["none", "linear", "cosine", "step"] = "linear"
    """How the probability falls from 1 at start_step to 0 at max_steps; none keeps it at 1."""
    start_step: NonNegativeInt = 5000
    """Every batch before this step is teacher-forced."""


class MultiplicationTrainSection(TrainSection):
    """How long and on what to train."""

    batch_size: PositiveInt = 256
    """Samples in one batch."""
    max_steps: PositiveInt = 10_000
    """Optimizer steps over the whole run, resumed attempts included."""
    save_every: NonNegativeInt = 50
    """Steps between checkpoints; 0 saves only when the run ends or is stopped."""


class Config(TaskConfig):
    """All options of the task."""

    summary: ClassVar[str] = "transformers learn to multiply: does a latent bottleneck help?"
    metrics: ClassVar[tuple[str, ...]] = (
        "val/exact_match", "val/exact_match_*", "val/digit_accuracy", "val/digit_accuracy_p*",
        "val/loss", "val/cross_entropy", "val/sequence", "val/column_sum", "train/loss", "train/grad_norm",
    )  # fmt: skip

    train: MultiplicationTrainSection = MultiplicationTrainSection()
    model: ModelSection = ModelSection()
    data: MultiplicationDataSection = MultiplicationDataSection()
    loss: LossSection = LossSection()
    tf: TeacherForcingSection = TeacherForcingSection()
    clip: ClipSection = ClipSection(kind="dynamic")
    evaluation: EvaluationSection = EvaluationSection(every=250, best_metric="val/exact_match", best_mode="max")

    def slug(self) -> str:
        """`latent-d384-l4-n8`."""
        latent = f"-n{self.model.num_latent}" if self.model.kind == "latent" else ""
        return f"{self.model.kind}-d{self.model.d_model}-l{self.model.num_layers}{latent}"
