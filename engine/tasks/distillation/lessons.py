"""From a batch, as both networks see it, to the method's loss terms; holds whatever a method learns beside the student.

What a method learns (connectors, paraphrasers, embeddings) are parameters of its module, and what it remembers are
buffers, so that the optimizer has the ones and checkpoints have both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.errors import HeatsError
from engine.tasks.distillation.config import Config
from engine.tasks.distillation.losses import factors, hints, logits, relations
from engine.tasks.distillation.losses.attention import attention_loss
from engine.tasks.distillation.losses.contrast import Contrast
from engine.tasks.distillation.losses.selectivity import selectivity_loss
from engine.tasks.distillation.losses.similarity import similarity_loss
from engine.tasks.distillation.models import Network, Outputs, pooled

TEMPERATURES = {"logit": 4.0, "logit_std": 2.0, "dkd": 4.0}
"""As published."""
WEIGHTS = {
    "logit": 1.0, "logit_std": 9.0, "dkd": 1.0, "attention_transfer": 1000.0, "fitnets": 100.0,
    "factor_transfer": 200.0, "rkd": 1.0, "similarity": 3000.0, "nst": 50.0, "crd": 0.8,
}  # fmt: skip
"""As published, beside a cross entropy of weight 1 (rkd's two terms and dkd's have weights of their own)."""


@dataclass(frozen=True)
class Lesson:
    """What the teacher says to a batch."""

    teacher: Outputs
    labels: Tensor
    """(B,) int64."""
    indices: Tensor
    """(B,) int64, the samples' places in the training set."""
    negatives: Tensor | None = None
    """crd: (B, N) int64, the places of samples of other classes."""


class Method(nn.Module, ABC):
    """The loss terms of a method, unweighted."""

    @abstractmethod
    def forward(self, student: Outputs, lesson: Lesson) -> dict[str, Tensor]:
        """By name, each term of a batch: scalars."""


class Logits(Method):
    """`logit` and `logit_std`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.name = config.loss.method
        self.temperature = temperature(config)

    def forward(self, student: Outputs, lesson: Lesson) -> dict[str, Tensor]:
        measure = logits.logit_loss if self.name == "logit" else logits.standardised_logit_loss
        return {self.name: measure(student[-1], lesson.teacher[-1], self.temperature)}


class Decoupled(Method):
    """`dkd`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.temperature = temperature(config)

    def forward(self, student: Outputs, lesson: Lesson) -> dict[str, Tensor]:
        parts = logits.decoupled_losses(student[-1], lesson.teacher[-1], lesson.labels, self.temperature)
        return dict(zip(("dkd_target", "dkd_others"), parts, strict=True))


class Attention(Method):
    """`attention_transfer`."""

    def forward(self, student: Outputs, lesson: Lesson) -> dict[str, Tensor]:
        return {"attention": attention_loss(student[:3], lesson.teacher[:3])}


class Hints(Method):
    """`fitnets`, with its connector."""

    def __init__(self, config: Config, student: Network, teacher: Network) -> None:
        super().__init__()
        self.guided, self.hint = config.fitnets.guided_layer, config.fitnets.hint_layer
        self.connector = hints.connector(student.channels[self.guided], teacher.channels[self.hint])

    def forward(self, student: Outputs, lesson: Lesson) -> dict[str, Tensor]:
        connected = self.connector(student[self.guided])
        return {"hint": hints.hint_loss(connected, lesson.teacher[self.hint])}


class Factors(Method):
    """`factor_transfer`: paraphrasers and decoders, which phase 1 trains, and translators, which phase 2 does."""

    def __init__(self, config: Config, student: Network, teacher: Network) -> None:
        super().__init__()
        width = config.factor.channels
        self.translators = nn.ModuleList(factors.rewriter(channels, width) for channels in student.channels)
        self.paraphrasers = nn.ModuleList(factors.rewriter(channels, width) for channels in teacher.channels)
        self.decoders = nn.ModuleList(factors.rewriter(width, channels) for channels in teacher.channels)

    def reconstruct(self, teacher: Outputs) -> dict[str, Tensor]:
        """Phase 1: the one term, of the frozen teacher's features and what the decoders make of the factors."""
        self.paraphrasers.train(self.training)
        decoded = [
            decoder(paraphraser(features))
            for paraphraser, decoder, features in zip(self.paraphrasers, self.decoders, teacher[:3], strict=True)
        ]
        return {"reconstruction": factors.reconstruction_loss(decoded, teacher[:3])}

    def forward(self, student: Outputs, lesson: Lesson) -> dict[str, Tensor]:
        self.paraphrasers.eval()  # they are done: their norms' statistics must not move on
        with torch.no_grad():
            wanted = [tell(seen) for tell, seen in zip(self.paraphrasers, lesson.teacher[:3], strict=True)]
        mine = [tell(seen) for tell, seen in zip(self.translators, student[:3], strict=True)]
        return {"factor": factors.factor_loss(mine, wanted)}


