"""The gradients of every method are finite in fp16 and bf16: at random, at collapse, at zero, and for a sure student.

They don't rest on how a torch version treats a bound: the naive form, which does as the old versions did, must fail.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.tasks.distillation.config import Config
from engine.tasks.distillation.lessons import Lesson, build_method
from engine.tasks.distillation.models import Network, Outputs
from tests.engine.tasks.distillation.made import config_of

METHODS = (
    "logit", "logit_std", "dkd", "attention_transfer", "fitnets", "factor_transfer", "rkd", "similarity", "nst", "crd",
)  # fmt: skip
STATES = ("random", "collapse", "zero", "huge", "equal to the teacher")
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
ROWS, CLASSES = 8, 10


def outputs(channels: tuple[int, int, int], state: str, seed: int) -> Outputs:
    generator = torch.Generator().manual_seed(seed)
    sizes = (8, 4, 2)
    shapes = [(ROWS, width, size, size) for width, size in zip(channels, sizes, strict=True)]
    found = [torch.randn(shape, generator=generator).relu() for shape in shapes]
    found.append(torch.randn((ROWS, CLASSES), generator=generator))
    if state == "collapse":
        found = [values[:1].expand_as(values).contiguous() for values in found]
    if state == "zero":
        found = [torch.zeros_like(values) for values in found]
    if state == "huge":  # near the end of fp16's range where sums of squares leave it
        found = [300 * values for values in found]
    return found[0], found[1], found[2], found[3]


def config(method: str, **values: object) -> Config:
    return config_of({"loss.method": method, "teacher.network": "resnet14", **values})


def gradients(options: Config, state: str, dtype: torch.dtype) -> dict[str, list[Tensor]]:
    """By term, the gradients in what the student gave and in what the method learns."""
    network = Network.named("resnet8")
    torch.manual_seed(0)
    method = build_method(options, network, network, 40)
    assert method is not None
    teacher = outputs(network.channels, "random", 1)
    mine = teacher if state == "equal to the teacher" else outputs(network.channels, state, 2)
    leaves = [values.to(dtype).requires_grad_() for values in mine]
    labels = torch.arange(ROWS) % CLASSES
    negatives = torch.randint(40, (ROWS, 16), generator=torch.Generator().manual_seed(3))
    one, two, three, told = (values.to(dtype) for values in teacher)
    lesson = Lesson((one, two, three, told), labels, torch.arange(ROWS), negatives)
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        terms = method((leaves[0], leaves[1], leaves[2], leaves[3]), lesson)
    found = {}
    for name, value in terms.items():
        assert value.dtype == torch.float32 or options.rkd.form == "naive", f"{name} is {value.dtype}"
        targets = [*leaves, *(parameter for parameter in method.parameters() if parameter.requires_grad)]
        given = torch.autograd.grad(value.float(), targets, retain_graph=True, allow_unused=True)
        found[name] = [gradient for gradient in given if gradient is not None]
        assert torch.isfinite(value), f"{name} is {value}"
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_finite(method: str, state: str, dtype: str) -> None:
    for name, given in gradients(config(method), state, DTYPES[dtype]).items():
        assert given, f"{name} hangs on nothing"
        assert all(torch.isfinite(gradient).all() for gradient in given), name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("state", STATES)
def test_gradients_of_pairwise_cosines_are_finite(state: str, dtype: str) -> None:
    for name, given in gradients(config("rkd", **{"rkd.angle": "pairwise"}), state, DTYPES[dtype]).items():
        assert all(torch.isfinite(gradient).all() for gradient in given), name


def test_the_naive_form_is_nan_everywhere_in_fp16_though_its_value_is_fine() -> None:
    found = gradients(config("rkd", **{"rkd.form": "naive"}), "random", torch.float16)
    assert all(torch.isnan(gradient).all() for gradient in found["rkd_distance"])
    assert all(torch.isfinite(gradient).all() for gradient in found["rkd_angle"])


def test_the_naive_form_is_finite_in_fp32() -> None:
    found = gradients(config("rkd", **{"rkd.form": "naive"}), "random", torch.float32)
    assert all(torch.isfinite(gradient).all() for gradient in found["rkd_distance"])
