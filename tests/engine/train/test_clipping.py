"""The bound follows the accepted norms, stays within its limits, and tightens with the learning rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.config.sections import ClipSection
from engine.train.clipping import Clipper, _DeviceWindow, _HostWindow

CPU = torch.device("cpu")
GOOD, BAD = torch.tensor(False), torch.tensor(True)


def _clipper(**options: object) -> Clipper:
    defaults = {"kind": "dynamic", "window": 5, "quantile": 0.5, "lower": 0.0, "upper": 100.0}
    return Clipper(ClipSection.model_validate(defaults | options), 0.1, CPU)


def test_the_bound_is_the_quantile_of_the_newest_norms() -> None:
    clipper = _clipper()
    norms = [5.0, 1.0, 2.0, 9.0, 4.0, 3.0, 8.0]
    for norm in norms:
        clipper.accept(torch.tensor(norm), GOOD)
    assert float(torch.as_tensor(clipper.bound(0.1))) == pytest.approx(np.quantile(norms[-5:], 0.5))


def test_the_first_step_uses_max_norm() -> None:
    assert float(torch.as_tensor(_clipper(max_norm=3.0).bound(0.1))) == 3.0


def test_skipped_steps_do_not_count() -> None:
    clipper = _clipper()
    clipper.accept(torch.tensor(2.0), GOOD)
    clipper.accept(torch.tensor(math.inf), BAD)
    clipper.accept(torch.tensor(math.nan), BAD)
    assert float(torch.as_tensor(clipper.bound(0.1))) == 2.0


def test_the_bound_tightens_with_the_rate_and_keeps_its_limits() -> None:
    clipper = _clipper(lower=0.5, upper=2.0, lr_power=0.5)
    clipper.accept(torch.tensor(1.6), GOOD)
    assert float(torch.as_tensor(clipper.bound(0.1))) == pytest.approx(1.6)
    assert float(torch.as_tensor(clipper.bound(0.025))) == pytest.approx(0.8)
    assert float(torch.as_tensor(clipper.bound(0.0001))) == 0.5
    for _ in range(5):
        clipper.accept(torch.tensor(50.0), GOOD)
    assert float(torch.as_tensor(clipper.bound(0.1))) == 2.0


@pytest.mark.parametrize("size", [1, 4, 7])
def test_the_window_on_an_accelerator_agrees_with_the_one_on_the_host(size: int) -> None:
    # the accelerator's tensor code runs on a CPU as well
    host, device = _HostWindow(size), _DeviceWindow(size, CPU)
    generator = torch.Generator().manual_seed(3)
    for number in range(20):
        norm = torch.rand((), generator=generator) * 10
        bad = number % 5 == 2
        host.add(norm, bad)
        device.add(norm, torch.tensor(bad))
        assert device.values() == host.values()
        assert float(device.quantile(0.9, 1.0)) == pytest.approx(host.quantile(0.9, 1.0), rel=1e-6)
    other = _DeviceWindow(size, CPU)
    other.restore(host.values())
    host.add(torch.tensor(2.5), False)
    other.add(torch.tensor(2.5), torch.tensor(False))
    assert other.values() == host.values()


def test_fixed_and_none() -> None:
    assert _clipper(kind="fixed", max_norm=0.7).bound(0.1) == 0.7
    assert _clipper(kind="none").bound(0.1) is None


@pytest.mark.parametrize("size", [3, 5, 9])
def test_a_window_survives_a_resume_even_under_another_size(size: int) -> None:
    clipper = _clipper(window=5)
    for norm in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0):
        clipper.accept(torch.tensor(norm), GOOD)
    other = _clipper(window=size)
    other.load_state_dict(clipper.state_dict())
    kept = [3.0, 4.0, 5.0, 6.0, 7.0][-size:]
    assert float(torch.as_tensor(other.bound(0.1))) == pytest.approx(np.quantile(kept, 0.5))
    other.accept(torch.tensor(8.0), GOOD)
    kept = ([*kept, 8.0])[-size:]
    assert float(torch.as_tensor(other.bound(0.1))) == pytest.approx(np.quantile(kept, 0.5))
