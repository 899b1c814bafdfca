"""The config sections that all tasks share. The docstring under each option is its help text everywhere."""

from __future__ import annotations

from collections.abc import Mapping
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

    name: Literal["adamw", "sgd", "lion", "muon"] = "adamw"
    """Which optimizer. muon moves hidden matrices; all else is moved by AdamW at the same rate."""
    lr: PositiveFloat = 1e-3
    """Peak learning rate."""
    weight_decay: NonNegativeFloat = 0.01
    """Decay of weights with two or more dimensions; biases and norms are not decayed."""
    beta1: Share = 0.9
    """AdamW and Lion: decay of the first moment."""
    beta2: Share = 0.999
    """AdamW: decay of the second moment."""
    eps: PositiveFloat = 1e-8
    """AdamW: added to the denominator."""
    momentum: Share = 0.9
    """SGD: momentum."""
    lion_beta2: Share = 0.99
    """Lion: decay of its moment."""
    muon_momentum: Share = 0.95
    """Muon: momentum, Nesterov's."""
    min_lr_ratio: Share = 0.1
    """The schedule ends at this share of the peak rate."""
    fused: bool = True
    """Use torch's fused kernel where the device has one (several times faster on many small tensors)."""


class ScheduleSection(Section):
    """The learning rate as a function of the step."""

    kind: Literal["cosine", "linear", "constant", "multistep"] = "cosine"
    """Shape after the warm-up."""
    warmup_steps: NonNegativeInt = 100
    """Steps over which the rate rises linearly from zero; at most a tenth of the run is used."""
    milestones: list[Share] = Field(default=[0.625, 0.75, 0.875])
    """multistep: the shares of the run after which the rate falls, to gamma times what it was."""
    gamma: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """multistep: the factor of each fall; optim.min_lr_ratio has no effect."""


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
    """What watches over the run, and what it does about what it finds.

    Figures are read and decisions fall every train.log_every steps, so that a run can be repeated to the last bit.
    Whatever is found leaves an alert. skip: the update is dropped. cut_lr: the learning rate is multiplied by
    cut_factor and recovers. rollback: back to the last good checkpoint, past the batches since. stop: the run fails.
    """

    non_finite: Literal["skip", "cut_lr", "rollback", "stop"] = "skip"
    """The loss or a gradient is NaN or infinite. Such an update is always dropped, or the weights would be lost.
    (Overflows under fp16 are the loss scaler's daily work: there only the loss counts.)"""
    explosion: Literal["ignore", "alert", "skip", "cut_lr", "rollback", "stop"] = "alert"
    """The loss is far above its running level."""
    norm_outlier: Literal["ignore", "alert", "skip", "cut_lr", "rollback", "stop"] = "alert"
    """The norm of the gradient is far above its running level."""
    skipped: Literal["alert", "cut_lr", "rollback", "stop"] = "stop"
    """max_skipped updates in a row were dropped."""
    dead_scale: Literal["ignore", "alert", "rollback", "stop"] = "alert"
    """The loss scale of fp16 has fallen below 1."""
    no_weight_moved: Literal["ignore", "alert", "stop"] = "alert"
    """No weight has changed for moved_every steps."""
    share: Literal["ignore", "alert", "stop"] = "alert"
    """One loss term has more than share_limit of the gradient, or a share is NaN. Needs share_every."""
    worse_than_chance: Literal["ignore", "alert", "stop"] = "alert"
    """After 3 epochs the evaluation's cross entropy is above that of guessing. Needs a task that says its classes."""
    stall: Literal["ignore", "alert", "stop"] = "alert"
    """No step was completed for stall_seconds, or for ten times as long as is usual in this run."""
    disk: Literal["ignore", "alert"] = "alert"
    """There is no room for the next checkpoint."""
    window: Annotated[int, Field(ge=8, le=100_000)] = 100
    """Accepted steps from whose losses and norms the running levels are taken."""
    sigmas: PositiveFloat = 10.0
    """How many robust deviations above its running median a loss or norm is too much."""
    max_skipped: PositiveInt = 20
    """How many dropped updates in a row are too many."""
    moved_every: NonNegativeInt = 0
    """Steps between looks at whether any weight has changed; 0 is an epoch, at least 20 and at most 1,000 steps."""
    cut_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """cut_lr: what the learning rate is multiplied by."""
    recover_steps: NonNegativeInt = 500
    """cut_lr: steps until the rate is what it was; 0 never. After as many quiet steps cuts and rollbacks are forgotten.
    """
    cooldown_steps: NonNegativeInt = 50
    """Quiet steps after which an alert is over, and steps before an action is taken again."""
    max_cuts: NonNegativeInt = 4
    """The run fails when more cuts than this would be needed."""
    max_rollbacks: NonNegativeInt = 3
    """The run fails when more rollbacks than this would be needed."""
    keep_emergency: NonNegativeInt = 2
    """Emergency checkpoints that are kept, made before a cut, a rollback or a stop. Never resumed from unasked."""
    stall_seconds: PositiveFloat = 120.0
    """The least time without a step that counts as a stall."""
    preflight: bool = True
    """Before the first step, send one batch forward and back through each loss term, and refuse to start if a
    gradient isn't finite. Changes no bit of the training."""
    share_every: NonNegativeInt = 0
    """Steps between measurements of each loss term's share of the gradient norm; 0 for never."""
    share_limit: Share = 0.99
    """The share of the gradient above which a loss term drowns the others."""

    def policies(self) -> dict[str, str]:
        """What is done about each cause."""
        return {name: value for name, value in self.model_dump().items() if name in GUARD_CAUSES}