class Relations(Method):
    """`rkd`: distances and angles between the samples of a batch."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.options = config.rkd

    def forward(self, student: Outputs, lesson: Lesson) -> dict[str, Tensor]:
        mine, wanted = pooled(student[2]), pooled(lesson.teacher[2])
        measure = relations.naive_distance_loss if self.options.form == "naive" else relations.distance_loss
        return {
            "rkd_distance": measure(mine, wanted),
            "rkd_angle": relations.angle_loss(mine, wanted, self.options.angle),
        }


class Similarity(Method):
    """`similarity`."""

    def forward(self, student: Outputs, lesson: Lesson) -> dict[str, Tensor]:
        return {"similarity": similarity_loss(student[2], lesson.teacher[2])}


class Selectivity(Method):
    """`nst`."""

    def forward(self, student: Outputs, lesson: Lesson) -> dict[str, Tensor]:
        return {"nst": selectivity_loss(student[:3], lesson.teacher[:3])}


class Contrasts(Method):
    """`crd`, with its embeddings and memories."""

    def __init__(self, config: Config, student: Network, teacher: Network, samples: int) -> None:
        super().__init__()
        options = config.crd
        self.contrast = Contrast(
            student.channels[2], teacher.channels[2], options.width, samples, options.temperature, options.momentum
        )

    def forward(self, student: Outputs, lesson: Lesson) -> dict[str, Tensor]:
        assert lesson.negatives is not None, "the task draws them for this method"
        mine, wanted = pooled(student[2]), pooled(lesson.teacher[2])
        return {"crd": self.contrast(mine, wanted, lesson.indices, lesson.negatives)}


class Learner(nn.Module):
    """The student and what it needs to learn: all that is trained and saved. The teacher stays outside.

    Args:
        student: gives `Outputs`.
        method: None where there is no teacher.
    """

    def __init__(self, student: nn.Module, method: Method | None) -> None:
        super().__init__()
        self.student = student
        self.method = method

    def forward(self, images: Tensor, lesson: Lesson | None = None) -> tuple[Outputs, dict[str, Tensor]]:
        """The student's outputs for (B, C, H, W) pictures and, with a lesson, the method's terms."""
        outputs: Outputs = self.student(images)
        taught = self.method is not None and lesson is not None
        return outputs, self.method(outputs, lesson) if taught and self.method is not None else {}


def temperature(config: Config) -> float:
    """The one asked for, or the published one."""
    return config.loss.temperature or TEMPERATURES[config.loss.method]


def build_method(config: Config, student: Network, teacher: Network | None, samples: int) -> Method | None:
    """A method's module, freshly initialised; None for training without a teacher.

    Args:
        config: names the method.
        student, teacher: the two networks.
        samples: of the training set, for crd's memories.

    Raises:
        HeatsError: the method needs to know the teacher's network, and nobody has said which.
    """
    simple: dict[str, Callable[[Config], Method]] = {
        "logit": Logits, "logit_std": Logits, "dkd": Decoupled, "rkd": Relations,
    }  # fmt: skip
    plain: dict[str, Callable[[], Method]] = {
        "attention_transfer": Attention,
        "similarity": Similarity,
        "nst": Selectivity,
    }
    name = config.loss.method
    if name == "none":
        return None
    if name in simple:
        return simple[name](config)
    if name in plain:
        return plain[name]()
    if teacher is None:
        raise no_teacher(config)
    if name == "fitnets":
        return Hints(config, student, teacher)
    if name == "factor_transfer":
        return Factors(config, student, teacher)
    return Contrasts(config, student, teacher, samples)


def no_teacher(config: Config) -> HeatsError:
    """The refusal of a method without a teacher."""
    return HeatsError(
        f"the method {config.loss.method} needs a teacher", place="teacher.from_run",
        remedy="name a finished run of this task with teacher.from_run=RUN, or train with loss.method=none",
    )  # fmt: skip


def term_weights(config: Config, epoch: int) -> dict[str, float]:
    """By name, the coefficient of each of the method's terms, before alpha mixing.

    Args:
        config: names the method.
        epoch: the current one, from 0, for dkd's warm-up.
    """
    options, name = config.loss, config.loss.method
    mixed = options.mix == "alpha"
    weight = options.weight if options.weight is not None else 1.0 if mixed else WEIGHTS[name]
    if name == "rkd":
        distance = config.rkd.distance_weight if config.rkd.distance_weight is not None else 1.0 if mixed else 25.0
        angle = config.rkd.angle_weight if config.rkd.angle_weight is not None else 2.0 if mixed else 50.0
        return {"rkd_distance": weight * distance, "rkd_angle": weight * angle}
    if name == "dkd":
        warm = min(1.0, (epoch + 1) / config.dkd.warmup_epochs) if config.dkd.warmup_epochs else 1.0
        weight *= warm
        return {"dkd_target": weight * config.dkd.target_weight, "dkd_others": weight * config.dkd.others_weight}
    return {TERMS.get(name, name): weight}


TERMS = {"attention_transfer": "attention", "fitnets": "hint", "factor_transfer": "factor"}
"""What the terms of some methods are called."""
