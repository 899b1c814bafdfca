"""The task `distillation`: a ResNet that tells pictures apart, taught by a larger one or by labels alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.tasks.distillation.config import Config
from engine.tasks.distillation.lessons import (
    Factors,
    Learner,
    Lesson,
    build_method,
    no_teacher,
    term_weights,
)
from engine.tasks.distillation.losses.numeric import in_fp32
from engine.tasks.distillation.models import Network, build_network
from engine.tasks.distillation.teacher import Teacher, load_paraphrasers, load_teacher, teacher_network
from engine.tasks.vision.data import ImageData, Splits, load_splits
from engine.train.phases import ONE_PHASE, Phase, phase_at
from engine.train.schedule import rate_at
from engine.train.task import Batch, LossTerms, StepContext, Task

EVALUATION_BATCH = 500
"""Pictures evaluated at once."""
_TOP = 5
_MOST_WITHOUT_TOP = 10
_PARAPHRASING, _STUDENT = "paraphrasers", "student"


class Distillation(Task[Config]):
    """Judged by the accuracy on held-out pictures; the best epoch is chosen on `val`."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._splits: Splits | None = None
        self._teacher: Teacher | None = None
        self._teacher_device: torch.device | None = None
        self._digest = ""
        self._by_class: tuple[Tensor, ...] | None = None

    # --- what is built ---

    def build_data(self) -> ImageData:
        """Cut the pictures into three sets; the training set is returned, the others are kept for `evaluate`."""
        if self.config.loss.method != "none" and self.config.teacher.from_run is None:
            raise no_teacher(self.config)
        splits = self._splits = load_splits(self.config.data, self.config.seed)
        self.num_classes = len(splits.train.classes)
        return ImageData(splits.train, splits.normalisation, self.config.data)

    def build_model(self) -> Learner:
        """The student, drawn first so that all methods begin with the same one, and what its method learns."""
        config, splits = self.config, self._read_splits()
        student = build_network(config.model.network, splits.train.images.shape[1], len(splits.train.classes))
        taught = config.loss.method != "none"
        teacher = teacher_network(config, self.store) if taught else None
        method = build_method(config, Network.named(config.model.network), teacher, len(splits.train))
        if isinstance(method, Factors) and config.factor.from_run is not None:
            weights = load_paraphrasers(config, self.store, self._load_teacher().digest)
            method.paraphrasers.load_state_dict(weights)
        learner = Learner(student, method)
        if config.train.channels_last:
            learner = learner.to(memory_format=torch.channels_last)
        return learner

    def param_groups(self, model: nn.Module) -> list[dict[str, Any]] | None:
        """One group where everything is decayed."""
        if not self.config.optim.decay_norms:
            return None
        return [{"params": list(model.parameters()), "weight_decay": self.config.optim.weight_decay}]

    # --- phases ---

    def phases(self) -> tuple[Phase, ...]:
        """Factor transfer has two."""
        first = self.config.first_phase_steps
        return (Phase(_PARAPHRASING, 0, judged=False), Phase(_STUDENT, first)) if first else ONE_PHASE

    def learning_rate(self, step: int) -> float:
        """Each phase has the whole shape of the schedule to itself."""
        config, first = self.config, self.config.first_phase_steps
        if step < first:
            return rate_at(config, step, config.factor.lr, first)
        return rate_at(config, step - first, config.optim.lr, config.train.max_steps - first)

    def _paraphrases(self, step: int) -> bool:
        """Whether the optimizer step that follows `step` completed ones trains paraphrasers."""
        return phase_at(self.phases(), step).name == _PARAPHRASING

    # --- training ---

    def loss(self, model: nn.Module, batch: Batch, context: StepContext) -> LossTerms:
        """`cross_entropy` and the terms of the method; in phase 1 of factor transfer `reconstruction` alone."""
        images, labels = self._laid_out(batch["image"]), batch["label"]
        options = self.config.loss
        if options.method == "none":
            outputs, _ = model(images)
            self._note_accuracy(outputs[-1], labels, context)
            return {"cross_entropy": (1.0, _cross_entropy(outputs[-1], labels, options.label_smoothing))}
        said = self._teacher_on(images.device)(images)
        if self._paraphrases(context.step):
            return {name: (1.0, value) for name, value in _factors(model).reconstruct(said).items()}
        negatives = self._negatives(labels, context) if options.method == "crd" else None
        outputs, terms = model(images, Lesson(said, labels, batch["index"], negatives))
        self._note_accuracy(outputs[-1], labels, context)
        share = options.alpha if options.mix == "alpha" else 1.0
        own = 1.0 - options.alpha if options.mix == "alpha" else 1.0
        weights = term_weights(self.config, self._epoch(context.step))
        found: LossTerms = {"cross_entropy": (own, _cross_entropy(outputs[-1], labels, 0.0))}
        return found | {name: (share * weights[name], value) for name, value in terms.items()}

    def _epoch(self, step: int) -> int:
        train = self.config.train
        batches = max(1, len(self._read_splits().train) // train.batch_size)
        return (step - self.config.first_phase_steps) * train.accumulation // batches

    def _negatives(self, labels: Tensor, context: StepContext) -> Tensor:
        """For each sample the places of samples of other classes, drawn evenly: (B, N) int64 on the device."""
        seed = int(torch.randint(2**62, (), generator=context.generator))
        generator = torch.Generator(labels.device).manual_seed(seed)
        if self._by_class is None or self._by_class[0].device != labels.device:
            every = self._read_splits().train.labels
            counts = torch.bincount(every, minlength=self.num_classes or 0)
            made = (every.argsort(stable=True), counts, counts.cumsum(0) - counts)
            self._by_class = tuple(item.to(labels.device) for item in made)
        by_class, sizes, starts = self._by_class
        own, before = sizes[labels].unsqueeze(1), starts[labels].unsqueeze(1)
        shape = (len(labels), self.config.crd.negatives)
        drawn = torch.randint(2**62, shape, generator=generator, device=labels.device) % (len(by_class) - own)
        return by_class[drawn + own * (drawn >= before)]  # past the sample's own class

    @staticmethod
    def _note_accuracy(logits: Tensor, labels: Tensor, context: StepContext) -> None:
        context.figures["train/accuracy"] = (logits.detach().argmax(dim=1) == labels).float().mean()

    def _laid_out(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=torch.channels_last) if self.config.train.channels_last else images

    # --- the teacher ---

    def _load_teacher(self) -> Teacher:
        """Read once, and again only where a resume says that it was another."""
        if self._teacher is None or self._teacher.digest != (self._digest or self._teacher.digest):
            splits = self._read_splits()
            classes, channels = len(splits.train.classes), splits.train.images.shape[1]
            self._teacher = load_teacher(self.config, self.store, classes, channels, self._digest)
            self._teacher_device = None
        self._digest = self._teacher.digest
        return self._teacher

    def _teacher_on(self, device: torch.device) -> Teacher:
        teacher = self._load_teacher()
        if self._teacher_device != device:
            teacher.model.to(device)
            self._teacher_device = device
        return teacher

    def state_dict(self) -> dict[str, Any]:
        """Which weights teach: a resume takes the same or none."""
        return {"teacher": self._digest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._digest = state["teacher"] or self._digest

    # --- evaluation ---

    def evaluate(self, model: nn.Module, split: str, device: torch.device) -> dict[str, float]:
        """`accuracy`, `cross_entropy` (without smoothing) and, among more than 10 classes, `top5_accuracy`.

        In phase 1 of factor transfer, when there is no student to speak of yet: `reconstruction`.
        """
        splits = self._read_splits()
        images = splits.val if split == "val" else splits.test
        paraphrases = self._paraphrases(self.step - 1) if self.step else False
        sums: dict[str, Tensor] = {}
        for start in range(0, len(images), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            pictures = self._laid_out(splits.normalisation(images.images[part].to(device)))
            labels = images.labels[part].to(device)
            if paraphrases:
                said = self._teacher_on(device)(pictures)
                figures = {name: value * len(labels) for name, value in _factors(model).reconstruct(said).items()}
            else:
                outputs, _ = model(pictures)
                figures = _sums(outputs[-1], labels)
            sums = {name: sums[name] + value if name in sums else value for name, value in figures.items()}
        return {name: float(value) / len(images) for name, value in sums.items()}

    def _read_splits(self) -> Splits:
        if self._splits is None:
            self.build_data()
        assert self._splits is not None
        return self._splits


def _cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    with in_fp32(logits):
        return functional.cross_entropy(logits.float(), labels, label_smoothing=smoothing)


def _sums(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """The figures of a batch, summed over its samples."""
    logits = logits.float()
    ranked = logits.topk(_TOP if logits.shape[1] > _MOST_WITHOUT_TOP else 1, dim=1).indices
    right = ranked == labels.unsqueeze(1)
    figures = {
        "accuracy": right[:, 0].float().sum(),
        "cross_entropy": functional.cross_entropy(logits, labels, reduction="sum"),
    }
    if logits.shape[1] > _MOST_WITHOUT_TOP:
        figures["top5_accuracy"] = right.any(dim=1).float().sum()
    return figures


def _factors(model: nn.Module) -> Factors:
    """The method's module inside the wrappers of data parallelism and torch.compile."""
    for wrapper in ("module", "_orig_mod"):
        model = getattr(model, wrapper, model)
    method = model.method
    assert isinstance(method, Factors)
    return method


TASK = Distillation
