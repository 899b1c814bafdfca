"""The options of the task `conditional`. Pydantic only: forms and help read this without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

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
from engine.tasks.text.config import SizeName, TextDataSection

POSITIONS = 1024
"""Positions of a model, BOS's among them."""
MODES_OF_KIND: dict[str, tuple[int, ...]] = {
    "conditional": (0, 1, 2, 3, 4, 5), "sigma": (0, 1, 2, 3, 4, 5), "baseline": (0, 1, 4),
}  # fmt: skip
"""How a kind of model can be evaluated: the baseline knows no X_c."""
NO_END = 10**9


class ModelSection(Section):
    """GPT-2, and what it is asked."""

    kind: Literal["conditional", "baseline", "sigma"] = "conditional"
    """conditional: any P(X_e | X_c), X_c before the text; baseline: left to right only; sigma: the tokens in another
    order, each with its own position and that of the next (SigmaGPT, arXiv 2404.09562)."""
    config: SizeName = "distilgpt2"
    """Layers, heads and width: nano 2/2/64, tiny 4/4/128, small 6/6/384, distilgpt2 6/12/768, gpt2 12/12/768."""
    position: Literal["learned", "rope"] = "learned"
    """learned: an embedding a position, as in GPT-2; rope: queries and keys are rotated (arXiv 2104.09864)."""
    rope_base: PositiveFloat = 10_000.0
    """rope: the longest wavelength is 2 pi times this."""
    dropout: Share = 0.1
    """Of embeddings, attention and residual connections in training."""
    attention: Literal["auto", "sdpa", "flex"] = "auto"
    """What computes attention: flex knows which blocks of the mask are empty, on a GPU and without dropout only; auto
    takes it where it can, else sdpa."""
    pretrained: str | None = None
    """Start from these pretrained weights of GPT-2, a name or a folder; then model.config says nothing. Brings its
    tokenizer."""
    from_run: str | None = None
    """Start from the best weights of this run of the task, by its id in the same store or by its folder. Brings its
    tokenizer."""

    @field_validator("kind", mode="before")
    @classmethod
    def _classic_name(cls, value: Any) -> Any:
        return "sigma" if value == "sigmagpt" else value

    @model_validator(mode="after")
    def _one_start(self) -> ModelSection:
        if self.pretrained is not None and self.from_run is not None:
            raise ValueError("model.pretrained and model.from_run both say what to start from; give one of them")
        return self


class AugmentSection(Section):
    """What is given and what is scored, and how a sequence is written down for it."""

    detach: bool = False
    """Detach what the augmentation gives. It is whole numbers, which carry no gradient: not a bit depends on this."""
    where: Literal["internal", "external"] = "internal"
    """internal: on the device, as part of the training step; external: on the CPU, by the loader."""
    mask: Literal["sealed", "leaky"] = "sealed"
    """sealed: the prefix sees the prefix only; leaky: it sees the text too, and relays answers (a known defect)."""
    pad_is_eos: bool = False
    """Take the end of a document for padding, neither given nor scored (a known defect)."""
    keep_leftovers: bool = True
    """false: the old sampler, which throws the rest of a run of positions away with each block (a known defect)."""
    cond_pct_min: Share = 0.0
    """|X_c| is uniform between this share of the positions ..."""
    cond_pct_max: Share = 0.4
    """... and this one."""
    eval_pct_min: Share = 1.0
    """|X_e| is uniform between this share of the other positions ..."""
    eval_pct_max: Share = 1.0
    """... and this one."""
    max_cond_blocks: PositiveInt | None = None
    """X_c lies in so many blocks at most; none: in as many as it has positions."""

    @model_validator(mode="after")
    def _ordered(self) -> AugmentSection:
        for name in ("cond_pct", "eval_pct"):
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            if low > high:
                raise ValueError(f"augment.{name}_min ({low:g}) is above augment.{name}_max ({high:g})")
        return self


class SigmaSection(Section):
    """What only model.kind = sigma has."""

    ordering: Literal["temporal", "random"] = "temporal"
    """The order within X_c and within X_e in training; evaluations go from left to right."""
    loss: Literal["fair", "full"] = "fair"
    """fair: on X_e alone; full: on X_c as well."""


