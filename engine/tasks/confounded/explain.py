"""Where does the network look? Shares of attributions in the dot, and heat maps, by captum.

Input gradients: Simonyan, Vedaldi and Zisserman 2013 (arXiv 1312.6034); gradient x input: Shrikumar and others 2016
(arXiv 1605.01713); integrated gradients: Sundararajan, Taly and Yan 2017 (arXiv 1703.01365), from a black picture;
GradCAM: Selvaraju and others 2016 (arXiv 1610.02391), at the second convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from engine.tasks.confounded.data import CONFOUNDED, OTHER
from engine.tasks.confounded.model import bare
from engine.tasks.confounded.task import Confounded

METHODS = ("gradient", "gradient_x_input", "integrated_gradients", "gradcam")
_STEPS = 32
_PART = 128
_MARGIN = 3


@dataclass
class Explanation:
    """What is known of where a model looks."""

    figures: dict[str, float]
    """What adding and removing the dot changes: the primary figures."""
    saliency: dict[str, dict[str, float]]
    """By method: `share` of the attribution that lies in the dot, `ratio` of that to the dot's share of the area, and
    the same within a margin around it (`near_share`, `near_ratio`)."""
    area: float
    """The dot's share of the picture's area."""
    near_area: float
    """The same with the margin."""
    samples: int
    """How many pictures the shares were taken over."""
    pictures: dict[str, Tensor] = field(default_factory=dict)
    """(3, H, W) uint8 by name: sample, heat map and overlay side by side."""


def explain(
    task: Confounded, model: nn.Module, split: str, device: torch.device, *, limit: int, shown: int
) -> Explanation:
    """Figures and pictures of a model on held-out samples.

    Args:
        task: with the data.
        model: in evaluation mode, on the device.
        split: `val` or `test`.
        limit: how many samples of each class attributions are taken of.
        shown: how many samples of each group pictures are drawn of.
    """
    groups, dot = task.groups(split), task.data.dot
    with torch.no_grad():
        figures = task.evaluate(model, split, device)
    chosen = {label: (groups.labels == label).nonzero().squeeze(1) for label in (OTHER, CONFOUNDED)}
    rows = torch.cat([places[:limit] for places in chosen.values()])
    mask = dot.mask(groups.dotted[:1])[0, 0]
    near = torch.zeros_like(mask)
    top, left = max(0, dot.row - _MARGIN), max(0, dot.column - _MARGIN)
    near[top : dot.row + dot.size + _MARGIN, left : dot.column + dot.size + _MARGIN] = True
    methods = _methods(model, task.data.normalisation(torch.zeros_like(groups.clean[:1])).to(device))
    saliency = {}
    for name, attribute in methods.items():
        heat = _heat(task, model, attribute, groups.dotted[rows], device)
        saliency[name] = _shares(heat, mask, "") | _shares(heat, near, "near_")
    found = Explanation(figures, saliency, float(mask.double().mean()), float(near.double().mean()), len(rows))
    if not shown:  # captum takes no empty batches
        return found
    for label, word in ((OTHER, "other"), (CONFOUNDED, "confounded")):
        places = chosen[label][:shown]
        for suffix, images in (("", groups.clean), ("_dot", groups.dotted)):
            for name, attribute in methods.items():
                heat = _heat(task, model, attribute, images[places], device)
                for number, (image, values) in enumerate(zip(images[places], heat, strict=True)):
                    found.pictures[f"{word}{suffix}-{number}-{name}"] = strip(image, values)
    return found


_Attribute = Callable[[Tensor, Tensor], Tensor]
"""From pictures (B, C, H, W) and classes (B,) to attributions of the same height and width."""


def _methods(model: nn.Module, black: Tensor) -> dict[str, _Attribute]:
    # Here, not above: captum imports matplotlib, a second that only explanations need.
    from captum.attr import InputXGradient, IntegratedGradients, LayerAttribution, LayerGradCam, Saliency

    gradient, times_input, integrated = Saliency(model), InputXGradient(model), IntegratedGradients(model)
    gradcam = LayerGradCam(model, bare(model).second)

    def integrate(images: Tensor, classes: Tensor) -> Tensor:
        found: Tensor = integrated.attribute(
            images, black.expand_as(images), classes, n_steps=_STEPS, internal_batch_size=_PART
        )
        return found

    def cam(images: Tensor, classes: Tensor) -> Tensor:
        coarse = gradcam.attribute(images, classes, relu_attributions=True)
        found: Tensor = LayerAttribution.interpolate(coarse, tuple(images.shape[-2:]), "bilinear")
        return found

    return dict(
        zip(
            METHODS,
            (
                lambda images, classes: gradient.attribute(images, classes, abs=True),
                lambda images, classes: times_input.attribute(images, classes),
                integrate,
                cam,
            ),
            strict=True,
        )
    )


def _heat(task: Confounded, model: nn.Module, attribute: _Attribute, images: Tensor, device: torch.device) -> Tensor:
    """(N, H, W): the size of the attributions of the class that the model itself chooses, summed over channels."""
    parts = []
    for part in torch.split(images, _PART):
        pixels = task.data.normalisation(part.to(device))
        with torch.no_grad():
            classes = model(pixels).argmax(1)
        found = attribute(pixels.requires_grad_(), classes)
        parts.append(found.detach().abs().sum(1).cpu())
    return torch.cat(parts)


def _shares(heat: Tensor, mask: Tensor, prefix: str) -> dict[str, float]:
    """The mean share in a mask; pictures without any attribution at all don't count, and are counted."""
    total = heat.double().sum(dim=(1, 2))
    inside = (heat.double() * mask).sum(dim=(1, 2))
    some = total > 0
    share = float((inside[some] / total[some]).mean()) if bool(some.any()) else 0.0
    blank = {} if prefix else {"without_any": float((~some).sum())}
    return {f"{prefix}share": share, f"{prefix}ratio": share / float(mask.double().mean()), **blank}


def strip(image: Tensor, heat: Tensor) -> Tensor:
    """Sample, heat map and overlay side by side.

    Args:
        image: (C, H, W) uint8.
        heat: (H, W), not negative.

    Returns:
        (3, H, 3 W + 4) uint8.
    """
    level = (heat / heat.max().clamp(min=1e-12)).float()
    # From black over red and yellow to white.
    colours = torch.stack([(3 * level).clamp(0, 1), (3 * level - 1).clamp(0, 1), (3 * level - 2).clamp(0, 1)])
    sample = image.expand(3, -1, -1).float()
    overlay = sample * 0.6 * (1 - level) + 255 * colours * level
    gap = torch.full((3, image.shape[1], 2), 96.0)
    return torch.cat([sample, gap, 255 * colours, gap, overlay], dim=2).round().clamp(0, 255).to(torch.uint8)


def to_json(found: Explanation) -> dict[str, Any]:
    """The stable public form, without the pictures."""
    return {
        "figures": found.figures,
        "saliency": found.saliency,
        "area": found.area,
        "near_area": found.near_area,
        "samples": found.samples,
    }
