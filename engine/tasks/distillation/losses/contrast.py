"""Contrastive distillation against memory banks (Tian and others, ICLR 2020, arXiv 1910.10699)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from engine.tasks.distillation.losses.numeric import in_fp32, unit

_TINY = 1e-7


class Contrast(nn.Module):
    """Both networks' embeddings, and for each sample the memory of what they were.

    The memories and the two constants are buffers, so that checkpoints hold them.

    Args:
        student_width, teacher_width: of the pooled features.
        width: of the embeddings.
        samples: of the training set.
        temperature: of the similarities.
        momentum: how much of a memory stays when its sample is seen again.
    """

    student_bank: Tensor
    teacher_bank: Tensor
    constants: Tensor

    def __init__(
        self, student_width: int, teacher_width: int, width: int, samples: int, temperature: float, momentum: float
    ) -> None:
        super().__init__()
        self.samples, self.temperature, self.momentum = samples, temperature, momentum
        self.student = nn.Linear(student_width, width)
        self.teacher = nn.Linear(teacher_width, width)
        reach = 1 / math.sqrt(width / 3)
        self.register_buffer("student_bank", torch.empty(samples, width).uniform_(-reach, reach))
        self.register_buffer("teacher_bank", torch.empty(samples, width).uniform_(-reach, reach))
        self.register_buffer("constants", torch.zeros(2))

    def forward(self, student: Tensor, teacher: Tensor, indices: Tensor, negatives: Tensor) -> Tensor:
        """The loss of a batch, a scalar; in training the memories of its samples are renewed.

        Args:
            student, teacher: (B, C) pooled features.
            indices: (B,) int64, the samples' places in the training set.
            negatives: (B, N) int64, the places of other samples.
        """
        with in_fp32(student):
            mine, wanted = unit(self.student(student.float())), unit(self.teacher(teacher.float()))
            # The sample itself first: the one pair that belongs together.
            places = torch.cat([indices.unsqueeze(1), negatives], dim=1)
            loss = self._part(mine, self.teacher_bank[places], 0) + self._part(wanted, self.student_bank[places], 1)
            if self.training:
                self._renew(self.student_bank, indices, mine)
                self._renew(self.teacher_bank, indices, wanted)
            return loss

    def _part(self, anchors: Tensor, others: Tensor, which: int) -> Tensor:
        similar = torch.exp((others @ anchors.unsqueeze(2)).squeeze(2) / self.temperature)
        if self.training:
            with torch.no_grad():  # the normalising constant is that of the very first batch
                first = similar.detach().mean() * self.samples
                self.constants[which] = torch.where(self.constants[which] == 0, first, self.constants[which])
        # A copy: the graph keeps the value, and the other part's is about to be written beside it.
        return noise_contrastive_loss(similar / self.constants[which].clone(), self.samples)

    @torch.no_grad()
    def _renew(self, bank: Tensor, indices: Tensor, embeddings: Tensor) -> None:
        mixed = self.momentum * bank[indices] + (1 - self.momentum) * embeddings.detach()
        bank[indices] = unit(mixed)


def noise_contrastive_loss(scores: Tensor, samples: int) -> Tensor:
    """Tell the one true pair of each row from noise drawn evenly among the samples; a scalar, the mean over rows.

    Args:
        scores: (B, 1 + N), normalised likelihoods, the true pair's first.
        samples: of the training set.
    """
    noise = (scores.shape[1] - 1) / samples
    true = torch.log(scores[:, 0] / (scores[:, 0] + noise + _TINY))
    false = torch.log(noise / (scores[:, 1:] + noise + _TINY))
    return -(true.sum() + false.sum()) / len(scores)