class ConditionalDataSection(TextDataSection):
    """Which text to learn, and how it is cut into tokens."""

    block_size: Annotated[int, Field(ge=3, le=1_000_000)] = POSITIONS - 1
    """L, the body tokens of a sequence: the text is one stream, cut into blocks of this length."""
    documents: Literal["whole", "rows"] = "whole"
    """What an end-of-document token follows: whole documents, or each line that isn't empty."""
    train_rows: Annotated[int, Field(ge=-1, lt=2**63)] = -1
    """The first so many documents of the training part; -1 for all."""
    eval_rows: Annotated[int, Field(ge=-1, lt=2**63)] = -1
    """Likewise of the parts that are held out."""
    random_symbols: Annotated[int, Field(ge=0, lt=2**15)] = 0
    """Above 0, no text but as many symbols drawn evenly, of which nobody can do better than this perplexity: who does
    has seen the answers."""
    random_tokens: PositiveInt = 200_000
    """How many of them there are to train on; a tenth as many are held out."""
    random_rows: NonNegativeInt = 0
    """Above 0, the symbols come in documents of about this length, as lines of text do."""
    log_digests: bool = False
    """Log a digest of each step's batches, as the model sees them, so that `heats diff` can tell whether two runs saw
    the same."""

    @model_validator(mode="after")
    def _blocks_only(self) -> ConditionalDataSection:
        if self.stride or self.max_tokens:
            name = "stride" if self.stride else "max_tokens"
            raise ValueError(f"data.{name} has no place in this task: blocks lie side by side; leave it at 0")
        for name in ("train_rows", "eval_rows"):
            if getattr(self, name) == 0:
                raise ValueError(f"data.{name} = 0 leaves no text; give how many documents to take, or -1 for all")
        if self.random_symbols == 1:
            raise ValueError("data.random_symbols = 1 leaves nothing to guess; give 0 for text, or at least 2")
        return self


class ConditionalTrainSection(TrainSection):
    """How long and on what to train."""

    batch_size: PositiveInt = 8
    """Samples in one batch."""
    accumulation: PositiveInt = 16
    """Batches whose gradients are summed for one optimizer step; each scored token of them counts alike."""
    num_epochs: NonNegativeFloat = 3.0
    """How often all blocks are seen; 0 leaves the end to train.max_steps."""
    max_steps: PositiveInt = NO_END
    """Optimizer steps over the whole run, resumed attempts included, unless the epochs are over before."""
    save_every: NonNegativeInt = 1000
    """Steps between checkpoints; 0 saves only when the run ends or is stopped."""

    @model_validator(mode="after")
    def _ends(self) -> ConditionalTrainSection:
        if not self.num_epochs and self.max_steps == NO_END:
            raise ValueError("train.num_epochs = 0 needs train.max_steps, or the run would never end")
        return self


class ConditionalOptimSection(OptimSection):
    """The optimizer."""

    lr: PositiveFloat = 5e-4
    """Peak learning rate."""
    weight_decay: NonNegativeFloat = 0.1
    """Decay of weights with two or more dimensions; biases and norms are not decayed."""


class ConditionalScheduleSection(ScheduleSection):
    """The learning rate as a function of the step."""

    warmup_steps: NonNegativeInt = 2000
    """Steps over which the rate rises linearly from zero; at most a tenth of the run is used."""


class ConditionalEvaluationSection(EvaluationSection):
    """When to evaluate and how, what counts as best, and when to stop early."""

    every: NonNegativeInt = 500
    """Steps between evaluations; 0 evaluates only at the end."""
    modes: list[Annotated[int, Field(ge=0, le=5)]] = Field(default=[1, 2, 3, 4, 5], min_length=1)
    """0 sanity: counting alone, and random tokens; 1 left to right; 2 the middle given both ends; 3 splits as in
    training; 4 and 5 left to right, on what 2 and 3 score. The baseline knows 0, 1 and 4."""
    blocks: PositiveInt = 160
    """How many blocks are evaluated, spread over the held-out text."""
    batch_size: PositiveInt = 16
    """Blocks evaluated at once."""
    split_seed: NonNegativeInt = 42
    """Governs the splits of modes 2 and 3, which are drawn once and kept in the run's folder."""
    score_ends: bool = True
    """Score ends of documents like any other token; false compares runs fairly that weren't trained on them."""
    boundary_pct_min: Share = 0.1
    """Mode 2: start and end together are between this share of the positions ..."""
    boundary_pct_max: Share = 0.3
    """... and this one."""

    @model_validator(mode="after")
    def _each_once(self) -> ConditionalEvaluationSection:
        if len(set(self.modes)) < len(self.modes):
            raise ValueError(f"evaluation.modes holds a mode twice: {self.modes}")
        if self.boundary_pct_min > self.boundary_pct_max:
            raise ValueError("evaluation.boundary_pct_min is above evaluation.boundary_pct_max")
        return self