GUARD_CAUSES = (
    "non_finite", "explosion", "norm_outlier", "skipped", "dead_scale", "no_weight_moved", "share",
    "worse_than_chance", "stall", "disk",
)  # fmt: skip
"""What the guard looks for: the options of its section that are policies."""


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
    test_at_end: bool = False
    """When the run has finished, look once at the test set, with the weights of its best checkpoint."""


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


class ParallelSection(Section):
    """Training by several processes at once, under torchrun: gloo on CPUs, NCCL on GPUs, one process a GPU."""

    procs: Annotated[int, Field(gt=0, le=4096)] = 1
    """Processes on each machine. train.batch_size is divided among all of them."""
    nodes: Annotated[int, Field(gt=0, le=65536)] = 1
    """Machines, each with as many processes."""
    kind: Literal["ddp", "fsdp"] = "ddp"
    """ddp: each process holds the whole model. fsdp: each holds a part of weights and moments (FSDP2)."""

    @property
    def world_size(self) -> int:
        """All processes together."""
        return self.procs * self.nodes


class RunConfig(Section):
    """What the config of every run has, whatever trains it."""

    summary: ClassVar[str] = ""
    """One line about the task."""
    metrics: ClassVar[tuple[str, ...]] = ()
    """The metrics that its evaluations log, `*` standing for any text; studies refuse others. Empty: nobody checks."""
    aliases: ClassVar[Mapping[str, str]] = {}
    """Other names by which options may be given, such as the flat ones of the script that a task goes back to."""
    trainer: ClassVar[str] = "engine.train"
    """The module that runs an attempt, as `python -m MODULE RUN_FOLDER --attempt N`."""

    seed: NonNegativeInt = 0
    """Governs every random choice of the run."""

    @property
    def total_steps(self) -> int | None:
        """How many steps the run will take, where that is known before it starts."""
        return None

    @property
    def procs(self) -> int:
        """How many processes train together on one machine."""
        return 1

    @property
    def best_mode(self) -> Literal["min", "max"]:
        """Whether less or more of the metric that decides which checkpoint is best is better."""
        return "min"

    def complete(self) -> None:
        """Refuse a config that is well formed but can't be launched.

        Raises:
            ValueError: why, with the key at fault in backquotes.
        """

    def slug(self) -> str:
        """The few options worth seeing in a run's id, such as `latent-d384-l4-n8`."""
        return f"seed{self.seed}"


class TaskConfig(RunConfig):
    """The whole config of a run of our engine. Each task subclasses it, refines sections and adds its own."""

    train: TrainSection = TrainSection()
    optim: OptimSection = OptimSection()
    schedule: ScheduleSection = ScheduleSection()
    clip: ClipSection = ClipSection()
    precision: PrecisionSection = PrecisionSection()
    evaluation: EvaluationSection = EvaluationSection()
    checkpoint: CheckpointSection = CheckpointSection()
    guard: GuardSection = GuardSection()
    data: DataSection = DataSection()
    parallel: ParallelSection = ParallelSection()

    @model_validator(mode="after")
    def _processes_share_alike(self) -> TaskConfig:
        size = self.parallel.world_size
        if self.train.batch_size % size:
            raise ValueError(
                f"train.batch_size ({self.train.batch_size}) can't be divided evenly among {size} processes "
                "(parallel.procs x parallel.nodes)"
            )
        if size > 1 and self.parallel.kind == "fsdp":
            if self.precision.dtype == "fp16":
                raise ValueError("parallel.kind = fsdp has no loss scaler: set precision.dtype to bf16 or fp32")
            if self.guard.share_every:
                raise ValueError("guard.share_every can't be measured with parallel.kind = fsdp: set it to 0")
        return self

    @property
    def total_steps(self) -> int | None:
        """Optimizer steps over the whole run."""
        return self.train.max_steps

    @property
    def procs(self) -> int:
        """As the options say."""
        return self.parallel.procs

    @property
    def best_mode(self) -> Literal["min", "max"]:
        """As the evaluation says."""
        return self.evaluation.best_mode

    @model_validator(mode="after")
    def _rollbacks_need_checkpoints(self) -> TaskConfig:
        causes = [cause for cause, policy in self.guard.policies().items() if policy == "rollback"]
        if causes and not self.train.save_every:
            raise ValueError(f"guard.{causes[0]} = rollback needs checkpoints to go back to: train.save_every is 0")
        return self
