"""FitNets: a layer of the student is led by a later, wider one of the teacher (Romero and others, ICLR 2015)."""

from __future__ import annotations

from torch import Tensor, nn

from engine.tasks.distillation.losses.numeric import in_fp32
from engine.tasks.distillation.losses.places import at_same_size


def connector(student_channels: int, teacher_channels: int) -> nn.Sequential:
    """The 1x1 convolution that gives the student's features as many channels as the teacher's.

    With a norm and a ReLU, as what it is compared with has gone through: without a norm the published weight of 100
    lets the connector diverge.
    """
    convolution = nn.Conv2d(student_channels, teacher_channels, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(teacher_channels), nn.ReLU())


def hint_loss(connected: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared error of the student's connected features; a scalar.

    Args:
        connected, teacher: (B, C, H, W); the larger one is pooled to the other's size.
    """
    with in_fp32(connected):
        mine, wanted = at_same_size(connected.float(), teacher.float())
        return (mine - wanted).square().mean()
