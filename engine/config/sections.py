"""The config sections that all tasks share. The docstring under each option is its help text everywhere."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Below 2**63 because records, arrays and torch hold no more.
PositiveInt = Annotated[int, Field(gt=0, lt=2**63)]
NonNegativeInt = Annotated[int, Field(ge=0, lt=2**63)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A group of options: unknown keys are refused, values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)


class TrainSection(Section):
    """How long and on what to train."""

    batch_size: PositiveInt = 32
    """Samples in one batch."""
    accumulation: PositiveInt = 1
    """Batches whose gradients are summed for one optimizer step."""
    max_steps: PositiveInt = 1000
    """Optimizer steps over the whole run, resumed attempts included."""
    log_every: PositiveInt = 10
    """Steps between two readings of the device's figures. Every step is recorded whatever this is."""
    save_every: NonNegativeInt = 500
    """Steps between checkpoints; 0 saves only when the run ends or is stopped."""
    device: Literal["auto", "cuda", "mps", "cpu"] = "auto"
    """Where to train; auto takes cuda, then mps, then cpu."""
    deterministic: bool = True
    """Use deterministic kernels only, so that the same config gives the same bits."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass instead of keeping them: less memory, more time."""
    compile: bool = False
    """Run the model through torch.compile. Rarely pays on a CPU."""
    num_threads: NonNegativeInt = 0
    """CPU threads a process; 0 leaves it to torch. Another number gives other bits."""


class OptimSection(Section):
    """The optimizer."""

    name: Literal["adamw", "sgd"] = "adamw"
    """Which optimizer."""
    lr: PositiveFloat = 1e-3
    """Peak learning rate."""
    weight_decay: NonNegativeFloat = 0.01
    """Decay of weights with two or more dimensions; biases and norms are not decayed."""
    beta1: Share = 0.9
    """AdamW: decay of the first moment."""
    beta2: Share = 0.999
    """AdamW: decay of the second moment."""
    eps: PositiveFloat = 1e-8
    """AdamW: added to the denominator."""
    momentum: Share = 0.9
    """SGD: momentum."""
    min_lr_ratio: Share = 0.1
    """The schedule ends at this share of the peak rate."""
    fused: bool = True
    """Use torch's fused kernel where the device has one (several times faster on many small tensors)."""


class ScheduleSection(Section):
    """The learning rate as a function of the step."""

    kind: Literal["cosine", "linear", "constant"] = "cosine"
    """Shape after the warm-up."""
    warmup_steps: NonNegativeInt = 100
    """Steps over which the rate rises linearly from zero; at most a tenth of the run is used."""


class ClipSection(Section):
    """Bounds on the norm of the gradient."""

    kind: Literal["dynamic", "fixed", "none"] = "fixed"
    """fixed clips at max_norm; dynamic follows a running quantile of recent norms."""
    max_norm: PositiveFloat = 1.0
    """The fixed bound, and the dynamic bound of the very first step."""
    window: PositiveInt = 100
    """dynamic: how many recent accepted steps the quantile is taken over."""
    quantile: Share = 0.9
    """dynamic: which quantile of the recent norms becomes the bound."""
    lower: NonNegativeFloat = 0.05
    """dynamic: the bound never falls below this."""
    upper: PositiveFloat = 5.0
    """dynamic: the bound never rises above this."""
    lr_power: NonNegativeFloat = 0.5
    """dynamic: the bound is multiplied by (rate / peak rate) to this power, so it tightens as the rate falls."""

    @model_validator(mode="after")
    def _ordered(self) -> ClipSection:
        if self.lower > self.upper:
            raise ValueError(f"clip.lower ({self.lower:g}) is above clip.upper ({self.upper:g})")
        return self


class PrecisionSection(Section):
    """Number formats."""

    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Format of the forward pass; auto is bf16 on a GPU that has it, else fp16 on CUDA, else fp32."""
    tf32: bool = False
    """Let CUDA round fp32 matrix products to TF32."""


class CheckpointSection(Section):
    """How checkpoints are saved, and which are kept."""

    asynchronous: bool = True
    """Write beside training, which only waits for a copy in memory; needs room there for weights and moments once or
    twice more, and saves synchronously where there is none. Last checkpoints are always waited for."""

    keep_last: PositiveInt = 3
    """The newest ones."""
    keep_best: NonNegativeInt = 1
    """The best ones by evaluation.best_metric."""
    keep_every: NonNegativeInt = 0
    """Also each whose step is a multiple of this; 0 for none."""
    wait_seconds: NonNegativeFloat = 600.0
    """How long the last checkpoint waits for room on a full disk before the run ends as failed."""


class GuardSection(Section):
    """What watches over the run."""

    max_skipped: PositiveInt = 20
    """The run ends as failed after this many optimizer steps in a row were skipped for non-finite gradients."""
    share_every: NonNegativeInt = 0
    """Steps between measurements of each loss term's share of the gradient norm; 0 for never."""


class EvaluationSection(Section):
    """When to evaluate, what counts as best, and when to stop early."""

    every: NonNegativeInt = 100
    """Steps between evaluations; 0 evaluates only at the end."""
    every_epochs: NonNegativeInt = 0
    """Epochs between evaluations, beside `every`."""
    best_metric: str = "val/loss"
    """The metric that decides which checkpoint is best."""
    best_mode: Literal["min", "max"] = "min"
    """Whether less or more of it is better."""
    patience: NonNegativeInt = 0
    """Stop after this many evaluations without a gain; 0 never stops early."""
    min_gain: NonNegativeFloat = 0.0
    """How much better counts as a gain."""


class DataSection(Section):
    """How batches are loaded. None of these changes what is in a batch."""

    num_workers: NonNegativeInt = 0
    """Loader processes; 0 loads in the training process."""
    pin_memory: bool = False
    """Load into page-locked memory, for faster copies to a GPU."""
    persistent_workers: bool = True
    """Keep the loader's processes alive from one epoch to the next."""
    prefetch_factor: PositiveInt = 2
    """Batches that each worker prepares ahead."""


class TaskConfig(Section):
    """The whole config of a run. Each task subclasses it, refines sections and adds its own."""

    summary: ClassVar[str] = ""
    """One line about the task."""
    metrics: ClassVar[tuple[str, ...]] = ()
    """The metrics that its evaluations log, `*` standing for any text; studies refuse others. Empty: nobody checks."""

    seed: NonNegativeInt = 0
    """Governs every random choice of the run."""
    train: TrainSection = TrainSection()
    optim: OptimSection = OptimSection()
    schedule: ScheduleSection = ScheduleSection()
    clip: ClipSection = ClipSection()
    precision: PrecisionSection = PrecisionSection()
    evaluation: EvaluationSection = EvaluationSection()
    checkpoint: CheckpointSection = CheckpointSection()
    guard: GuardSection = GuardSection()
    data: DataSection = DataSection()

    def slug(self) -> str:
        """The few options worth seeing in a run's id, such as `latent-d384-l4-n8`."""
        return f"seed{self.seed}"
