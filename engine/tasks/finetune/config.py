"""The options of the task `finetune`. Pydantic only: forms and help read this without torch."""

from __future__ import annotations

from typing import ClassVar, Literal

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
from engine.tasks.text.config import AttentionName, SizeName, TextDataSection

AblationName = Literal["none", "delete", "uniform", "self_only", "mean"]
ABLATIONS: tuple[AblationName, ...] = ("delete", "uniform", "self_only", "mean")
"""All that take something away, in the order of maps."""


class ModelSection(Section):
    """Which GPT-2, and what it starts from."""

    size: SizeName = "tiny"
    """Of a model that is neither pretrained nor another run's: nano 2 layers of width 64, tiny 4 of 128, small 6 of
    384, distilgpt2 6 of 768, gpt2 12 of 768."""
    name: str | None = None
    """A pretrained GPT-2 of transformers: its name, or a folder written by `save_pretrained`. Brings its tokenizer."""
    from_run: str | None = None
    """Start from the best checkpoint of this run of the task: its id in the same store, or its folder. Brings its
    tokenizer."""
    init: Literal["auto", "pretrained", "scratch"] = "auto"
    """scratch: new weights, even in the shape of model.name; auto: pretrained where there is something to start from.
    """
    dropout: Share = 0.1
    """Of embeddings, attention and residual connections."""
    attention: AttentionName = "sdpa"
    """Which implementation of attention: eager computes every weight."""

    @property
    def is_new(self) -> bool:
        """Whether training starts from new weights."""
        return self.init == "scratch" or (self.name is None and self.from_run is None)

    @model_validator(mode="after")
    def _one_start(self) -> ModelSection:
        if self.name is not None and self.from_run is not None:
            raise ValueError("model.name and model.from_run both say what to start from; give one of them")
        if self.init == "pretrained" and self.name is None and self.from_run is None:
            raise ValueError("model.init = pretrained needs model.name or model.from_run to start from")
        return self


class AblationSection(Section):
    """What is taken from attention, by hooks; the weights and the code of the model stay as they are."""

    kind: AblationName = "none"
    """delete: what attention adds to the residual stream becomes zero. uniform: queries are zero, so each position
    averages evenly over itself and all before it. self_only: each position attends to itself alone. mean: the output
    becomes its mean over training text, the same at every position."""
    layers: list[NonNegativeInt] = Field(default=[])
    """In which layers, counted from 0; all when empty."""
    heads: list[NonNegativeInt] = Field(default=[])
    """Of which heads, counted from 0; when empty the whole of attention, with the bias of its output."""
    when: Literal["train", "eval", "both"] = "both"
    """In training, in evaluation, or in both."""
    map: bool = False
    """At the end of the run evaluate with every ablation in every single layer: `perplexity_delete_layer0` and on."""
    mean_blocks: PositiveInt = 32
    """mean: how many samples of the training text the mean is taken over."""

    @property
    def in_training(self) -> bool:
        return self.kind != "none" and self.when in ("train", "both")

    @property
    def in_evaluation(self) -> bool:
        return self.kind != "none" and self.when in ("eval", "both")


class FinetuneTrainSection(TrainSection):
    """How long and on what to train."""

    batch_size: PositiveInt = 8
    """Samples in one batch."""
    max_steps: PositiveInt = 1000
    """Optimizer steps over the whole run, resumed attempts included."""


class FinetuneOptimSection(OptimSection):
    """The optimizer."""

    lr: PositiveFloat = 5e-4
    """Peak learning rate. The best one is another for each optimizer: comparing them at one rate compares rates."""
    weight_decay: NonNegativeFloat = 0.01
    """Decay of weights with two or more dimensions; biases and norms are not decayed."""


class Config(TaskConfig):
    """All options of the task."""

    summary: ClassVar[str] = "GPT-2 fine-tuned: optimizers compared, attention ablated"
    metrics: ClassVar[tuple[str, ...]] = (
        *(
            f"{split}/{name}"
            for split in ("val", "test")
            for name in ("loss", "perplexity", "unigram_perplexity", "bigram_perplexity", "tokens", "perplexity_*")
        ),
        "train/loss", "train/grad_norm", "train/tokens",
    )  # fmt: skip

    train: FinetuneTrainSection = FinetuneTrainSection()
    model: ModelSection = ModelSection()
    data: TextDataSection = TextDataSection()
    ablation: AblationSection = AblationSection()
    optim: FinetuneOptimSection = FinetuneOptimSection()
    schedule: ScheduleSection = ScheduleSection()
    evaluation: EvaluationSection = EvaluationSection(best_metric="val/loss", test_at_end=True)

    @model_validator(mode="after")
    def _ablation_fits(self) -> Config:
        if self.ablation.in_training and self.train.gradient_checkpointing:
            raise ValueError(
                "train.gradient_checkpointing computes activations again after the ablation's hooks are gone; switch "
                "it off, or set ablation.when to eval"
            )
        if self.train.compile and (self.ablation.kind != "none" or self.ablation.map):
            raise ValueError(
                "train.compile keeps code that was compiled under other hooks than those of the ablation; switch it off"
            )
        if self.ablation.map and self.evaluation.patience and not self.evaluation.test_at_end:
            raise ValueError(
                "ablation.map is made at the run's last step, which evaluation.patience may leave out; set "
                "evaluation.test_at_end, and it is made with the test"
            )
        return self

    def slug(self) -> str:
        """`adamw-tiny-scratch`, `uniform-tuned`."""
        start = self.model.from_run or self.model.name
        what = self.optim.name if self.ablation.kind == "none" else self.ablation.kind.replace("_", "-")
        return f"{what}-{self.model.size if start is None else 'tuned'}{'-scratch' if self.model.is_new else ''}"