class Config(TaskConfig):
    """All options of the task."""

    summary: ClassVar[str] = "a GPT-2 that answers any conditional, and the question of the detached augmentation"
    metrics: ClassVar[tuple[str, ...]] = (
        "val/loss", "val/mode*_loss", "val/mode*_perplexity", "val/mode0_*", "val/gain_2_4", "val/gain_3_5",
        "test/loss", "test/mode*_loss", "test/mode*_perplexity", "test/mode0_*", "test/gain_2_4", "test/gain_3_5",
        "train/loss", "train/grad_norm", "train/given_share", "train/scored_share", "data/digest",
    )  # fmt: skip
    aliases: ClassVar[Mapping[str, str]] = {
        "model_type": "model.kind", "model_config": "model.config", "position_encoding_type": "model.position",
        "rope_base": "model.rope_base", "pretrained_model_path": "model.pretrained",
        "detach_augmentation": "augment.detach", "cond_pct_min": "augment.cond_pct_min",
        "cond_pct_max": "augment.cond_pct_max", "eval_pct_min": "augment.eval_pct_min",
        "eval_pct_max": "augment.eval_pct_max", "max_cond_blocks": "augment.max_cond_blocks",
        "mode2_boundary_cond_pct_min": "evaluation.boundary_pct_min",
        "mode2_boundary_cond_pct_max": "evaluation.boundary_pct_max", "eval_batch_size": "evaluation.batch_size",
        "eval_steps": "evaluation.every", "early_stopping_patience": "evaluation.patience",
        "ordering_mode": "sigma.ordering", "sigmagpt_mode": "sigma.loss", "num_epochs": "train.num_epochs",
        "batch_size": "train.batch_size", "gradient_accumulation_steps": "train.accumulation",
        "gradient_checkpointing": "train.gradient_checkpointing", "logging_steps": "train.log_every",
        "save_steps": "train.save_every", "device": "train.device", "learning_rate": "optim.lr",
        "weight_decay": "optim.weight_decay", "adam_beta1": "optim.beta1", "adam_beta2": "optim.beta2",
        "adam_epsilon": "optim.eps", "max_grad_norm": "clip.max_norm", "warmup_steps": "schedule.warmup_steps",
        "min_lr_ratio": "optim.min_lr_ratio", "num_train_samples": "data.train_rows",
        "num_eval_samples": "data.eval_rows", "num_workers": "data.num_workers",
    }  # fmt: skip

    train: ConditionalTrainSection = ConditionalTrainSection()
    optim: ConditionalOptimSection = ConditionalOptimSection()
    schedule: ConditionalScheduleSection = ConditionalScheduleSection()
    evaluation: ConditionalEvaluationSection = ConditionalEvaluationSection()
    data: ConditionalDataSection = ConditionalDataSection()
    model: ModelSection = ModelSection()
    augment: AugmentSection = AugmentSection()
    sigma: SigmaSection = SigmaSection()

    @model_validator(mode="before")
    @classmethod
    def _modes_that_there_are(cls, values: Any) -> Any:
        """The default modes are those that the kind of model knows."""
        if not isinstance(values, dict) or not isinstance(values.get("model"), dict):
            return values
        known = MODES_OF_KIND.get(str(values["model"].get("kind")))
        evaluation = values.get("evaluation")
        default = ConditionalEvaluationSection().modes
        if known and isinstance(evaluation, dict) and evaluation.get("modes") == default:
            values = values | {"evaluation": evaluation | {"modes": [mode for mode in default if mode in known]}}
        return values

    @model_validator(mode="after")
    def _fits_the_kind(self) -> Config:
        kind, default = self.model.kind, AugmentSection()
        names = AugmentSection.model_fields
        changed = [name for name in names if getattr(self.augment, name) != getattr(default, name)]
        if kind == "baseline" and changed:
            raise ValueError(f"augment.{changed[0]} is refused: model.kind = baseline has no augmentation")
        if kind == "sigma" and self.augment.mask != default.mask:
            raise ValueError("augment.mask = leaky is refused: model.kind = sigma has no prefix that could leak")
        foreign = [mode for mode in self.evaluation.modes if mode not in MODES_OF_KIND[kind]]
        if foreign:
            raise ValueError(f"evaluation.modes: model.kind = {kind} can't be evaluated in mode {foreign[0]}")
        if self.model.position == "learned" and self.data.block_size > POSITIONS - 1:
            raise ValueError(
                f"data.block_size ({self.data.block_size}) is above {POSITIONS - 1}: with model.position = learned "
                "there is one embedding for each position, BOS's included"
            )
        if self.model.attention == "flex" and self.model.dropout:
            raise ValueError("model.attention = flex has no dropout: set model.dropout to 0")
        return self

    @property
    def total_steps(self) -> int | None:
        """Known before the data only where nothing is said of epochs."""
        return None if self.train.num_epochs else self.train.max_steps

    def slug(self) -> str:
        """`conditional-distilgpt2`."""
        return f"{self.model.kind}-{self.model.config}"
